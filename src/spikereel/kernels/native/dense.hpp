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
constexpr int kFewest = kWide < 8 ? kWide : 8;  // outputs that are worked on at once, at least: in half a register of 16
constexpr int kMost = 2 * kWide;                // at most
constexpr int kTile = kVector == 64 ? 14 : 6;  // pixels, or inputs, that are worked on at once
constexpr int kDepth = 128;            // products that are added up before the next pixels: their weights stay near
constexpr int kPixels = 112;           // about as many pixels share what is read of the weights
constexpr int kGap = 16;               // floats between rows, which would else meet in the same part of a cache

// As many floats as a panel has, in registers.
template <int Panel>
struct Lanes {
  static constexpr int kCount = Panel / kWide;
  V of[kCount];
  inline void read(const float* p) {
    UNROLLED
    for (int i = 0; i < kCount; i++) of[i] = take(p + i * kWide);
  }
  inline void write(float* p) const {
    UNROLLED
    for (int i = 0; i < kCount; i++) put(p + i * kWide, of[i]);
  }
  inline void add(float x, const Lanes& w) {
    const V value = every(x);
    UNROLLED
    for (int i = 0; i < kCount; i++) of[i] = fused(value, w.of[i], of[i]);
  }
};

#if defined(SPIKEREEL_AVX512)
// half a register, of which there are two in the time of a whole one
template <>
struct Lanes<8> {
  __m256 of;
  inline void read(const float* p) { of = _mm256_loadu_ps(p); }
  inline void write(float* p) const { _mm256_storeu_ps(p, of); }
  inline void add(float x, const Lanes& w) { of = _mm256_fmadd_ps(_mm256_set1_ps(x), w.of, of); }
};
#endif

// sums[r][Panel] += a(r, k) w[k][Panel]; a(r, k) is a[r * row + k], or turned a[r + k * row].
template <int R, int Panel, bool Turned>
static inline void tile(const float* a, int64_t row, int64_t depth, const float* w, float* sums) {
  Lanes<Panel> s[R], own;
  UNROLLED
  for (int r = 0; r < R; r++) s[r].read(sums + r * Panel);
  for (int64_t k = 0; k < depth; k++) {
    own.read(w + k * Panel);
    UNROLLED
    for (int r = 0; r < R; r++) s[r].add(Turned ? a[k * row + r] : a[r * row + k], own);
  }
  UNROLLED
  for (int r = 0; r < R; r++) s[r].write(sums + r * Panel);
}

template <int R, int Panel, bool Turned>
static inline void tile_of(int rows, const float* a, int64_t row, int64_t depth, const float* w, float* sums) {
  if (rows == R) return tile<R, Panel, Turned>(a, row, depth, w, sums);
  if constexpr (R > 1) tile_of<R - 1, Panel, Turned>(rows, a, row, depth, w, sums);
}

template <int Panel>
struct Panels {
  static constexpr int kFloats = Panel;
};

// Calls with the smallest panel that holds all outputs, or else with the largest.
template <class Call>
static inline void with_panels(int out, const Call& call) {
  if constexpr (kFewest < kWide)
    if (out <= kFewest) return call(Panels<kFewest>());
  if (out <= kWide) return call(Panels<kWide>());
  call(Panels<kMost>());
}

// Weights as [panel][tap][input][Panel], zeros beyond the last output.
template <int Panel>
static void panels_of(const DenseMaps& a, const Weights& w, float* panels) {
  const int64_t taps = static_cast<int64_t>(a.kernel) * a.kernel, size = taps * a.in * Panel;
  parallel((a.out + Panel - 1) / Panel, [&](int64_t panel) {
    const int first = static_cast<int>(panel) * Panel, some = static_cast<int>(less(Panel, a.out - first));
    for (int64_t tap = 0; tap < taps; tap++) {
      const float* from = w.values + (w.turned ? taps - 1 - tap : tap) * w.tap + first * w.out;
      float* to = panels + panel * size + tap * a.in * Panel;
      if (w.out == 1) {
        for (int64_t i = 0; i < a.in; i++) {
          for (int j = 0; j < some; j++) to[i * Panel + j] = from[i * w.in + j];
          for (int j = some; j < Panel; j++) to[i * Panel + j] = 0.0f;
        }
      } else {
        for (int j = 0; j < Panel; j++)
          for (int64_t i = 0; i < a.in; i++) to[i * Panel + j] = j < some ? from[j * w.out + i * w.in] : 0.0f;
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

template <int Panel>
static void convolve_band(const DenseMaps& a, const float* panels, const float* bias, float* out, int64_t picture, int top,
                          int rows) {
  const int k = a.kernel, across = a.width + 2 * (k / 2), pixels = rows * a.width;
  // pixels of few inputs lie side by side: the taps of a line are one long sum
  const bool beside = k > 1 && k * a.in <= kDepth;
  const int64_t pitch = a.in + (beside ? 0 : kGap), taps = static_cast<int64_t>(k) * k;
  const int lines = beside ? 1 : k, inputs = beside ? k * a.in : a.in;
  const float* own = a.x + picture * a.height * a.width * a.in;
  float* values = static_cast<float*>(scratch(0, sizeof(float) * pitch * across * (rows + 2 * (k / 2))));
  float* sums = static_cast<float*>(scratch(1, sizeof(float) * Panel * pixels));
  bordered(a, own, top, rows, pitch, values);
  const int groups = (a.width + kTile - 1) / kTile;
  for (int first = 0; first < a.out; first += Panel) {
    const float* w = panels + first * taps * a.in;
    const int some = static_cast<int>(less(Panel, a.out - first));
    for (int j = 0; j < Panel; j++) sums[j] = bias && j < some ? bias[first + j] : 0.0f;
    for (int i = 1; i < pixels; i++) __builtin_memcpy(sums + i * Panel, sums, sizeof(float) * Panel);
    for (int ky = 0; ky < k; ky++)
      for (int kx = 0; kx < lines; kx++)
        for (int c = 0; c < inputs; c += kDepth) {
          const int64_t depth = less(kDepth, inputs - c);
          const float* near = w + ((static_cast<int64_t>(ky) * k + kx) * a.in + c) * Panel;
          for (int y = 0; y < rows; y++)
            for (int g = 0; g < groups; g++) {
              const int x = a.width * g / groups, count = a.width * (g + 1) / groups - x;
              tile_of<kTile, Panel, false>(count, values + (static_cast<int64_t>(y + ky) * across + x + kx) * pitch + c, pitch, depth,
                                    near, sums + (y * a.width + x) * Panel);
            }
        }
    float* to = out + (picture * a.height + top) * a.width * static_cast<int64_t>(a.out) + first;
    for (int i = 0; i < pixels; i++) __builtin_memcpy(to + static_cast<int64_t>(i) * a.out, sums + i * Panel, sizeof(float) * some);
  }
}

// What follows is F(2 x 2, 3 x 3) of Lavin and Gray (arXiv 1509.09308): four results of a 3 x 3 kernel by 16 products in
// place of 36. Its roundings are a few times those of the sums above: gradients take it, what decides spikes does not.
constexpr int kSquares = 16;  // of four by four inputs
constexpr int kFours = 56;    // about as many squares of results share what is read of the weights

// What squares [4][4] become along one side, for values as for registers of them.
template <class X>
static inline void spread(const X* d, int step, X* out) {
  out[0] = d[0] - d[2 * step], out[step] = d[step] + d[2 * step];
  out[2 * step] = d[2 * step] - d[step], out[3 * step] = d[step] - d[3 * step];
}

// a template forgets that registers are read from anywhere
static inline void read(const float* p, V& x) { x = take(p); }
static inline void read(const float* p, float& x) { x = *p; }
static inline void write(float* p, V x) { put(p, x); }
static inline void write(float* p, float x) { *p = x; }

template <class X>
static inline void spread_square(const float* const* from, int c, float* to, int64_t plane) {
  X d[kSquares], half[kSquares], whole[kSquares];
  UNROLLED
  for (int i = 0; i < kSquares; i++) read(from[i] + c, d[i]);
  UNROLLED
  for (int i = 0; i < 4; i++) spread(d + i, 4, half + i);
  UNROLLED
  for (int i = 0; i < 4; i++) spread(half + 4 * i, 1, whole + 4 * i);
  UNROLLED
  for (int i = 0; i < kSquares; i++) write(to + i * plane + c, whole[i]);
}

// Panels of taps as panels of squares, [panel][square][input][Panel].
template <int Panel>
static void squared(const DenseMaps& a, const float* panels, float* squares) {
  const int64_t size = static_cast<int64_t>(a.in) * Panel;
  parallel((a.out + Panel - 1) / Panel, [&](int64_t panel) {
    const float* from = panels + panel * 9 * size;
    float* to = squares + panel * kSquares * size;
    for (int64_t i = 0; i < size; i += kWide) {
      V rows[4][3];
      const V half = every(0.5f);
      UNROLLED
      for (int x = 0; x < 3; x++) {
        const V top = take(from + x * size + i), middle = take(from + (3 + x) * size + i), low = take(from + (6 + x) * size + i);
        rows[0][x] = top, rows[3][x] = low;
        rows[1][x] = (top + middle + low) * half, rows[2][x] = (top - middle + low) * half;
      }
      UNROLLED
      for (int y = 0; y < 4; y++) {
        const V one = rows[y][0], two = rows[y][1], three = rows[y][2];
        put(to + (4 * y) * size + i, one), put(to + (4 * y + 3) * size + i, three);
        put(to + (4 * y + 1) * size + i, (one + two + three) * half);
        put(to + (4 * y + 2) * size + i, (one - two + three) * half);
      }
    }
  });
}

template <int Panel>
static void convolve_fours(const DenseMaps& a, const float* squares, float* out, int64_t picture, int top, int rows) {
  const int wide = (a.width + 1) / 2, fours = rows * wide;
  const int64_t pitch = a.in + kGap, plane = fours * pitch, sum_plane = static_cast<int64_t>(fours) * Panel;
  const float* own = a.x + picture * a.height * a.width * a.in;
  float* values = static_cast<float*>(scratch(0, sizeof(float) * kSquares * plane));
  float* sums = static_cast<float*>(scratch(1, sizeof(float) * kSquares * sum_plane));
  float* nothing = static_cast<float*>(scratch(2, sizeof(float) * a.in));
  __builtin_memset(nothing, 0, sizeof(float) * a.in);
  for (int f = 0; f < fours; f++) {
    const int y = 2 * (top + f / wide) - 1, x = 2 * (f % wide) - 1;
    const float* from[kSquares];
    for (int i = 0; i < kSquares; i++) {
      const int py = y + i / 4, px = x + i % 4;
      const bool inside = py >= 0 && px >= 0 && py < a.height && px < a.width;
      from[i] = inside ? own + (static_cast<int64_t>(py) * a.width + px) * a.in : nothing;
    }
    int c = 0;
    for (; c + kWide <= a.in; c += kWide) spread_square<V>(from, c, values + f * pitch, plane);
    for (; c < a.in; c++) spread_square<float>(from, c, values + f * pitch, plane);
  }
  const int groups = (fours + kTile - 1) / kTile;
  for (int first = 0; first < a.out; first += Panel) {
    const int some = static_cast<int>(less(Panel, a.out - first));
    __builtin_memset(sums, 0, sizeof(float) * kSquares * sum_plane);
    for (int s = 0; s < kSquares; s++)
      for (int c = 0; c < a.in; c += kDepth) {
        const float* near = squares + (static_cast<int64_t>(first / Panel) * kSquares + s) * a.in * Panel + c * Panel;
        for (int g = 0; g < groups; g++) {
          const int f = fours * g / groups, count = fours * (g + 1) / groups - f;
          tile_of<kTile, Panel, false>(count, values + s * plane + f * pitch + c, pitch, less(kDepth, a.in - c), near,
                                sums + s * sum_plane + f * Panel);
        }
      }
    for (int f = 0; f < fours; f++) {
      alignas(64) float four[4][Panel];
      UNROLLED
      for (int i = 0; i < Panel; i += kWide) {
        V m[2][4];
        UNROLLED
        for (int x = 0; x < 4; x++) {
          const float* at = sums + x * sum_plane + f * Panel + i;
          const V one = take(at + 4 * sum_plane), two = take(at + 8 * sum_plane);
          m[0][x] = take(at) + one + two, m[1][x] = one - two - take(at + 12 * sum_plane);
        }
        UNROLLED
        for (int y = 0; y < 2; y++) {
          put(four[2 * y] + i, m[y][0] + m[y][1] + m[y][2]);
          put(four[2 * y + 1] + i, m[y][1] - m[y][2] - m[y][3]);
        }
      }
      for (int i = 0; i < 4; i++) {
        const int y = 2 * (top + f / wide) + i / 2, x = 2 * (f % wide) + i % 2;
        if (y >= a.height || x >= a.width) continue;
        float* to = out + ((picture * a.height + y) * a.width + x) * static_cast<int64_t>(a.out) + first;
        __builtin_memcpy(to, four[i], sizeof(float) * some);
      }
    }
  }
}

// A gradient of the input of a 3 x 3 convolution.
template <int Panel>
static void convolve_in_fours(const DenseMaps& a, const float* panels, float* out) {
  const int64_t all = static_cast<int64_t>((a.out + Panel - 1) / Panel) * kSquares * a.in * Panel;
  float* squares = static_cast<float*>(scratch(5, sizeof(float) * all));
  squared<Panel>(a, panels, squares);
  const int high = (a.height + 1) / 2, wide = (a.width + 1) / 2;
  const int rows = static_cast<int>(less(high, kFours / wide > 1 ? kFours / wide : 1));
  const int64_t bands = (high + rows - 1) / rows;
  parallel(a.pictures * bands, [&](int64_t item) {
    const int top = static_cast<int>(item % bands) * rows;
    convolve_fours<Panel>(a, squares, out, item / bands, top, static_cast<int>(less(rows, high - top)));
  });
}

template <int Panel>
static void convolve_by(const DenseMaps& a, const Weights& weights, const float* bias, float* out) {
  const int64_t panels = (a.out + Panel - 1) / Panel, taps = static_cast<int64_t>(a.kernel) * a.kernel;
  float* w = static_cast<float*>(scratch(4, sizeof(float) * panels * taps * a.in * Panel));
  panels_of<Panel>(a, weights, w);
  // of few channels the products are not what takes the time
  if constexpr (Panel >= kLanes)
    if (a.kernel == 3 && weights.turned && !bias && a.in >= kLanes && a.out >= kLanes)
      return convolve_in_fours<Panel>(a, w, out);
  if (a.kernel == 1) {
    // pixels have no neighbours: one long row
    const int64_t pixels = a.pictures * a.height * a.width, bands = (pixels + kPixels - 1) / kPixels;
    return parallel(bands, [&](int64_t band) {
      DenseMaps part = a;
      part.x = a.x + band * kPixels * a.in;
      part.height = 1, part.width = static_cast<int32_t>(less(kPixels, pixels - band * kPixels));
      convolve_band<Panel>(part, w, bias, out + band * kPixels * a.out, 0, 0, 1);
    });
  }
  const int rows = static_cast<int>(less(a.height, kPixels / a.width > 1 ? kPixels / a.width : 1));
  const int64_t bands = (a.height + rows - 1) / rows;
  parallel(a.pictures * bands, [&](int64_t item) {
    const int top = static_cast<int>(item % bands) * rows;
    convolve_band<Panel>(a, w, bias, out, item / bands, top, static_cast<int>(less(rows, a.height - top)));
  });
}

static void convolve(const DenseMaps& a, const Weights& weights, const float* bias, float* out) {
  with_panels(a.out, [&](auto panels) { convolve_by<panels.kFloats>(a, weights, bias, out); });
}

// The gradient of weights: [slice][tap][in][out] of pictures x and of rows [picture, pixel][out].
template <int Panel>
static void weigh_by(const DenseMaps& a, const float* to_out, float* to_weights) {
  const int64_t size = static_cast<int64_t>(a.height) * a.width, rows = a.pictures * size;
  const int64_t panels = (a.out + Panel - 1) / Panel, taps = static_cast<int64_t>(a.kernel) * a.kernel;
  constexpr int kSome = 128, kInputs = 8 * kTile, kPitch = kInputs + kGap;
  const int64_t blocks = (a.in + kInputs - 1) / kInputs;
  parallel(kSlices * taps * blocks, [&](int64_t item) {
    const int64_t slice = item / (taps * blocks), tap = item / blocks % taps, end = rows * (slice + 1) / kSlices;
    const int from = static_cast<int>(item % blocks) * kInputs, count = static_cast<int>(less(kInputs, a.in - from));
    const int down = static_cast<int>(tap) / a.kernel - a.kernel / 2, along = static_cast<int>(tap) % a.kernel - a.kernel / 2;
    const int tiles = (count + kTile - 1) / kTile;
    float* sums = static_cast<float*>(scratch(0, sizeof(float) * kInputs * panels * Panel));
    float* x = static_cast<float*>(scratch(1, sizeof(float) * kSome * kPitch));
    float* y = static_cast<float*>(scratch(2, sizeof(float) * kSome * Panel));
    __builtin_memset(sums, 0, sizeof(float) * kInputs * panels * Panel);
    for (int64_t row = rows * slice / kSlices; row < end; row += kSome) {
      const int some = static_cast<int>(less(kSome, end - row));
      for (int i = 0; i < some; i++) {
        // the pixel that this one sees through the tap
        const int64_t at = row + i, py = at % size / a.width + down, px = at % a.width + along;
        const bool inside = py >= 0 && px >= 0 && py < a.height && px < a.width;
        if (inside) __builtin_memcpy(x + i * kPitch, a.x + (at + down * a.width + along) * a.in + from, sizeof(float) * count);
        else __builtin_memset(x + i * kPitch, 0, sizeof(float) * count);
      }
      for (int64_t panel = 0; panel < panels; panel++) {
        const int first = static_cast<int>(panel) * Panel, valid = static_cast<int>(less(Panel, a.out - first));
        if (valid < Panel) __builtin_memset(y, 0, sizeof(float) * kSome * Panel);
        for (int i = 0; i < some; i++)
          __builtin_memcpy(y + i * Panel, to_out + (row + i) * a.out + first, sizeof(float) * valid);
        for (int t = 0; t < tiles; t++) {
          const int begin = count * t / tiles, inputs = count * (t + 1) / tiles - begin;
          tile_of<kTile, Panel, true>(inputs, x + begin, kPitch, some, y, sums + (panel * kInputs + begin) * Panel);
        }
      }
    }
    float* to = to_weights + (slice * taps + tap) * static_cast<int64_t>(a.in) * a.out;
    for (int64_t panel = 0; panel < panels; panel++) {
      const int first = static_cast<int>(panel) * Panel, valid = static_cast<int>(less(Panel, a.out - first));
      for (int i = 0; i < count; i++)
        __builtin_memcpy(to + static_cast<int64_t>(from + i) * a.out + first, sums + (panel * kInputs + i) * Panel,
                         sizeof(float) * valid);
    }
  });
}

static void weigh(const DenseMaps& a, const float* to_out, float* to_weights) {
  with_panels(a.out, [&](auto panels) { weigh_by<panels.kFloats>(a, to_out, to_weights); });
}
