// Depthwise convolutions of stride 1 and the gradients of their taps, a register of channels at a time.

constexpr int kAlong = kVector == 64 ? 14 : 6;  // pixels whose sums lie in registers
constexpr int kDown = 8;                        // rows of the result for which a window is laid out once

// Where the register of channels `c` begins: the last one overlaps its neighbour, and both come to the same numbers.
static inline int channel_of(int c, int channels) { return c + kWide <= channels ? c : channels - kWide; }

// Rows top .. top + rows of the bordered picture, one register of channels a pixel; of values, or of bits.
static inline void window_of(const DepthMaps& a, int64_t picture, int top, int rows, int c, float* out) {
  const int across = a.width + 2 * a.padding;
  const int64_t frame = a.pictures ? picture / a.pictures : 0, inside = a.pictures ? picture % a.pictures : 0;
  const int64_t size = static_cast<int64_t>(a.height) * a.width;
  const uint8_t* bits = a.bits ? a.bits + frame * ((a.pictures * size * a.channels + 7) / 8) : nullptr;
  for (int y = top - a.padding; y < top - a.padding + rows; y++)
    for (int x = -a.padding; x < a.width + a.padding; x++, out += kWide) {
      if (y < 0 || y >= a.height || x < 0 || x >= a.width) {
        put(out, V{});
        continue;
      }
      const int64_t pixel = static_cast<int64_t>(y) * a.width + x;
      if (!bits) {
        put(out, take(a.x + (picture * size + pixel) * a.channels + c));
        continue;
      }
      const int64_t bit = (inside * size + pixel) * a.channels + c;
#if defined(SPIKEREEL_AVX512)
      uint32_t word = 0;
      __builtin_memcpy(&word, bits + bit / 8, (bit & 7) + kWide > 16 ? 3 : 2);
      put(out, reinterpret_cast<V>(_mm512_maskz_mov_ps(static_cast<__mmask16>(word >> (bit & 7)), _mm512_set1_ps(1.0f))));
#else
      for (int i = 0; i < kWide; i++) out[i] = static_cast<float>(bits[(bit + i) / 8] >> ((bit + i) & 7) & 1);
#endif
    }
}

template <int K, int P>
static inline void depth_at(const float* window, int64_t line, const float* taps, float* out, int64_t pitch) {
  V sums[P];
  UNROLLED
  for (int j = 0; j < P; j++) sums[j] = V{};
  for (int dy = 0; dy < K; dy++, window += line, taps += K * kWide) {
    V w[K];
    UNROLLED
    for (int dx = 0; dx < K; dx++) w[dx] = take(taps + dx * kWide);
    UNROLLED
    for (int i = 0; i < P + K - 1; i++) {
      const V x = take(window + i * kWide);
      UNROLLED
      for (int dx = 0; dx < K; dx++)
        if (i >= dx && i - dx < P) sums[i - dx] = fused(x, w[dx], sums[i - dx]);
    }
  }
  UNROLLED
  for (int j = 0; j < P; j++) put(out + j * pitch, sums[j]);
}

template <int K>
static void depth_of(const DepthMaps& a, const float* taps, float* out) {
  const int high = a.height + 2 * a.padding - K + 1, wide = a.width + 2 * a.padding - K + 1;
  const int64_t bands = (high + kDown - 1) / kDown, line = static_cast<int64_t>(a.width + 2 * a.padding) * kWide;
  const int registers = (a.channels + kWide - 1) / kWide;
  parallel(a.count * bands, [&](int64_t item) {
    const int64_t picture = item / bands;
    const int top = static_cast<int>(item % bands) * kDown, rows = static_cast<int>(less(kDown, high - top));
    float* window = static_cast<float*>(scratch(0, sizeof(float) * line * (kDown + K - 1)));
    alignas(64) float w[K * K * kWide];
    for (int r = 0; r < registers; r++) {
      const int c = channel_of(r * kWide, a.channels);
      window_of(a, picture, top, rows + K - 1, c, window);
      for (int t = 0; t < K * K; t++) put(w + t * kWide, take(taps + static_cast<int64_t>(t) * a.channels + c));
      for (int y = 0; y < rows; y++) {
        float* to = out + ((picture * high + top + y) * static_cast<int64_t>(wide)) * a.channels + c;
        int x = 0;
        for (; x + kAlong <= wide; x += kAlong)
          depth_at<K, kAlong>(window + y * line + x * kWide, line, w, to + static_cast<int64_t>(x) * a.channels, a.channels);
        for (; x + 2 <= wide; x += 2)
          depth_at<K, 2>(window + y * line + x * kWide, line, w, to + static_cast<int64_t>(x) * a.channels, a.channels);
        for (; x < wide; x++)
          depth_at<K, 1>(window + y * line + x * kWide, line, w, to + static_cast<int64_t>(x) * a.channels, a.channels);
      }
    }
  });
}

static void depth(const DepthMaps& a, const float* taps, float* out) {
  if (a.kernel == 3) depth_of<3>(a, taps, out);
  else if (a.kernel == 5) depth_of<5>(a, taps, out);
  else depth_of<7>(a, taps, out);
}

// A row of the gradient times the rows of the window that it saw: sums[K] of one row of taps.
template <int K, int P>
static inline void taps_at(const float* window, const float* grads, V* sums) {
  V g[P];
  UNROLLED
  for (int j = 0; j < P; j++) g[j] = take(grads + j * kWide);
  UNROLLED
  for (int i = 0; i < P + K - 1; i++) {
    const V x = take(window + i * kWide);
    UNROLLED
    for (int dx = 0; dx < K; dx++)
      if (i >= dx && i - dx < P) sums[dx] = fused(x, g[i - dx], sums[dx]);
  }
}

template <int K>
static void depth_weights_of(const DepthMaps& a, const float* to_out, float* to_taps) {
  const int high = a.height + 2 * a.padding - K + 1, wide = a.width + 2 * a.padding - K + 1;
  const int64_t bands = (high + kDown - 1) / kDown, line = static_cast<int64_t>(a.width + 2 * a.padding) * kWide;
  const int64_t registers = (a.channels + kWide - 1) / kWide, items = a.count * bands;
  constexpr int kSome = kVector == 64 ? 8 : 4;
  parallel(kSlices * registers, [&](int64_t item) {
    const int64_t slice = item / registers;
    const int c = channel_of(static_cast<int>(item % registers) * kWide, a.channels);
    float* window = static_cast<float*>(scratch(0, sizeof(float) * line * (kDown + K - 1)));
    float* grads = static_cast<float*>(scratch(1, sizeof(float) * wide * kWide));
    alignas(64) float total[K * K * kWide] = {};
    for (int64_t part = items * slice / kSlices; part < items * (slice + 1) / kSlices; part++) {
      const int64_t picture = part / bands;
      const int top = static_cast<int>(part % bands) * kDown, rows = static_cast<int>(less(kDown, high - top));
      window_of(a, picture, top, rows + K - 1, c, window);
      for (int y = 0; y < rows; y++) {
        const float* from = to_out + ((picture * high + top + y) * static_cast<int64_t>(wide)) * a.channels + c;
        for (int x = 0; x < wide; x++) put(grads + x * kWide, take(from + static_cast<int64_t>(x) * a.channels));
        for (int dy = 0; dy < K; dy++) {
          const float* row = window + (y + dy) * line;
          V sums[K];
          UNROLLED
          for (int dx = 0; dx < K; dx++) sums[dx] = take(total + (dy * K + dx) * kWide);
          int x = 0;
          for (; x + kSome <= wide; x += kSome) taps_at<K, kSome>(row + x * kWide, grads + x * kWide, sums);
          for (; x < wide; x++) taps_at<K, 1>(row + x * kWide, grads + x * kWide, sums);
          UNROLLED
          for (int dx = 0; dx < K; dx++) put(total + (dy * K + dx) * kWide, sums[dx]);
        }
      }
    }
    float* to = to_taps + slice * K * K * static_cast<int64_t>(a.channels) + c;
    for (int t = 0; t < K * K; t++) put(to + static_cast<int64_t>(t) * a.channels, take(total + t * kWide));
  });
}

static void depth_weights(const DepthMaps& a, const float* to_out, float* to_taps) {
  if (a.kernel == 3) depth_weights_of<3>(a, to_out, to_taps);
  else if (a.kernel == 5) depth_weights_of<5>(a, to_out, to_taps);
  else depth_weights_of<7>(a, to_out, to_taps);
}
