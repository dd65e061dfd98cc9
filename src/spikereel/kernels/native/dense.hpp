// Products of real values: convolutions whose pictures keep their size, gradients of weights, and depthwise ones.
// Nothing here decides a spike of its own order of additions: each sum is taken over taps, then channels, in one order.

static inline V fused(V a, V b, V sum) {
#if defined(SPIKEREEL_AVX512)
  return reinterpret_cast<V>(_mm512_fmadd_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b),
                                             reinterpret_cast<__m512>(sum)));
#elif defined(SPIKEREEL_AVX2)
  return reinterpret_cast<V>(_mm256_fmadd_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b),
                                             reinterpret_cast<__m256>(sum)));
#else
  return a * b + sum;
#endif
}

static inline V every(float x) {
#if defined(SPIKEREEL_AVX512)
  return reinterpret_cast<V>(_mm512_set1_ps(x));
#elif defined(SPIKEREEL_AVX2)
  return reinterpret_cast<V>(_mm256_set1_ps(x));
#else
  return V{x, x, x, x};
#endif
}

static inline V take(const float* p) { return *reinterpret_cast<const V*>(p); }
static inline void put(float* p, V x) { *reinterpret_cast<V*>(p) = x; }

constexpr int kWide = kVector / 4;     // floats of a register
constexpr int kPanel = 2 * kWide;      // outputs that are worked on at once
constexpr int kTile = kVector == 64 ? 14 : 6;  // pixels, or inputs, that are worked on at once
constexpr int kDepth = 128;            // products that are added up before the next pixels: their weights stay near
constexpr int kPixels = 112;           // about as many pixels share what is read of the weights
constexpr int kGap = 16;               // floats between rows, which would else meet in the same part of a cache

// sums[r][kPanel] += a(r, k) w[k][kPanel]; a(r, k) is a[r * row + k], or turned a[r + k * row].
template <int R, bool Turned>
static inline void tile(const float* a, int64_t row, int64_t depth, const float* w, float* sums) {
  V s[R][2];
  UNROLLED
  for (int r = 0; r < R; r++) s[r][0] = take(sums + r * kPanel), s[r][1] = take(sums + r * kPanel + kWide);
  for (int64_t k = 0; k < depth; k++) {
    const V first = take(w + k * kPanel), second = take(w + k * kPanel + kWide);
    UNROLLED
    for (int r = 0; r < R; r++) {
      const V x = every(Turned ? a[k * row + r] : a[r * row + k]);
      s[r][0] = fused(x, first, s[r][0]);
      s[r][1] = fused(x, second, s[r][1]);
    }
  }
  UNROLLED
  for (int r = 0; r < R; r++) put(sums + r * kPanel, s[r][0]), put(sums + r * kPanel + kWide, s[r][1]);
}

template <int R, bool Turned>
static inline void tile_of(int rows, const float* a, int64_t row, int64_t depth, const float* w, float* sums) {
  if (rows == R) return tile<R, Turned>(a, row, depth, w, sums);
  if constexpr (R > 1) tile_of<R - 1, Turned>(rows, a, row, depth, w, sums);
}

// Weights as [panel][tap][input][kPanel], zeros beyond the last output.
static void panels_of(const DenseMaps& a, const Weights& w, float* panels) {
  const int64_t taps = static_cast<int64_t>(a.kernel) * a.kernel, size = taps * a.in * kPanel;
  parallel((a.out + kPanel - 1) / kPanel, [&](int64_t panel) {
    const int first = static_cast<int>(panel) * kPanel, some = static_cast<int>(less(kPanel, a.out - first));
    for (int64_t tap = 0; tap < taps; tap++) {
      const float* from = w.values + (w.turned ? taps - 1 - tap : tap) * w.tap + first * w.out;
      float* to = panels + panel * size + tap * a.in * kPanel;
      if (w.out == 1) {
        for (int64_t i = 0; i < a.in; i++) {
          for (int j = 0; j < some; j++) to[i * kPanel + j] = from[i * w.in + j];
          for (int j = some; j < kPanel; j++) to[i * kPanel + j] = 0.0f;
        }
      } else {
        for (int j = 0; j < kPanel; j++)
          for (int64_t i = 0; i < a.in; i++) to[i * kPanel + j] = j < some ? from[j * w.out + i * w.in] : 0.0f;
      }
    }
  });
}

// Rows top - half .. of a picture with a border of zeros, rows of `pitch` floats a pixel.
static inline void bordered(const DenseMaps& a, const float* picture, int top, int rows, int64_t pitch, float* out) {
  const int half = a.kernel / 2, across = a.width + 2 * half;
  for (int y = top - half; y < top + rows + half; y++, out += across * pitch)
    for (int x = -half; x < a.width + half; x++) {
      float* to = out + (x + half) * pitch;
      if (y < 0 || y >= a.height || x < 0 || x >= a.width) __builtin_memset(to, 0, sizeof(float) * a.in);
      else __builtin_memcpy(to, picture + (static_cast<int64_t>(y) * a.width + x) * a.in, sizeof(float) * a.in);
    }
}

static void convolve_band(const DenseMaps& a, const float* panels, const float* bias, float* out, int64_t picture, int top,
                          int rows) {
  const int k = a.kernel, across = a.width + 2 * (k / 2), pixels = rows * a.width;
  const int64_t pitch = a.in + kGap, taps = static_cast<int64_t>(k) * k;
  const float* own = a.x + picture * a.height * a.width * a.in;
  float* values = static_cast<float*>(scratch(0, sizeof(float) * pitch * across * (rows + 2 * (k / 2))));
  float* sums = static_cast<float*>(scratch(1, sizeof(float) * kPanel * pixels));
  bordered(a, own, top, rows, pitch, values);
  const int groups = (a.width + kTile - 1) / kTile;
  for (int first = 0; first < a.out; first += kPanel) {
    const float* w = panels + first * taps * a.in;
    const int some = static_cast<int>(less(kPanel, a.out - first));
    for (int j = 0; j < kPanel; j++) sums[j] = bias && j < some ? bias[first + j] : 0.0f;
    for (int i = 1; i < pixels; i++) __builtin_memcpy(sums + i * kPanel, sums, sizeof(float) * kPanel);
    for (int ky = 0; ky < k; ky++)
      for (int kx = 0; kx < k; kx++)
        for (int c = 0; c < a.in; c += kDepth) {
          const int64_t depth = less(kDepth, a.in - c);
          const float* near = w + ((static_cast<int64_t>(ky) * k + kx) * a.in + c) * kPanel;
          for (int y = 0; y < rows; y++)
            for (int g = 0; g < groups; g++) {
              const int x = a.width * g / groups, count = a.width * (g + 1) / groups - x;
              tile_of<kTile, false>(count, values + (static_cast<int64_t>(y + ky) * across + x + kx) * pitch + c, pitch, depth,
                                    near, sums + (y * a.width + x) * kPanel);
            }
        }
    float* to = out + (picture * a.height + top) * a.width * static_cast<int64_t>(a.out) + first;
    for (int i = 0; i < pixels; i++) __builtin_memcpy(to + static_cast<int64_t>(i) * a.out, sums + i * kPanel, sizeof(float) * some);
  }
}

static void convolve(const DenseMaps& given, const Weights& weights, const float* bias, float* out) {
  DenseMaps a = given;
  const int64_t panels = (a.out + kPanel - 1) / kPanel, taps = static_cast<int64_t>(a.kernel) * a.kernel;
  float* w = static_cast<float*>(scratch(4, sizeof(float) * panels * taps * a.in * kPanel));
  panels_of(a, weights, w);
  if (a.kernel == 1) {
    // pixels have no neighbours: one long row
    const int64_t pixels = a.pictures * a.height * a.width, bands = (pixels + kPixels - 1) / kPixels;
    return parallel(bands, [&](int64_t band) {
      DenseMaps part = a;
      part.x = a.x + band * kPixels * a.in;
      part.height = 1, part.width = static_cast<int32_t>(less(kPixels, pixels - band * kPixels));
      convolve_band(part, w, bias, out + band * kPixels * a.out, 0, 0, 1);
    });
  }
  const int rows = static_cast<int>(less(a.height, kPixels / a.width > 1 ? kPixels / a.width : 1));
  const int64_t bands = (a.height + rows - 1) / rows;
  parallel(a.pictures * bands, [&](int64_t item) {
    const int top = static_cast<int>(item % bands) * rows;
    convolve_band(a, w, bias, out, item / bands, top, static_cast<int>(less(rows, a.height - top)));
  });
}

// The gradient of a matrix: to_weights [slice][in][out] of rows x [rows][in] and of rows [rows][out].
static void weigh(const DenseMaps& a, const float* to_out, float* to_weights) {
  const int64_t rows = a.pictures * a.height * a.width, panels = (a.out + kPanel - 1) / kPanel;
  constexpr int kSome = 128, kInputs = 8 * kTile;
  const int64_t blocks = (a.in + kInputs - 1) / kInputs;
  parallel(kSlices * blocks, [&](int64_t item) {
    const int64_t slice = item / blocks, end = rows * (slice + 1) / kSlices;
    const int from = static_cast<int>(item % blocks) * kInputs, count = static_cast<int>(less(kInputs, a.in - from));
    const int tiles = (count + kTile - 1) / kTile;
    float* sums = static_cast<float*>(scratch(0, sizeof(float) * kInputs * panels * kPanel));
    float* x = static_cast<float*>(scratch(1, sizeof(float) * kSome * (kInputs + kGap)));
    float* y = static_cast<float*>(scratch(2, sizeof(float) * kSome * kPanel));
    __builtin_memset(sums, 0, sizeof(float) * kInputs * panels * kPanel);
    for (int64_t row = rows * slice / kSlices; row < end; row += kSome) {
      const int some = static_cast<int>(less(kSome, end - row));
      for (int i = 0; i < some; i++)
        __builtin_memcpy(x + i * (kInputs + kGap), a.x + (row + i) * a.in + from, sizeof(float) * count);
      for (int64_t panel = 0; panel < panels; panel++) {
        const int first = static_cast<int>(panel) * kPanel, valid = static_cast<int>(less(kPanel, a.out - first));
        if (valid < kPanel) __builtin_memset(y, 0, sizeof(float) * kSome * kPanel);
        for (int i = 0; i < some; i++)
          __builtin_memcpy(y + i * kPanel, to_out + (row + i) * a.out + first, sizeof(float) * valid);
        for (int t = 0; t < tiles; t++) {
          const int begin = count * t / tiles, inputs = count * (t + 1) / tiles - begin;
          tile_of<kTile, true>(inputs, x + begin, kInputs + kGap, some, y, sums + (panel * kInputs + begin) * kPanel);
        }
      }
    }
    float* to = to_weights + slice * static_cast<int64_t>(a.in) * a.out;
    for (int64_t panel = 0; panel < panels; panel++) {
      const int first = static_cast<int>(panel) * kPanel, valid = static_cast<int>(less(kPanel, a.out - first));
      for (int i = 0; i < count; i++)
        __builtin_memcpy(to + static_cast<int64_t>(from + i) * a.out + first, sums + (panel * kInputs + i) * kPanel,
                         sizeof(float) * valid);
    }
  });
}
