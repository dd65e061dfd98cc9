// The end of every layer: norm, residual, neuron, spikes. Sixteen channels of one pixel at a time, over the frames that
// are there, with the membrane in a register. The operations and their order are those of the reference in
// spikereel.ops.lif; a product and a sum are fused only in the norm, and where the decay is a power of two: then the
// product is exact, of all but numbers below 1e-37.

static inline int smaller(int a, int b) { return a < b ? a : b; }
static inline int larger(int a, int b) { return a > b ? a : b; }

// kSimple: input decays, hard reset to zero; kShifting: and the decay is a power of two
enum Way { kNothing, kSimple, kShifting, kAnyLif, kCounts };

static inline V real(V x) { return x; }
static inline V load_real(const float* p) { return load(p); }
static inline V load_real(const int32_t* p) { return real(load_i(p)); }

template <Way W>
static inline V charged(const Neuron& n, V v, V x) {
  if (W == kCounts) return add(mul(all(n.decay), v), x);
  if (W == kSimple) return add(v, mul(sub(x, v), all(n.decay)));
  if (W == kShifting) return fma(sub(x, v), all(n.decay), v);
  const V leak = sub(v, all(n.v_reset));
  return n.decay_input ? add(v, mul(sub(x, leak), all(n.decay))) : add(sub(v, mul(leak, all(n.decay))), x);
}

// One frame: v becomes the membrane after it; the spikes go to `bits`, planes of an Integer-LIF `plane` words apart.
// `over` is the distance to the threshold, which `tally` looks at; charges of an Integer-LIF are counted here.
template <Way W>
static inline void fire_at(const Neuron& n, V& v, V x, M there, uint16_t* bits, int64_t plane, V& over, Tally& near) {
  const V h = charged<W>(n, v, x);
  if (W == kCounts) {
    const V count = nearest(least(most(h, zero()), all(static_cast<float>(n.top))));
    v = sub(h, count);
    near.add(above(all(1e-6f), magnitude(sub(magnitude(v), all(0.5f)))));
    for (int d = 0; d < n.top; d++)
      bits[d * plane] = static_cast<uint16_t>(above(count, all(static_cast<float>(d))) & there);
    return;
  }
  const V threshold = all(n.threshold);
  const M fired = at_least(h, threshold);
  over = sub(h, threshold);
  v = W == kSimple || W == kShifting ? choose(fired, zero(), h) : choose(fired, n.soft_reset ? over : all(n.v_reset), h);
  *bits = static_cast<uint16_t>(fired & there);
}

// Counts charges within 1e-6 of the threshold: hardly ever is one, so the nearest of all columns is looked at first.
template <int Columns>
static inline void tally(const V* over, Tally& near) {
  V nearest_one = magnitude(over[0]);
  UNROLLED
  for (int i = 1; i < Columns; i++) nearest_one = nearer(nearest_one, over[i]);
  if (__builtin_expect(above(all(1e-6f), nearest_one) != 0, 0))
    for (int i = 0; i < Columns; i++) near.add(above(all(1e-6f), magnitude(over[i])));
}

// Sums of a pixel: of sixteen channels and some frames, `frame` numbers apart. `Columns` of them at once, for the latency
// of a neuron is long: neighbours in the picture, or neighbours in the channels.
template <class Number>
struct Sums {
  const Number* first;
  int64_t frame, column;
  int32_t pixel_step, vector_step;  // from one column to the next
};

template <Way W, bool Residual, bool Value, int Columns, class Number>
static void emit_as(const Output& o, int64_t p, int c, const Sums<Number>& sums, int first, int frames, Tally& near) {
  const Neuron n = o.neuron;
  const int64_t scale_frame = o.affine_frame, bits_frame = o.bits_frame;
  const int64_t lane_step = sums.vector_step * kLanes, at = c * kLanes;
  const int64_t residual_step = sums.pixel_step * o.residual_pixel + lane_step;
  const int64_t value_step = sums.pixel_step * o.value_pixel + lane_step;
  const int64_t membrane_step = sums.pixel_step * o.membrane_pixel + lane_step;
  const int64_t bits_step = sums.pixel_step * o.bits_pixel + sums.vector_step;
  const float* residual = Residual ? o.residual + first * o.residual_frame + p * o.residual_pixel + at : nullptr;
  float* value = Value ? o.value + first * o.value_frame + p * o.value_pixel + at : nullptr;
  const float* scale_at = o.scale ? o.scale + first * scale_frame + at : nullptr;
  const float* bias_at = o.scale ? o.bias + first * scale_frame + at : nullptr;
  float* membrane = W ? o.membrane + p * o.membrane_pixel + at : nullptr;
  const float* before = W ? (first == 0 ? o.before : o.membrane) + p * o.membrane_pixel + at : nullptr;
  uint16_t* bits = W ? o.bits + first * bits_frame + p * o.bits_pixel + c : nullptr;
  V scale[Columns], bias[Columns], v[Columns];
  M there[Columns];
  UNROLLED
  for (int i = 0; i < Columns; i++) {
    scale[i] = o.scale ? load(scale_at + i * lane_step) : all(1.0f);
    bias[i] = o.scale ? load(bias_at + i * lane_step) : zero();
    const int left = o.channels - (c + i * sums.vector_step) * kLanes;
    there[i] = static_cast<M>(left >= kLanes ? 0xffff : (1 << left) - 1);
    v[i] = W ? (o.fresh && first == 0 ? all(o.start) : load(before + i * membrane_step)) : zero();
  }
  const Number* from = sums.first;
  // a copy, which no store of spikes can be thought to change
  Tally own = near;
  for (int t = 0; t < frames; t++, from += sums.frame) {
    V over[Columns];
    UNROLLED
    for (int i = 0; i < Columns; i++) {
      V y = fma(load_real(from + i * sums.column), scale[i], bias[i]);
      if (Residual) y = add(y, load(residual + i * residual_step));
      if (Value) store(value + i * value_step, y);
      if (W) fire_at<W>(n, v[i], y, there[i], bits + i * bits_step, o.bits_plane, over[i], own);
    }
    if (W != kNothing && W != kCounts) tally<Columns>(over, own);
    if (Residual) residual += o.residual_frame;
    if (Value) value += o.value_frame;
    if (W) bits += bits_frame;
    if (scale_frame && t + 1 < frames)
      for (int i = 0; i < Columns; i++) {
        scale[i] = load(scale_at + (t + 1) * scale_frame + i * lane_step);
        bias[i] = load(bias_at + (t + 1) * scale_frame + i * lane_step);
      }
  }
  if (!W) return;
  near = own;
  UNROLLED
  for (int i = 0; i < Columns; i++) store(membrane + i * membrane_step, v[i]);
}

template <Way W, int Columns, class Number>
static inline void emit_way(const Output& o, int64_t p, int c, const Sums<Number>& sums, int first, int frames,
                            Tally& near) {
  if (o.residual && o.value) return emit_as<W, true, true, Columns>(o, p, c, sums, first, frames, near);
  if (o.residual) return emit_as<W, true, false, Columns>(o, p, c, sums, first, frames, near);
  if (o.value) return emit_as<W, false, true, Columns>(o, p, c, sums, first, frames, near);
  emit_as<W, false, false, Columns>(o, p, c, sums, first, frames, near);
}

static inline bool is_simple(const Neuron& n) {
  return n.kind == kLif && n.decay_input && !n.soft_reset && n.v_reset == 0.0f;
}

static inline bool is_shifting(const Neuron& n) {
  uint32_t bits;
  __builtin_memcpy(&bits, &n.decay, 4);
  // no fraction: 1/2, 1/4 and so on
  return is_simple(n) && n.decay > 0.0f && !(bits & 0x7fffff);
}

template <int Columns, class Number>
static inline void emit_columns(const Output& o, int64_t p, int c, const Sums<Number>& sums, int first, int frames,
                                Tally& near) {
  const Neuron& n = o.neuron;
  if (n.kind == kNone) return emit_way<kNothing, Columns>(o, p, c, sums, first, frames, near);
  if (is_shifting(n)) return emit_way<kShifting, Columns>(o, p, c, sums, first, frames, near);
  if (is_simple(n)) return emit_way<kSimple, Columns>(o, p, c, sums, first, frames, near);
  // rarer neurons: one column at a time
  if (n.kind == kInteger) return emit_way<kCounts, 1>(o, p, c, sums, first, frames, near);
  emit_way<kAnyLif, 1>(o, p, c, sums, first, frames, near);
}

// Readers take words of 64 channels: nothing may be left beyond the last vector of a pixel.
static inline void clear_beyond(const Output& o, int64_t p, int first, int frames) {
  const int beyond = -o.vectors & 3;
  if (!o.neuron.kind || !beyond) return;
  for (int d = 0; d < (o.neuron.kind == kInteger ? o.neuron.top : 1); d++)
    for (int t = first; t < first + frames; t++) {
      uint16_t* bits = o.bits + d * o.bits_plane + t * o.bits_frame + p * o.bits_pixel + o.vectors;
      for (int i = 0; i < beyond; i++) bits[i] = 0;
    }
}

// `count` columns that begin with channel vector c of pixel p; frames `first`..
template <class Number>
static inline void emit(const Output& o, int64_t p, int c, int count, Sums<Number> sums, int first, int frames,
                        Tally& near) {
  const int most = o.neuron.kind == kNone || is_simple(o.neuron) ? 4 : 1;
  while (count > 0) {
    const int some = count >= 4 && most == 4 ? 4 : count >= 2 && most == 4 ? 2 : 1;
    if (some == 4) emit_columns<4>(o, p, c, sums, first, frames, near);
    else if (some == 2) emit_columns<2>(o, p, c, sums, first, frames, near);
    else emit_columns<1>(o, p, c, sums, first, frames, near);
    const int last = c + (some - 1) * sums.vector_step;
    if (last == o.vectors - 1)
      for (int i = 0; i < (sums.pixel_step ? some : 1); i++) clear_beyond(o, p + i * sums.pixel_step, first, frames);
    p += some * sums.pixel_step, c += some * sums.vector_step, sums.first += some * sums.column, count -= some;
  }
}

static inline void report_near(const Output& o, const Tally& near) {
  const int64_t total = near.total();
  if (o.near && total) __atomic_fetch_add(o.near, total, __ATOMIC_RELAXED);
}
