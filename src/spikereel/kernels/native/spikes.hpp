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
static inline void add_rows(const uint16_t* list, int64_t count, const float* weights, const float* bias, int some,
                            float* out) {
  constexpr int n = Lanes * 4 / kVector, width = kVector / 4;
  V total[n];
  UNROLLED
  for (int i = 0; i < n; i++) total[i] = *reinterpret_cast<const V*>(bias + i * width);
  for (int64_t e = 0; e < count; e++) {
    const float* row = weights + static_cast<int64_t>(list[e]) * Lanes;
    UNROLLED
    for (int i = 0; i < n; i++) total[i] += *reinterpret_cast<const V*>(row + i * width);
  }
  if (some == Lanes) {
    UNROLLED
    for (int i = 0; i < n; i++) *reinterpret_cast<V*>(out + i * width) = total[i];
    return;
  }
  float all[Lanes];
  UNROLLED
  for (int i = 0; i < n; i++) *reinterpret_cast<V*>(all + i * width) = total[i];
  __builtin_memcpy(out, all, sizeof(float) * static_cast<size_t>(some));
}

// Weights as rows of inputs, [block][tap][input][lanes], zeros beyond the last output.
static void rows_of(const SpikeMaps& a, const Weights& w, float* rows) {
  const int64_t taps = static_cast<int64_t>(a.kernel) * a.kernel, depth = taps * a.in;
  parallel(blocks_of(a.out, 128), [&](int64_t item) {
    const Outputs block = block_of(a.out, 128, item);
    float* to = rows + block.first * depth;
    for (int64_t tap = 0; tap < taps; tap++) {
      const float* from = w.values + tap * w.tap + block.first * w.out;
      float* own = to + tap * a.in * block.lanes;
      for (int j = 0; j < block.lanes; j++)
        for (int64_t i = 0; i < a.in; i++)
          own[i * block.lanes + j] = j < block.some ? from[j * w.out + i * w.in] : 0.0f;
    }
  });
}

constexpr int kBand = 4;  // rows of a picture whose lists are made at once

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
    const int64_t blocks = blocks_of(a.out, 128);
    for (int64_t b = 0; b < blocks; b++) {
      const Outputs block = block_of(a.out, 128, b);
      float own_bias[128] = {};
      for (int i = 0; bias && i < block.some; i++) own_bias[i] = bias[block.first + i];
      const auto all = [&](auto add) {
        for (int x = 0; x < w; x++)
          add(window + window_begin[x], window_begin[x + 1] - window_begin[x], weights + block.first * depth, own_bias,
              block.some, row + static_cast<int64_t>(x) * a.out + block.first);
      };
      if (block.lanes == 128) all(add_rows<128>);
      else if (block.lanes == 64) all(add_rows<64>);
      else if (block.lanes == 32) all(add_rows<32>);
      else all(add_rows<16>);
    }
  }
}

static void events(const SpikeMaps& a, const Weights& weights, const float* bias, float* out) {
  const int64_t bands = (a.height + kBand - 1) / kBand, depth = static_cast<int64_t>(a.kernel) * a.kernel * a.in;
  float* rows = static_cast<float*>(scratch(4, sizeof(float) * static_cast<size_t>(depth * whole_lanes(a.out))));
  rows_of(a, weights, rows);
  parallel(a.frames * a.pictures * bands, [&](int64_t item) {
    events_band(a, rows, bias, out, item / bands, static_cast<int>(item % bands) * kBand);
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
                        int first, int some) {
  constexpr int half = K / 2, wide = kSide + 2 * half;
  const int rows = static_cast<int>(less(kSide, a.height - top)), columns = static_cast<int>(less(kSide, a.width - left));
  float* around = static_cast<float*>(scratch(0, sizeof(float) * wide * wide * Lanes));
  for (int y = 0; y < rows + 2 * half; y++)
    for (int x = 0; x < columns + 2 * half; x++) {
      const int py = top + y - half, px = left + x - half;
      float* to = around + (y * wide + x) * Lanes;
      const bool inside = py >= 0 && px >= 0 && py < a.height && px < a.width;
      const float* from = to_out + ((picture * a.height + py) * a.width + px) * a.out + first;
      if (inside && some == Lanes) {
        for (int i = 0; i < Lanes; i++) to[i] = from[i];
      } else {
        for (int i = 0; i < Lanes; i++) to[i] = inside && i < some ? from[i] : 0.0f;
      }
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
        into[kx] = to_weights + ((static_cast<int64_t>(ky) * K + (K - 1 - kx)) * a.in + c) * whole_lanes(a.out) + first;
      add_places<Lanes, K>(lists + c * kSide * kSide, counts[c], around + (K - 1 - ky) * wide * Lanes, into);
    }
  }
}

template <int K>
static void gather_kernel(const SpikeMaps& a, const float* to_out, float* to_weights) {
  constexpr int most = K == 1 ? 128 : 64;
  const int64_t across = (a.width + kSide - 1) / kSide, down = (a.height + kSide - 1) / kSide, pitch = whole_lanes(a.out);
  const int64_t tiles = a.frames * a.pictures * across * down, rows = static_cast<int64_t>(K) * K * a.in;
  const int64_t blocks = blocks_of(a.out, most);
  parallel(kSlices * blocks, [&](int64_t item) {
    const int64_t slice = item / blocks;
    const Outputs block = block_of(a.out, most, item % blocks);
    float* own = to_weights + slice * rows * pitch;
    for (int64_t row = 0; row < rows; row++) __builtin_memset(own + row * pitch + block.first, 0, sizeof(float) * block.lanes);
    for (int64_t tile = tiles * slice / kSlices; tile < tiles * (slice + 1) / kSlices; tile++) {
      const int64_t picture = tile / (across * down), place = tile % (across * down);
      const int top = static_cast<int>(place / across) * kSide, left = static_cast<int>(place % across) * kSide;
      const auto one = block.lanes == 64 ? gather_tile<64, K> : block.lanes == 32 ? gather_tile<32, K> :
                       block.lanes == 16 ? gather_tile<16, K> : gather_tile<most, K>;
      one(a, to_out, own, picture, top, left, block.first, block.some);
    }
  });
}

static void gather(const SpikeMaps& a, const float* to_out, float* to_weights) {
  if (a.kernel == 1) gather_kernel<1>(a, to_out, to_weights);
  else gather_kernel<3>(a, to_out, to_weights);
}
