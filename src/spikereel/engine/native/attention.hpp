// Spike-driven attention in its linear order: counts of coinciding spikes of k and v, then sums of rows where q fires.

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

static void attend_count(const Attend& a, int32_t* counts) {
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

static void attend_apply(const Attend& a) {
  const int d = a.q.channels / a.heads, vectors = (d + kLanes - 1) / kLanes, pitch = vectors * kLanes;
  const int64_t size = static_cast<int64_t>(d + 1) * pitch, some = 8;
  parallel((a.pixels + some - 1) / some, [&](int64_t item) {
    const int64_t end = (item + 1) * some < a.pixels ? (item + 1) * some : a.pixels;
    float* row = static_cast<float*>(scratch(0, static_cast<size_t>(a.q.channels + 2 * pitch) * 4));
    __builtin_memset(row, 0, static_cast<size_t>(a.q.channels + 2 * pitch) * 4);
    Tally near;
    uint64_t q[kHeadWords];
    for (int64_t p = item * some; p < end; p++)
      for (int t = 0; t < a.frames; t++) {
        const int64_t group = a.grouping == kClip ? 0 : a.grouping == kFrame ? t : p;
        for (int head = 0; head < a.heads; head++) {
          const float* sums = a.sums + (group * a.heads + head) * size;
          for (int g = 0; g < vectors * a.q.planes; g++) {
            const int plane = g / vectors, at = g % vectors * kLanes;
            if (at == 0) head_bits(pixel_of(a.q, plane, t, p), head * d, d, q);
            V total = plane ? load(row + head * d + at) : zero();
            for (int w = 0; w * 64 < d; w++)
              for (uint64_t set = q[w]; set; set &= set - 1)
                total = add(total, load(sums + (w * 64 + __builtin_ctzll(set)) * pitch + at));
            if (a.hamming) total = sub(add(total, total), load(sums + d * pitch + at));
            store(row + head * d + at, total);
          }
        }
        emit(a.out, p, 0, a.out.vectors, Sums<float>{row, 0, kLanes, 0, 1}, t, 1, near);
      }
    report_near(a.out, near);
  });
}
