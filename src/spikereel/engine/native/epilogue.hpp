// The end of every layer: norm, residual, neuron, spikes. Sixteen channels of one pixel at a time, over the frames that
// are there, with the membrane in a register. The operations and their order are those of the reference in
// spikereel.ops.lif; a product and a sum are fused only in the norm.

enum Way { kNothing, kSimple, kAnyLif, kCounts };  // kSimple: input decays, hard reset to zero

static inline V real(V x) { return x; }
static inline V load_real(const float* p) { return load(p); }
static inline V load_real(const int32_t* p) { return real(load_i(p)); }

template <Way W>
static inline V charged(const Neuron& n, V v, V x) {
  if (W == kCounts) return add(mul(all(n.decay), v), x);
  if (W == kSimple) return add(v, mul(sub(x, v), all(n.decay)));
  const V leak = sub(v, all(n.v_reset));
  return n.decay_input ? add(v, mul(sub(x, leak), all(n.decay))) : add(sub(v, mul(leak, all(n.decay))), x);
}

// One frame: v becomes the membrane after it; the spikes go to `bits`.
template <Way W>
static inline void fire_at(const Output& o, V& v, V x, M there, uint16_t* bits, Tally& near) {
  const Neuron& n = o.neuron;
  const V h = charged<W>(n, v, x);
  if (W == kCounts) {
    const V count = nearest(least(most(h, zero()), all(static_cast<float>(n.top))));
    v = sub(h, count);
    near.add(above(all(1e-6f), magnitude(sub(magnitude(v), all(0.5f)))));
    for (int d = 0; d < n.top; d++)
      bits[d * o.bits_plane] = static_cast<uint16_t>(above(count, all(static_cast<float>(d))) & there);
    return;
  }
  const V threshold = all(n.threshold), over = sub(h, threshold);
  const M fired = at_least(h, threshold);
  near.add(above(all(1e-6f), magnitude(over)));
  v = W == kSimple ? choose(fired, zero(), h) : choose(fired, n.soft_reset ? over : all(n.v_reset), h);
  *bits = static_cast<uint16_t>(fired & there);
}

// Sums of `frames` frames from `first` on, `pitch` numbers apart, of sixteen channels of a pixel.
template <Way W, bool Residual, bool Value, class Number>
static void emit_as(const Output& o, int64_t p, int c, const Number* sums, int64_t pitch, int first, int frames,
                    Tally& near) {
  const int64_t at = c * kLanes;
  const float* residual = Residual ? o.residual + first * o.residual_frame + p * o.residual_pixel + at : nullptr;
  float* value = Value ? o.value + first * o.value_frame + p * o.value_pixel + at : nullptr;
  const float* scale_at = o.scale ? o.scale + first * o.affine_frame + at : nullptr;
  const float* bias_at = o.scale ? o.bias + first * o.affine_frame + at : nullptr;
  V scale = o.scale ? load(scale_at) : all(1.0f), bias = o.scale ? load(bias_at) : zero();
  const int left = o.channels - c * kLanes;
  const M there = static_cast<M>(left >= kLanes ? 0xffff : (1 << left) - 1);
  float* membrane = W ? o.membrane + p * o.membrane_pixel + at : nullptr;
  uint16_t* bits = W ? o.bits + first * o.bits_frame + p * o.bits_pixel + c : nullptr;
  V v = W ? (o.fresh && first == 0 ? all(o.start) : load(membrane)) : zero();
  for (int t = 0; t < frames; t++) {
    V y = fma(load_real(sums + t * pitch), scale, bias);
    if (Residual) y = add(y, load(residual + t * o.residual_frame));
    if (Value) store(value + t * o.value_frame, y);
    if (W) fire_at<W>(o, v, y, there, bits + t * o.bits_frame, near);
    if (o.affine_frame && t + 1 < frames)
      scale = load(scale_at + (t + 1) * o.affine_frame), bias = load(bias_at + (t + 1) * o.affine_frame);
  }
  if (!W) return;
  store(membrane, v);
  // readers take words of 64 channels: nothing may be left beyond the last one
  const int beyond = left <= kLanes ? -(c + 1) & 3 : 0;
  for (int d = 0; beyond && d < (W == kCounts ? o.neuron.top : 1); d++)
    for (int t = 0; t < frames; t++)
      for (int i = 1; i <= beyond; i++) bits[d * o.bits_plane + t * o.bits_frame + i] = 0;
}

template <Way W, class Number>
static inline void emit_way(const Output& o, int64_t p, int c, const Number* sums, int64_t pitch, int first, int frames,
                            Tally& near) {
  if (o.residual && o.value) return emit_as<W, true, true>(o, p, c, sums, pitch, first, frames, near);
  if (o.residual) return emit_as<W, true, false>(o, p, c, sums, pitch, first, frames, near);
  if (o.value) return emit_as<W, false, true>(o, p, c, sums, pitch, first, frames, near);
  emit_as<W, false, false>(o, p, c, sums, pitch, first, frames, near);
}

template <class Number>
static inline void emit(const Output& o, int64_t p, int c, const Number* sums, int64_t pitch, int first, int frames,
                        Tally& near) {
  const Neuron& n = o.neuron;
  if (n.kind == kNone) return emit_way<kNothing>(o, p, c, sums, pitch, first, frames, near);
  if (n.kind == kInteger) return emit_way<kCounts>(o, p, c, sums, pitch, first, frames, near);
  if (n.decay_input && !n.soft_reset && n.v_reset == 0.0f)
    return emit_way<kSimple>(o, p, c, sums, pitch, first, frames, near);
  emit_way<kAnyLif>(o, p, c, sums, pitch, first, frames, near);
}

static inline void report_near(const Output& o, const Tally& near) {
  const int64_t total = near.total();
  if (o.near && total) __atomic_fetch_add(o.near, total, __ATOMIC_RELAXED);
}
