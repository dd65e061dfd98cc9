// Convolutions of spikes whose inputs are lists of what fired: sums of rows of weights, and of rows of gradients.

// Numbers of the set bits, from `base` on; writes up to 32 entries past the last one.
static inline uint16_t* listed(uint16_t* out, const uint8_t* bits, int channels, int base) {
  for (int c = 0; c < channels; c += 32) {
    uint32_t set = 0;
    __builtin_memcpy(&set, bits + c / 8, channels - c >= 32 ? 4 : static_cast<size_t>(channels - c) / 8);
#if defined(SPIKEREEL_AVX512)
    const __m512i names = _mm512_add_epi16(_mm512_loadu_si512(kCounting), _mm512_set1_epi16(static_cast<short>(base + c)));
    _mm512_storeu_si512(out, _mm512_maskz_compress_epi16(set, names));
    out += __builtin_popcount(set);
#else
    for (; set; set &= set - 1) *out++ = static_cast<uint16_t>(base + c + __builtin_ctz(set));
#endif
  }
  return out;
}

static inline uint16_t* appended(uint16_t* out, const uint16_t* list, int64_t count, int base) {
  for (int64_t i = 0; i < count; i += 32)
    for (int j = 0; j < 32; j++) out[i + j] = static_cast<uint16_t>(list[i + j] + base);
  return out + count;
}

// sums live in registers only as vectors, and where their loops are unrolled whole
typedef float V __attribute__((vector_size(kVector), aligned(4), may_alias));
#define UNROLLED _Pragma("GCC unroll 32")

template <int Lanes>
static inline void add_rows(const uint16_t* list, int64_t count, const float* weights, const float* bias, float* out) {
  constexpr int n = Lanes * 4 / kVector, width = kVector / 4;
  V total[n];
  UNROLLED
  for (int i = 0; i < n; i++) total[i] = bias ? *reinterpret_cast<const V*>(bias + i * width) : V{};
  for (int64_t e = 0; e < count; e++) {
    const float* row = weights + static_cast<int64_t>(list[e]) * Lanes;
    UNROLLED
    for (int i = 0; i < n; i++) total[i] += *reinterpret_cast<const V*>(row + i * width);
  }
  UNROLLED
  for (int i = 0; i < n; i++) *reinterpret_cast<V*>(out + i * width) = total[i];
}

constexpr int kBand = 4;  // rows of a picture whose lists are made at once

template <int Lanes>
static void events_band(const SpikeMaps& a, const float* weights, const float* bias, float* out, int64_t picture, int top) {
  const int k = a.kernel, half = k / 2, rows = static_cast<int>(less(kBand, a.height - top)), w = a.width;
  const int64_t depth = static_cast<int64_t>(k) * k * a.in, row_values = static_cast<int64_t>(w) * a.in;
  const int64_t frame = picture / a.pictures, inside = picture % a.pictures;
  const uint8_t* bits = a.bits + frame * ((a.pictures * a.height * row_values + 7) / 8) + inside * a.height * row_values / 8;
  const int all = rows + 2 * half;
  uint32_t* begin = static_cast<uint32_t*>(scratch(0, (static_cast<size_t>(all) * w + 1) * 4));
  uint16_t* own = static_cast<uint16_t*>(scratch(1, (static_cast<size_t>(all) * row_values + 64) * 2));
  uint16_t* window = static_cast<uint16_t*>(scratch(2, (static_cast<size_t>(w) * depth + 64) * 2));
  uint32_t* window_begin = static_cast<uint32_t*>(scratch(3, (static_cast<size_t>(w) + 1) * 4));
  uint16_t* end = own;
  int64_t at = 0;
  for (int y = top - half; y < top + rows + half; y++)
    for (int x = 0; x < w; x++) {
      begin[at++] = static_cast<uint32_t>(end - own);
      if (y >= 0 && y < a.height) end = listed(end, bits + (y * row_values + static_cast<int64_t>(x) * a.in) / 8, a.in, 0);
    }
  begin[at] = static_cast<uint32_t>(end - own);
  for (int y = 0; y < rows; y++) {
    uint16_t* to = window;
    for (int x = 0; x < w; x++) {
      window_begin[x] = static_cast<uint32_t>(to - window);
      for (int ky = 0; ky < k; ky++)
        for (int kx = 0; kx < k; kx++) {
          const int from = x + kx - half;
          if (from < 0 || from >= w) continue;
          const uint32_t* here = begin + static_cast<int64_t>(y + ky) * w + from;
          to = appended(to, own + here[0], here[1] - here[0], (ky * k + kx) * a.in);
        }
    }
    window_begin[w] = static_cast<uint32_t>(to - window);
    float* row = out + (picture * a.height + top + y) * static_cast<int64_t>(w) * a.out;
    for (int first = 0; first < a.out; first += Lanes)
      for (int x = 0; x < w; x++)
        add_rows<Lanes>(window + window_begin[x], window_begin[x + 1] - window_begin[x], weights + first * depth,
                        bias ? bias + first : nullptr, row + static_cast<int64_t>(x) * a.out + first);
  }
}

static void events(const SpikeMaps& a, const float* weights, int lanes, const float* bias, float* out) {
  const int64_t bands = (a.height + kBand - 1) / kBand;
  parallel(a.frames * a.pictures * bands, [&](int64_t item) {
    const int64_t picture = item / bands;
    const int top = static_cast<int>(item % bands) * kBand;
    switch (lanes) {
      case 128: return events_band<128>(a, weights, bias, out, picture, top);
      case 64: return events_band<64>(a, weights, bias, out, picture, top);
      case 32: return events_band<32>(a, weights, bias, out, picture, top);
      default: return events_band<16>(a, weights, bias, out, picture, top);
    }
  });
}

constexpr int kSide = 8;  // a tile has as many pixels along each side

// Rows of gradients of `Taps` pixels next to each other, added up over a list of places.
template <int Lanes, int Taps>
static inline void add_places(const uint16_t* list, int count, const float* from, float* const* into) {
  constexpr int n = Lanes * 4 / kVector, width = kVector / 4;
  V total[Taps * n];
  UNROLLED
  for (int i = 0; i < Taps * n; i++) total[i] = V{};
  for (int e = 0; e < count; e++) {
    const float* row = from + static_cast<int64_t>(list[e]) * Lanes;
    UNROLLED
    for (int i = 0; i < Taps * n; i++) total[i] += *reinterpret_cast<const V*>(row + i * width);
  }
  UNROLLED
  for (int tap = 0; tap < Taps; tap++) {
    UNROLLED
    for (int i = 0; i < n; i++) *reinterpret_cast<V*>(into[tap] + i * width) += total[tap * n + i];
  }
}

// One tile: its gradients with the pixels around them, its lists of places for each channel, and their sums.
template <int Lanes, int K>
static void gather_tile(const SpikeMaps& a, const float* to_out, float* to_weights, int64_t picture, int top, int left,
                        int first) {
  constexpr int half = K / 2, wide = kSide + 2 * half;
  const int rows = static_cast<int>(less(kSide, a.height - top)), columns = static_cast<int>(less(kSide, a.width - left));
  float* around = static_cast<float*>(scratch(0, sizeof(float) * wide * wide * Lanes));
  for (int y = 0; y < rows + 2 * half; y++)
    for (int x = 0; x < columns + 2 * half; x++) {
      const int py = top + y - half, px = left + x - half;
      float* to = around + (y * wide + x) * Lanes;
      if (py < 0 || px < 0 || py >= a.height || px >= a.width) {
        for (int i = 0; i < Lanes; i++) to[i] = 0.0f;
        continue;
      }
      const float* from = to_out + ((picture * a.height + py) * a.width + px) * a.out + first;
      for (int i = 0; i < Lanes; i++) to[i] = from[i];
    }
  const int64_t row_values = static_cast<int64_t>(a.width) * a.in;
  const int64_t frame = picture / a.pictures, inside = picture % a.pictures;
  const uint8_t* bits = a.bits + frame * ((a.pictures * a.height * row_values + 7) / 8) + inside * a.height * row_values / 8;
  uint16_t* lists = static_cast<uint16_t*>(scratch(1, static_cast<size_t>(a.in) * kSide * kSide * 2));
  int32_t* counts = static_cast<int32_t*>(scratch(2, static_cast<size_t>(a.in) * 4));
  for (int c = 0; c < a.in; c++) counts[c] = 0;
  for (int y = 0; y < rows; y++)
    for (int x = 0; x < columns; x++) {
      const uint8_t* here = bits + ((top + y) * row_values + static_cast<int64_t>(left + x) * a.in) / 8;
      const uint16_t place = static_cast<uint16_t>(y * wide + x);
      for (int c = 0; c < a.in; c += 32) {
        uint32_t set = 0;
        __builtin_memcpy(&set, here + c / 8, a.in - c >= 32 ? 4 : static_cast<size_t>(a.in - c) / 8);
        for (; set; set &= set - 1) {
          const int channel = c + __builtin_ctz(set);
          lists[channel * kSide * kSide + counts[channel]++] = place;
        }
      }
    }
  for (int c = 0; c < a.in; c++) {
    if (!counts[c]) continue;
    for (int ky = 0; ky < K; ky++) {
      // an input is seen by outputs above it through the last row of weights; so from left to right
      float* into[K];
      for (int kx = 0; kx < K; kx++)
        into[kx] = to_weights + ((static_cast<int64_t>(ky) * K + (K - 1 - kx)) * a.in + c) * a.out + first;
      add_places<Lanes, K>(lists + c * kSide * kSide, counts[c], around + (K - 1 - ky) * wide * Lanes, into);
    }
  }
}

template <int Lanes, int K>
static void gather_all(const SpikeMaps& a, const float* to_out, float* to_weights) {
  const int64_t across = (a.width + kSide - 1) / kSide, down = (a.height + kSide - 1) / kSide;
  const int64_t tiles = a.frames * a.pictures * across * down, size = static_cast<int64_t>(K) * K * a.in * a.out;
  const int64_t blocks = a.out / Lanes;
  parallel(kSlices * blocks, [&](int64_t item) {
    const int64_t slice = item / blocks;
    const int first = static_cast<int>(item % blocks) * Lanes;
    float* own = to_weights + slice * size;
    for (int64_t row = 0; row < static_cast<int64_t>(K) * K * a.in; row++)
      __builtin_memset(own + row * a.out + first, 0, sizeof(float) * Lanes);
    for (int64_t tile = tiles * slice / kSlices; tile < tiles * (slice + 1) / kSlices; tile++) {
      const int64_t picture = tile / (across * down), place = tile % (across * down);
      gather_tile<Lanes, K>(a, to_out, own, picture, static_cast<int>(place / across) * kSide,
                            static_cast<int>(place % across) * kSide, first);
    }
  });
}

template <int K>
static void gather_kernel(const SpikeMaps& a, const float* to_out, float* to_weights) {
  switch (block_lanes(a.out, K == 1 ? 128 : 64)) {
    case 128: return gather_all<128, K>(a, to_out, to_weights);
    case 64: return gather_all<64, K>(a, to_out, to_weights);
    case 32: return gather_all<32, K>(a, to_out, to_weights);
    default: return gather_all<16, K>(a, to_out, to_weights);
  }
}

static void gather(const SpikeMaps& a, const float* to_out, float* to_weights) {
  if (a.kernel == 1) gather_kernel<1>(a, to_out, to_weights);
  else gather_kernel<3>(a, to_out, to_weights);
}
