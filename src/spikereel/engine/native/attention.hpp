// Spike-driven attention in its linear order: counts of coinciding spikes of k and v, then sums of rows where q fires.
// Counts of a whole clip or frame are popcounts of its tokens, channel by channel; sums of rows come from tables of four.

constexpr int kHeadWords = 4;  // heads of up to 256 channels

// Bits begin..begin + count of a pixel.
static inline void head_bits(const uint16_t* pixel, int begin, int count, uint64_t* out) {
  for (int done = 0; done < count; done += 64) {
    const int at = begin + done, shift = at & 63, left = count - done;
    uint64_t low, high = 0;
    __builtin_memcpy(&low, pixel + at / 64 * 4, 8);
    if (shift && shift + smaller(left, 64) > 64) __builtin_memcpy(&high, pixel + (at / 64 + 1) * 4, 8);
    uint64_t bits = shift ? low >> shift | high << (64 - shift) : low;
    if (left < 64) bits &= (uint64_t{1} << left) - 1;
    out[done / 64] = bits;
  }
}

static inline const uint16_t* pixel_of(const Spikes& s, int plane, int64_t t, int64_t p) {
  return s.bits + plane * s.plane + t * s.frame + p * s.pixel;
}

static inline void count_token(const Attend& a, int head, int64_t t, int64_t p, int32_t* counts) {
  const int d = a.k.channels / a.heads, vectors = (d + kLanes - 1) / kLanes, pitch = vectors * kLanes;
  uint64_t k[kHeadWords], v[kHeadWords];
  // every plane of k meets every plane of v: the product of two counts
  for (int pair = 0; pair < a.k.planes * a.v.planes; pair++) {
    head_bits(pixel_of(a.k, pair / a.v.planes, t, p), head * d, d, k);
    head_bits(pixel_of(a.v, pair % a.v.planes, t, p), head * d, d, v);
    for (int g = 0; g < vectors; g++) {
      const M mask = static_cast<M>(v[g / 4] >> (g % 4 * 16));
      if (!mask) continue;
      if (pair < a.v.planes) count_where(counts + d * pitch + g * kLanes, mask);
      for (int w = 0; w * 64 < d; w++)
        for (uint64_t set = k[w]; set; set &= set - 1)
          count_where(counts + (w * 64 + __builtin_ctzll(set)) * pitch + g * kLanes, mask);
    }
  }
}

#if defined(SPIKEREEL_AVX512)
constexpr int kTokens = 64;      // tokens of a word
constexpr int kCountFrames = 8;  // frames whose words are there at a time

// Words of up to 64 tokens by channel; their bits have one order for all channels, which no count depends on.
static inline void words_by_channel(const uint16_t* bits, int64_t pixel, int count, int words, uint64_t* out) {
  alignas(64) uint8_t order[64];
  for (int i = 0; i < 64; i++) order[i] = static_cast<uint8_t>(i % 8 * 8 + i / 8);
  const __m512i by_byte = _mm512_load_si512(order), unit = _mm512_set1_epi64(0x8040201008040201);
  const __m512i step = _mm512_mullo_epi64(_mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7), _mm512_set1_epi64(pixel * 2));
  for (int w = 0; w < words; w++) {
    __m512i a[8], b[8];
    UNROLLED
    for (int g = 0; g < 8; g++) {
      const int left = count - g * 8;
      const __mmask8 there = static_cast<__mmask8>(left >= 8 ? 0xff : left > 0 ? (1 << left) - 1 : 0);
      a[g] = _mm512_mask_i64gather_epi64(_mm512_setzero_si512(), there, step, bits + g * 8 * pixel + w * 4, 1);
      // a byte of eight tokens in a row, then a byte of tokens for each channel
      a[g] = _mm512_gf2p8affine_epi64_epi8(unit, _mm512_permutexvar_epi8(by_byte, a[g]), 0);
    }
    UNROLLED
    for (int g = 0; g < 4; g++) {
      b[g] = _mm512_unpacklo_epi8(a[2 * g], a[2 * g + 1]);
      b[g + 4] = _mm512_unpackhi_epi8(a[2 * g], a[2 * g + 1]);
    }
    UNROLLED
    for (int g = 0; g < 8; g += 2) {
      a[g] = _mm512_unpacklo_epi16(b[g], b[g + 1]);
      a[g + 1] = _mm512_unpackhi_epi16(b[g], b[g + 1]);
    }
    UNROLLED
    for (int g = 0; g < 8; g++) {
      // of a pair of channels in each lane of 128 bits
      const int from = g / 4 * 4 + g / 2 % 2;
      const __m512i pair = g % 2 ? _mm512_unpackhi_epi32(a[from], a[from + 2]) : _mm512_unpacklo_epi32(a[from], a[from + 2]);
      uint64_t* to = out + w * 64 + g * 2;
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_extracti64x2_epi64(pair, 0));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 16), _mm512_extracti64x2_epi64(pair, 1));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 32), _mm512_extracti64x2_epi64(pair, 2));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 48), _mm512_extracti64x2_epi64(pair, 3));
    }
  }
}

// Coincidences of one channel of k (null: always) with 32 channels of v over `blocks` words, onto counts of `left` of them.
static inline void count_words(const uint64_t* k, int64_t k_block, const uint64_t* v, int64_t v_block, int64_t blocks,
                               int left, int32_t* counts) {
  __m512i total[4];
  UNROLLED
  for (int u = 0; u < 4; u++) total[u] = _mm512_setzero_si512();
  for (int64_t b = 0; b < blocks; b++, v += v_block) {
    const __m512i fires = k ? _mm512_set1_epi64(static_cast<long long>(k[b * k_block])) : _mm512_set1_epi64(-1);
    UNROLLED
    for (int u = 0; u < 4; u++)
      total[u] = _mm512_add_epi64(total[u], _mm512_popcnt_epi64(_mm512_and_si512(fires, _mm512_loadu_si512(v + u * 8))));
  }
  UNROLLED
  for (int u = 0; u < 4; u++) {
    const int some = left - u * 8;
    const __mmask8 there = static_cast<__mmask8>(some >= 8 ? 0xff : some > 0 ? (1 << some) - 1 : 0);
    const __m256i before = _mm256_maskz_loadu_epi32(there, counts + u * 8);
    _mm256_mask_storeu_epi32(counts + u * 8, there, _mm256_add_epi32(before, _mm512_cvtepi64_epi32(total[u])));
  }
}

// Frames t0..t0 + frames, in groups of one frame each or in one group.
static inline void count_frames(const Attend& a, int64_t t0, int64_t frames, int32_t* counts) {
  const int d = a.k.channels / a.heads, pitch = (d + kLanes - 1) / kLanes * kLanes, words = (a.k.channels + 63) / 64;
  const int64_t size = static_cast<int64_t>(d + 1) * pitch, row = words * 64, blocks = (a.pixels + kTokens - 1) / kTokens;
  const int64_t k_block = a.k.planes * row, v_block = a.v.planes * row;
  // 32 channels are read at a time, some of them behind the last one
  uint64_t* k = static_cast<uint64_t*>(scratch(0, static_cast<size_t>(frames * blocks * k_block + 32) * 8));
  uint64_t* v = static_cast<uint64_t*>(scratch(1, static_cast<size_t>(frames * blocks * v_block + 32) * 8));
  parallel(frames * blocks, [&](int64_t item) {
    const int64_t t = t0 + item / blocks, p = item % blocks * kTokens;
    const int count = static_cast<int>(a.pixels - p < kTokens ? a.pixels - p : kTokens);
    for (int i = 0; i < a.k.planes; i++) words_by_channel(pixel_of(a.k, i, t, p), a.k.pixel, count, words, k + item * k_block + i * row);
    for (int i = 0; i < a.v.planes; i++) words_by_channel(pixel_of(a.v, i, t, p), a.v.pixel, count, words, v + item * v_block + i * row);
  });
  const int64_t groups = a.grouping == kClip ? 1 : frames, together = frames * blocks / groups;
  parallel(groups * a.heads, [&](int64_t item) {
    const int64_t group = item / a.heads, head = item % a.heads;
    int32_t* own = counts + ((a.grouping == kClip ? 0 : t0 + group) * a.heads + head) * size;
    const uint64_t* k_at = k + group * together * k_block + head * d;
    const uint64_t* v_at = v + group * together * v_block + head * d;
    // every plane of k meets every plane of v: the product of two counts
    for (int pv = 0; pv < a.v.planes; pv++)
      for (int c = 0; c < d; c += 32) {
        const uint64_t* from = v_at + pv * row + c;
        for (int pk = 0; pk < a.k.planes; pk++)
          for (int i = 0; i < d; i++)
            count_words(k_at + pk * row + i, k_block, from, v_block, together, d - c, own + static_cast<int64_t>(i) * pitch + c);
        count_words(nullptr, 0, from, v_block, together, d - c, own + static_cast<int64_t>(d) * pitch + c);
      }
  });
}

static inline bool count_by_words(const Attend& a, int32_t* counts) {
  if (a.grouping == kPixel) return false;
  for (int64_t t = 0; t < a.frames; t += kCountFrames)
    count_frames(a, t, a.frames - t < kCountFrames ? a.frames - t : kCountFrames, counts);
  return true;
}
#else
static inline bool count_by_words(const Attend&, int32_t*) { return false; }
#endif

static void attend_count(const Attend& a, int32_t* counts) {
  if (count_by_words(a, counts)) return;
  const int d = a.k.channels / a.heads, pitch = (d + kLanes - 1) / kLanes * kLanes;
  const int64_t size = static_cast<int64_t>(d + 1) * pitch;
  const int64_t groups = a.grouping == kClip ? 1 : a.grouping == kFrame ? a.frames : a.pixels;
  parallel(groups * a.heads, [&](int64_t item) {
    const int64_t group = item / a.heads;
    const int head = static_cast<int>(item % a.heads);
    const int64_t t0 = a.grouping == kFrame ? group : 0, t1 = a.grouping == kFrame ? group + 1 : a.frames;
    const int64_t p0 = a.grouping == kPixel ? group : 0, p1 = a.grouping == kPixel ? group + 1 : a.pixels;
    for (int64_t t = t0; t < t1; t++)
      for (int64_t p = p0; p < p1; p++) count_token(a, head, t, p, counts + item * size);
  });
}

// Hamming: f(k)^T v = 2 k^T v - colsum v, and in the last row its column sums; whole numbers, exact below 2^24.
static void attend_between(const int32_t* counts, int64_t matrices, int64_t rows, int64_t pitch, bool hamming, float* sums) {
  for (int64_t m = 0; m < matrices; m++, counts += rows * pitch, sums += rows * pitch)
    for (int64_t at = 0; at < pitch; at += kLanes) {
      const V fires = real(load_i(counts + (rows - 1) * pitch + at));
      V total = zero();
      for (int64_t row = 0; row + 1 < rows; row++) {
        V one = real(load_i(counts + row * pitch + at));
        if (hamming) one = sub(add(one, one), fires);
        if (hamming) total = add(total, one);
        store(sums + row * pitch + at, one);
      }
      store(sums + (rows - 1) * pitch + at, total);
    }
}

// In place of the sums of each frame the means up to it: running sums in float64, which `before` begins and `after` ends,
// over `seen` frames and those that come. The last row as above.
static void attend_past(const Past& a, float* sums) {
  const int64_t d = a.depth, size = (d + 1) * a.pitch;
  parallel(a.heads, [&](int64_t head) {
    double* after = a.after + head * d * d;
    for (int64_t i = 0; i < d * d; i++) after[i] = a.before ? a.before[head * d * d + i] : 0.0;
    for (int64_t t = 0; t < a.frames; t++) {
      float* own = sums + (t * a.heads + head) * size;
      float* last = own + d * a.pitch;
      const double seen = static_cast<double>(a.seen + t + 1);
      for (int64_t j = 0; j < a.pitch; j++) last[j] = 0.0f;
      for (int64_t i = 0; i < d; i++)
        for (int64_t j = 0; j < d; j++) {
          after[i * d + j] += own[i * a.pitch + j];
          own[i * a.pitch + j] = static_cast<float>(after[i * d + j] / seen);
          if (a.hamming) last[j] += own[i * a.pitch + j];
        }
    }
  });
}

// In place of the sums of each frame those of the last `window`: what is taken away is what was added. `frames_after` is a
// ring while frames come, the oldest at `at`, and is turned when they are through.
static void attend_recent(const Recent& a, float* sums) {
  const int64_t d = a.depth, size = (d + 1) * a.pitch, one = d * d, all_heads = a.heads * one;
  parallel(a.heads, [&](int64_t head) {
    double* summed = a.summed_after + head * one;
    float* ring = a.frames_after + head * one;
    const float* first = sums + head * size;
    for (int64_t w = 0; w < a.window; w++)
      for (int64_t i = 0; i < one; i++)
        ring[w * all_heads + i] =
            a.summed ? a.frames_before[w * all_heads + head * one + i] : first[i / d * a.pitch + i % d];
    for (int64_t i = 0; i < one; i++)
      summed[i] = a.summed ? a.summed[head * one + i] : a.window * static_cast<double>(ring[i]);
    for (int64_t t = 0; t < a.frames; t++) {
      float* own = sums + (t * a.heads + head) * size;
      float* last = own + d * a.pitch;
      float* oldest = ring + t % a.window * all_heads;
      for (int64_t j = 0; j < a.pitch; j++) last[j] = 0.0f;
      for (int64_t i = 0; i < d; i++)
        for (int64_t j = 0; j < d; j++) {
          const float found = own[i * a.pitch + j];
          // at the start this frame stands for the one that leaves
          summed[i * d + j] += static_cast<double>(found) - static_cast<double>(oldest[i * d + j]);
          oldest[i * d + j] = found;
          own[i * a.pitch + j] = static_cast<float>(summed[i * d + j]);
          if (a.hamming) last[j] += own[i * a.pitch + j];
        }
    }
    const int64_t at = a.frames % a.window, bytes = static_cast<int64_t>(one) * 4;
    float* turned = static_cast<float*>(scratch(0, static_cast<size_t>(bytes * a.window)));
    for (int64_t w = 0; w < a.window; w++)
      __builtin_memcpy(turned + w * one, ring + (at + w) % a.window * all_heads, static_cast<size_t>(bytes));
    for (int64_t w = 0; w < a.window; w++)
      __builtin_memcpy(ring + w * all_heads, turned + w * one, static_cast<size_t>(bytes));
  });
}

constexpr int kRowGroup = 4, kRowTable = 16;      // inputs of a table, and its rows
constexpr int64_t kRowValues = (256 << 10) / 4;   // values of a block of pixels over all frames

// Sums of the rows of four inputs each, for NB vectors of outputs: [input / 4][16][NB]. Hamming: 2 q S - colsum S, whose
// last row is in the first table.
template <int NB>
static inline void build_rows(const float* sums, int64_t pitch, int d, bool hamming, float* tables) {
  for (int first = 0; first < d; first += kRowGroup)
    for (int n = 0; n < NB; n++) {
      V row[kRowTable];
      row[0] = hamming && first == 0 ? sub(zero(), load(sums + d * pitch + n * kLanes)) : zero();
      UNROLLED
      for (int i = 0; i < kRowGroup; i++) {
        V one = first + i < d ? load(sums + (first + i) * pitch + n * kLanes) : zero();
        if (hamming) one = add(one, one);
        UNROLLED
        for (int j = 0; j < 1 << i; j++) row[(1 << i) + j] = add(row[j], one);
      }
      UNROLLED
      for (int j = 0; j < kRowTable; j++) store(tables + ((first / kRowGroup * kRowTable + j) * NB + n) * kLanes, row[j]);
    }
}

struct Tokens {
  int64_t t0, t1, p0, p1;
};

// Onto totals: a row for every four inputs of a word, whose tables begin at `tables`.
template <int NB>
static inline void add_word(uint64_t word, int groups, const float* tables, V* total) {
  constexpr int kTable = kRowTable * NB * kLanes;
  for (int g = 0; g < groups; g++, word >>= kRowGroup, tables += kTable) {
    const float* row = tables + (word & (kRowTable - 1)) * (NB * kLanes);
    UNROLLED
    for (int n = 0; n < NB; n++) total[n] = add(total[n], load(row + n * kLanes));
  }
}

// NB vectors of outputs of one head for tokens that share a matrix, into rows [frame][pixel][width]. Inside: the bits of a
// head lie in one word.
template <int NB, bool Inside>
static inline void apply_rows(const Attend& a, const Tokens& tokens, int head, const float* tables, float* rows,
                              int64_t frame, int64_t width) {
  const int d = a.q.channels / a.heads, groups = (d + kRowGroup - 1) / kRowGroup;
  const int shift = head * d & 63, at = head * d / 64 * 4, planes = a.q.planes;
  const int64_t step = a.q.pixel, plane_step = a.q.plane;
  const uint64_t own = d < 64 ? (uint64_t{1} << (d & 63)) - 1 : ~uint64_t{0};
  uint64_t q[kHeadWords];
  for (int64_t t = tokens.t0; t < tokens.t1; t++) {
    const uint16_t* pixel = pixel_of(a.q, 0, t, tokens.p0);
    float* to = rows + t * frame;
    for (int64_t left = tokens.p1 - tokens.p0; left > 0; left--, pixel += step, to += width) {
      V total[NB];
      UNROLLED
      for (int n = 0; n < NB; n++) total[n] = zero();
      for (int plane = 0; plane < planes; plane++) {
        const uint16_t* bits = pixel + plane * plane_step;
        if (Inside) {
          uint64_t word;
          __builtin_memcpy(&word, bits + at, 8);
          add_word<NB>(word >> shift & own, groups, tables, total);
        } else {
          head_bits(bits, head * d, d, q);
          for (int g = 0; g < groups; g += 16)
            add_word<NB>(q[g / 16], smaller(16, groups - g), tables + g * kRowTable * NB * kLanes, total);
        }
      }
      UNROLLED
      for (int n = 0; n < NB; n++) store(to + n * kLanes, total[n]);
    }
  }
}

// Tables of up to two vectors of outputs, from vector n on, of one head of a group.
static inline const float* tables_of(const Attend& a, int64_t group, int head, int n) {
  const int d = a.q.channels / a.heads, vectors = (d + kLanes - 1) / kLanes, groups = (d + kRowGroup - 1) / kRowGroup;
  const int64_t pitch = static_cast<int64_t>(vectors) * kLanes, size = (d + 1) * pitch;
  const float* sums = a.sums + (group * a.heads + head) * size + n * kLanes;
  float* tables = static_cast<float*>(scratch(1, static_cast<size_t>(groups) * kRowTable * 2 * kLanes * 4));
  if (n + 1 < vectors) build_rows<2>(sums, pitch, d, a.hamming, tables);
  else build_rows<1>(sums, pitch, d, a.hamming, tables);
  return tables;
}

static inline void apply_head(const Attend& a, const Tokens& tokens, int head, int n, const float* tables, float* rows,
                              int64_t frame, int64_t width) {
  const int d = a.q.channels / a.heads;
  const bool inside = (head * d & 63) + d <= 64, two = (n + 1) * kLanes < d;
  const auto apply = two ? (inside ? apply_rows<2, true> : apply_rows<2, false>)
                         : (inside ? apply_rows<1, true> : apply_rows<1, false>);
  apply(a, tokens, head, tables, rows, frame, width);
}

// All heads of tokens that share a matrix; a head may write into the next one, which comes later.
static inline void apply_group(const Attend& a, const Tokens& tokens, int64_t group, float* rows, int64_t frame, int64_t width) {
  const int d = a.q.channels / a.heads;
  for (int head = 0; head < a.heads; head++)
    for (int n = 0; n * kLanes < d; n += 2)
      apply_head(a, tokens, head, n, tables_of(a, group, head, n), rows + head * d + n * kLanes, frame, width);
}

// Heads of whole vectors that all tokens share: norm and neuron follow while sums are in the first cache.
static void apply_by_head(const Attend& a) {
  const int vectors = a.q.channels / a.heads / kLanes;
  const int64_t some = 256, blocks = (a.pixels + some - 1) / some, few = a.frames < 64 ? 64 / a.frames : 1;
  parallel(blocks * a.heads, [&](int64_t item) {
    const int head = static_cast<int>(item / blocks);
    const int64_t first = item % blocks * some, end = first + some < a.pixels ? first + some : a.pixels;
    Tally near;
    for (int n = 0; n < vectors; n += 2) {
      const int both = n + 1 < vectors ? 2 : 1;
      const int64_t width = both * kLanes, frame = few * width;
      const float* tables = tables_of(a, 0, head, n);
      float* rows = static_cast<float*>(scratch(0, static_cast<size_t>(frame * a.frames) * 4));
      for (int64_t p0 = first; p0 < end; p0 += few) {
        const int64_t p1 = p0 + few < end ? p0 + few : end;
        apply_head(a, {0, a.frames, p0, p1}, head, n, tables, rows, frame, width);
        for (int i = 0; i < both; i++)
          emit(a.out, p0, head * vectors + n + i, static_cast<int>(p1 - p0), Sums<float>{rows + i * kLanes, frame, width, 1, 0},
               0, a.frames, near);
      }
    }
    report_near(a.out, near);
  });
}

static void attend_apply(const Attend& a) {
  if (a.grouping == kClip && a.q.channels / a.heads % kLanes == 0) return apply_by_head(a);
  // the last head may write behind the last channel
  const int64_t width = (a.q.channels + 2 * kLanes) / kLanes * kLanes;
  const int64_t fit = kRowValues / (width * a.frames), most = fit < 1 ? 1 : fit < 64 ? fit : 64;
  const int64_t items = (a.pixels + most - 1) / most, some = (a.pixels + items - 1) / items;
  parallel((a.pixels + some - 1) / some, [&](int64_t item) {
    const int64_t p0 = item * some, p1 = p0 + some < a.pixels ? p0 + some : a.pixels;
    const int64_t frame = some * width;
    float* rows = static_cast<float*>(scratch(0, static_cast<size_t>(frame * a.frames) * 4));
    for (int64_t i = 0; a.q.channels % kLanes && i < a.frames * some; i++)
      store(rows + i * width + (a.out.vectors - 1) * kLanes, zero());
    if (a.grouping == kClip) apply_group(a, {0, a.frames, p0, p1}, 0, rows, frame, width);
    for (int64_t t = 0; a.grouping == kFrame && t < a.frames; t++) apply_group(a, {t, t + 1, p0, p1}, t, rows, frame, width);
    for (int64_t p = p0; a.grouping == kPixel && p < p1; p++)
      apply_group(a, {0, a.frames, p, p + 1}, p, rows + (p - p0) * width, frame, width);
    Tally near;
    for (int64_t p = p0; p < p1; p++)
      emit(a.out, p, 0, a.out.vectors, Sums<float>{rows + (p - p0) * width, frame, kLanes, 0, 1}, 0, a.frames, near);
    report_near(a.out, near);
  });
}
