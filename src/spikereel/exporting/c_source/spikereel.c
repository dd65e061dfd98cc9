/* The plain core: every operation as it is defined, spikes skipped where they are zero. See spikereel.h.
 *
 * Maps are [height][width][channels]. Compile without contraction to fused multiply-adds (-ffp-contract=off): a spike
 * is decided by the last bit.
 */
#include "spikereel.h"

#include <math.h>
#include <string.h>

enum { FIELDS = 24, HEADER = 12, MAGIC = 0x524b5053, VERSION = 1 };
enum { CONV, DEPTHWISE, LIF, ILIF, RELU, ADD, ATTEND, POOL, HEAD, KINDS };
enum { GOOD, SHORT_FILE, NOT_OURS, OTHER_VERSION, BROKEN, UNALIGNED };

/* the fields of an operation; floats lie in the same words */
enum { KIND, IN, OUT, WEIGHT, BIAS, STATE, C_IN, H, W, C_OUT, OH, OW, K, STRIDE, PAD, A, B, C, D, F0, F1, F2, F3, FLAGS };
enum { SOFT = 1, SCALED = 2, HAMMING = 4, CAUSAL = 8, AFFINE = 16, REAL = 32 };

static float number(const int32_t *op, int field) {
    float x;
    memcpy(&x, op + field, sizeof x);
    return x;
}

static void convolve(const int32_t *op, const float *w, const float *in, float *out) {
    const int ci = op[C_IN], h = op[H], wd = op[W], co = op[C_OUT], oh = op[OH], ow = op[OW], k = op[K];
    const int stride = op[STRIDE], pad = op[PAD];
    for (int i = 0; i < oh * ow; i++)
        for (int o = 0; o < co; o++) out[i * co + o] = op[BIAS] < 0 ? 0.0f : w[op[BIAS] + o];
    for (int y = 0; y < h; y++)
        for (int x = 0; x < wd; x++)
            for (int c = 0; c < ci; c++) {
                const float value = in[(y * wd + x) * ci + c];
                if (value == 0.0f) continue;
                for (int ky = 0; ky < k; ky++) {
                    const int sy = y + pad - ky;
                    if (sy < 0 || sy % stride || sy / stride >= oh) continue;
                    for (int kx = 0; kx < k; kx++) {
                        const int sx = x + pad - kx;
                        if (sx < 0 || sx % stride || sx / stride >= ow) continue;
                        const float *row = w + op[WEIGHT] + ((ky * k + kx) * ci + c) * co;
                        float *to = out + ((sy / stride) * ow + sx / stride) * co;
                        if (value == 1.0f)
                            for (int o = 0; o < co; o++) to[o] += row[o];
                        else
                            for (int o = 0; o < co; o++) to[o] += value * row[o];
                    }
                }
            }
}

static void depthwise(const int32_t *op, const float *w, const float *in, float *out) {
    const int c = op[C_IN], h = op[H], wd = op[W], oh = op[OH], ow = op[OW], k = op[K], stride = op[STRIDE];
    for (int y = 0; y < oh; y++)
        for (int x = 0; x < ow; x++) {
            float *to = out + (y * ow + x) * c;
            for (int o = 0; o < c; o++) to[o] = op[BIAS] < 0 ? 0.0f : w[op[BIAS] + o];
            for (int ky = 0; ky < k; ky++) {
                const int sy = y * stride + ky - op[PAD];
                if (sy < 0 || sy >= h) continue;
                for (int kx = 0; kx < k; kx++) {
                    const int sx = x * stride + kx - op[PAD];
                    if (sx < 0 || sx >= wd) continue;
                    const float *row = w + op[WEIGHT] + (ky * k + kx) * c, *from = in + (sy * wd + sx) * c;
                    for (int o = 0; o < c; o++) to[o] += from[o] * row[o];
                }
            }
        }
}

static void lif(const int32_t *op, const float *in, float *out, float *v) {
    const float decay = number(op, F0), threshold = number(op, F1), rest = number(op, F2);
    for (int i = 0; i < op[A]; i++) {
        const float leak = v[i] - rest;
        const float h = op[FLAGS] & SCALED ? v[i] + (in[i] - leak) * decay : v[i] - leak * decay + in[i];
        const int spike = h >= threshold;
        v[i] = !spike ? h : op[FLAGS] & SOFT ? h - threshold : rest;
        out[i] = (float)spike;
    }
}

static void ilif(const int32_t *op, const float *in, float *out, float *v) {
    const float decay = number(op, F0), top = number(op, F1), unit = number(op, F2);
    for (int i = 0; i < op[A]; i++) {
        const float u = decay * v[i] + in[i];
        const float count = rintf(u < 0.0f ? 0.0f : u > top ? top : u);
        v[i] = u - count;
        out[i] = count * unit;
    }
}

static float sign_of(float spike, int hamming) { return hamming ? 2.0f * spike - 1.0f : spike; }

static float product(const float *a, const float *b, int count, int stride) {
    float sum = 0.0f;
    for (int n = 0; n < count; n++) sum += a[n * stride] * b[n * stride];
    return sum;
}

/* q, k, v at A, B, C: [tokens][heads d]; sums are whole numbers, but those of artificial neurons */
static void attend(const int32_t *op, const float *w, float *work, int32_t *state) {
    const int tokens = op[H] * op[W], dim = op[C_IN], heads = op[K], d = dim / heads, hamming = op[FLAGS] & HAMMING;
    const float *q = work + op[A], *k = work + op[B], *v = work + op[C];
    float *out = work + op[OUT], *mean = work + op[D];
    int32_t *sums = op[FLAGS] & CAUSAL ? state + op[STATE] : NULL;
    int32_t *frames = op[FLAGS] & CAUSAL ? state + op[STRIDE] : NULL;
    if (frames) ++*frames;
    for (int m = 0; m < heads; m++)
        for (int i = 0; i < d; i++)
            for (int e = 0; e < d; e++) {
                if (op[FLAGS] & REAL) {
                    mean[(m * d + i) * d + e] = product(k + m * d + i, v + m * d + e, tokens, dim);
                    continue;
                }
                int32_t sum = 0;
                for (int n = 0; n < tokens; n++) {
                    const float value = v[n * dim + m * d + e];
                    if (value != 0.0f) sum += (int32_t)(sign_of(k[n * dim + m * d + i], hamming) * value);
                }
                const int at = (m * d + i) * d + e;
                if (sums) {
                    sums[at] += sum;
                    mean[at] = (float)((double)sums[at] / (double)*frames);
                } else {
                    mean[at] = (float)sum;
                }
            }
    for (int n = 0; n < tokens; n++)
        for (int m = 0; m < heads; m++)
            for (int e = 0; e < d; e++) {
                float sum = 0.0f;
                for (int i = 0; i < d; i++)
                    sum += sign_of(q[n * dim + m * d + i], hamming) * mean[(m * d + i) * d + e];
                const int c = m * d + e;
                const float a = sum / number(op, F0);
                out[n * dim + c] = op[FLAGS] & AFFINE ? a * w[op[WEIGHT] + c] + w[op[BIAS] + c] : a;
            }
}

static void pool(const int32_t *op, const float *in, float *out) {
    for (int c = 0; c < op[C_IN]; c++) {
        float sum = 0.0f;
        for (int i = 0; i < op[H] * op[W]; i++) sum += in[i * op[C_IN] + c];
        out[c] = sum / (float)(op[H] * op[W]);
    }
}

static void classify(const int32_t *op, const float *w, const float *in, int32_t *state, float *logits) {
    float *counts = (float *)(state + op[STATE]);
    const int32_t frames = ++state[op[STRIDE]];
    for (int c = 0; c < op[C_IN]; c++) counts[c] += in[c];
    for (int o = 0; o < op[C_OUT]; o++) {
        float sum = op[BIAS] < 0 ? 0.0f : w[op[BIAS] + o];
        for (int c = 0; c < op[C_IN]; c++) sum += counts[c] / (float)frames * w[op[WEIGHT] + c * op[C_OUT] + o];
        logits[o] = sum;
    }
}

void sr_step(const sr_model *model, const float *frame, void *state, void *work, float *logits) {
    float *maps = work;
    int32_t *words = state;
    const int pixels = model->height * model->width;
    for (int c = 0; c < model->channels; c++)
        for (int i = 0; i < pixels; i++) maps[i * model->channels + c] = frame[c * pixels + i];
    for (int n = 0; n < model->op_count; n++) {
        const int32_t *op = model->ops + n * FIELDS;
        const float *w = model->weights, *in = maps + op[IN];
        float *out = maps + op[OUT], *v = (float *)(words + (op[STATE] < 0 ? 0 : op[STATE]));
        switch (op[KIND]) {
        case CONV: convolve(op, w, in, out); break;
        case DEPTHWISE: depthwise(op, w, in, out); break;
        case LIF: lif(op, in, out, v); break;
        case ILIF: ilif(op, in, out, v); break;
        case RELU:
            for (int i = 0; i < op[A]; i++) out[i] = in[i] > 0.0f ? in[i] : 0.0f;
            break;
        case ADD:
            for (int i = 0; i < op[A]; i++) out[i] += in[i];
            break;
        case ATTEND: attend(op, w, maps, words); break;
        case POOL: pool(op, in, out); break;
        default: classify(op, w, in, words, logits); break;
        }
    }
}

void sr_reset(const sr_model *model, void *state) {
    int32_t *words = state;
    memset(words, 0, sr_state_bytes(model));
    /* neurons that rest elsewhere than at zero: place, count, value */
    for (int i = 0; i < model->start_count; i++) {
        const int32_t *start = model->starts + 3 * i;
        for (int n = 0; n < start[1]; n++) memcpy(words + start[0] + n, start + 2, sizeof *start);
    }
}

size_t sr_state_bytes(const sr_model *model) { return (size_t)model->state_words * 4; }

size_t sr_work_bytes(const sr_model *model) { return (size_t)model->work_words * 4; }

const char *sr_error(int code) {
    static const char *const said[] = {"good", "the file is cut short", "no file of spikereel export --to c",
                                       "of another version", "the file is broken", "the bytes must be 4-byte aligned"};
    return code >= 0 && code < (int)(sizeof said / sizeof *said) ? said[code] : "unknown error";
}

static int inside(int64_t at, int64_t count, int64_t room) { return at >= 0 && count >= 0 && at + count <= room; }

/* whether an operation stays within work, weights and state, and divides by nothing that is zero */
static int sound(const sr_model *m, const int32_t *op) {
    const int64_t work = m->work_words, weights = m->weight_count, state = m->state_words;
    int64_t in = op[A], out = op[A];
    /* of other operations stride is a place in the state */
    const int last = op[KIND] == CONV || op[KIND] == DEPTHWISE ? PAD : K;
    for (int i = C_IN; i <= last; i++)
        if (op[i] < 0 || op[i] > 1 << 20) return 0;
    switch (op[KIND]) {
    case CONV:
    case DEPTHWISE: {
        const int64_t filters = op[KIND] == CONV ? (int64_t)op[C_IN] * op[C_OUT] : op[C_IN];
        in = (int64_t)op[C_IN] * op[H] * op[W], out = (int64_t)op[C_OUT] * op[OH] * op[OW];
        if (!op[STRIDE] || !op[K] || op[K] > 64 || (op[KIND] == DEPTHWISE && op[C_IN] != op[C_OUT])) return 0;
        if (!inside(op[WEIGHT], filters * op[K] * op[K], weights)) return 0;
        if (op[BIAS] >= 0 && !inside(op[BIAS], op[C_OUT], weights)) return 0;
        break;
    }
    case LIF:
    case ILIF:
        if (!inside(op[STATE], op[A], state)) return 0;
        break;
    case RELU:
    case ADD: break;
    case ATTEND: {
        const int64_t tokens = (int64_t)op[H] * op[W], dim = op[C_IN];
        if (!op[K] || dim % op[K]) return 0;
        in = 0, out = tokens * dim;
        for (int i = A; i <= C; i++)
            if (!inside(op[i], out, work)) return 0;
        if (!inside(op[D], dim * (dim / op[K]), work)) return 0;
        if (op[FLAGS] & CAUSAL && !(inside(op[STATE], dim * (dim / op[K]), state) && inside(op[STRIDE], 1, state)))
            return 0;
        if (op[FLAGS] & AFFINE && !(inside(op[WEIGHT], dim, weights) && inside(op[BIAS], dim, weights))) return 0;
        return inside(op[OUT], out, work);
    }
    case POOL:
        in = (int64_t)op[C_IN] * op[H] * op[W], out = op[C_IN];
        if (!in) return 0;
        break;
    case HEAD:
        in = op[C_IN], out = 0;
        if (op[C_OUT] != m->classes || !inside(op[STATE], in, state) || !inside(op[STRIDE], 1, state)) return 0;
        if (!inside(op[WEIGHT], (int64_t)op[C_IN] * op[C_OUT], weights)) return 0;
        if (op[BIAS] >= 0 && !inside(op[BIAS], op[C_OUT], weights)) return 0;
        return inside(op[IN], in, work);
    default: return 0;
    }
    return inside(op[IN], in, work) && inside(op[OUT], out, work);
}

int sr_open(sr_model *m, const void *bytes, size_t size) {
    const int32_t *head = bytes;
    if ((uintptr_t)bytes % 4) return UNALIGNED;
    if (size < HEADER * 4) return SHORT_FILE;
    if (head[0] != MAGIC) return NOT_OURS;
    if (head[1] != VERSION) return OTHER_VERSION;
    for (int i = 2; i < HEADER; i++)
        if (head[i] < 0) return BROKEN;
    m->op_count = head[2], m->weight_count = head[3], m->state_words = head[4], m->work_words = head[5];
    m->start_count = head[6], m->channels = head[7], m->height = head[8], m->width = head[9], m->classes = head[10];
    const int64_t words = HEADER + (int64_t)m->op_count * FIELDS + (int64_t)m->start_count * 3 + m->weight_count;
    if ((int64_t)size < words * 4) return SHORT_FILE;
    m->ops = head + HEADER;
    m->starts = m->ops + (size_t)m->op_count * FIELDS;
    m->weights = (const float *)(m->starts + (size_t)m->start_count * 3);
    if (m->channels > 1 << 12 || m->height > 1 << 14 || m->width > 1 << 14) return BROKEN;
    if (!inside(0, (int64_t)m->channels * m->height * m->width, m->work_words)) return BROKEN;
    for (int i = 0; i < m->start_count; i++)
        if (!inside(m->starts[3 * i], m->starts[3 * i + 1], m->state_words)) return BROKEN;
    for (int i = 0; i < m->op_count; i++)
        if (!sound(m, m->ops + (size_t)i * FIELDS)) return BROKEN;
    return GOOD;
}
