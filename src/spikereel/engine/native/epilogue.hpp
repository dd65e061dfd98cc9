// The end of every layer: norm, residual, neuron, spikes. One pixel, one frame, sixteen channels at a time; frames of a
// pixel have to come in their order. The operations and their order are those of the reference in spikereel.ops.lif.

static inline M fire_lif(const Neuron& n, V v, V x, float* membrane, int64_t& near) {
  const V threshold = all(n.threshold);
  const V leak = sub(v, all(n.v_reset));
  const V h = n.decay_input ? add(v, mul(sub(x, leak), all(n.decay))) : add(sub(v, mul(leak, all(n.decay))), x);
  const M fired = at_least(h, threshold);
  store(membrane, choose(fired, n.soft_reset ? sub(h, threshold) : all(n.v_reset), h));
  near += __builtin_popcount(above(all(1e-6f), magnitude(sub(h, threshold))));
  return fired;
}

static inline V fire_integer(const Neuron& n, V v, V x, float* membrane, int64_t& near) {
  const V u = add(mul(all(n.decay), v), x);
  const V top = all(static_cast<float>(n.top));
  const V count = nearest(least(most(u, zero()), top));
  store(membrane, sub(u, count));
  const V middle = sub(magnitude(sub(u, count)), all(0.5f));
  near += __builtin_popcount(above(all(1e-6f), magnitude(middle)));
  return count;
}

static inline void fire_at(const Output& o, int64_t t, int64_t p, int c, V y, int64_t& near) {
  float* membrane = o.membrane + p * o.membrane_pixel + c * kLanes;
  uint16_t* bits = o.bits + t * o.bits_frame + p * o.bits_pixel + c;
  const int left = o.channels - c * kLanes;
  const M there = static_cast<M>(left >= kLanes ? 0xffff : (1 << left) - 1);
  const V v = o.fresh && t == 0 ? all(o.start) : load(membrane);
  // readers take words of 64 channels: nothing may be left beyond the last one
  const int beyond = left <= kLanes ? -(c + 1) & 3 : 0;
  for (int d = 0; beyond && d < (o.neuron.kind == kLif ? 1 : o.neuron.top); d++)
    for (int i = 1; i <= beyond; i++) bits[d * o.bits_plane + i] = 0;
  if (o.neuron.kind == kLif) {
    *bits = static_cast<uint16_t>(fire_lif(o.neuron, v, y, membrane, near) & there);
    return;
  }
  const V count = fire_integer(o.neuron, v, y, membrane, near);
  for (int d = 0; d < o.neuron.top; d++) {
    bits[d * o.bits_plane] = static_cast<uint16_t>(above(count, all(static_cast<float>(d))) & there);
  }
}

static inline void emit(const Output& o, int64_t t, int64_t p, int c, V sum, int64_t& near) {
  const int64_t at = c * kLanes;
  V y = sum;
  if (o.scale) {
    const int64_t affine = t * o.affine_frame + at;
    y = fma(sum, load(o.scale + affine), load(o.bias + affine));
  }
  if (o.residual) y = add(y, load(o.residual + t * o.residual_frame + p * o.residual_pixel + at));
  if (o.value) store(o.value + t * o.value_frame + p * o.value_pixel + at, y);
  if (o.neuron.kind) fire_at(o, t, p, c, y, near);
}

static inline void report_near(const Output& o, int64_t near) {
  if (o.near && near) __atomic_fetch_add(o.near, near, __ATOMIC_RELAXED);
}
