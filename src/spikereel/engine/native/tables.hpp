// Spiking convolution by tables in registers: five spikes of a pixel are an index into the 32 sums of their weights,
// which lie in two registers; a permutation looks up sixteen pixels. The time does not depend on the firing rate.
// With coarse weights, of 16 bits, six spikes are an index into 64 sums, and a permutation looks up 32 pixels.

struct Exact {
  using Weight = int32_t;
  static constexpr int kSpikes = 5, kPixels = 16;
  static constexpr int kWordGroups = 13;  // groups of channels in a word of 64: twelve, and one of four
};

struct Coarse {
  using Weight = int16_t;
  static constexpr int kSpikes = 6, kPixels = 32;
  static constexpr int kWordGroups = 11;
};

constexpr int kOutputs = 4;       // output channels that share the indices of a tile
constexpr int kUnits = 4;         // vectors of sixteen pixels that share a table
constexpr int kTableGroups = 40;  // tables of four outputs that stay in the first cache
constexpr int kPartUnits = 128;

struct IndexRows {
  uint8_t* rows;
  int64_t row, frame;  // bytes
  int width;           // pixels of a row, borders included
};

template <class K>
static inline void index_pixels(const TableConv<typename K::Weight>& a, const IndexRows& index, int plane, int t, int y) {
  const Shape& s = a.shape;
  const int words = (a.in.channels + 63) / 64;
  uint8_t* to = index.rows + static_cast<int64_t>(plane) * a.groups * index.row + t * index.frame +
                static_cast<int64_t>(y + s.padding) * index.width + s.padding;
  const uint16_t* from =
      a.in.bits + plane * a.in.plane + t * a.in.frame + static_cast<int64_t>(y) * s.width * a.in.pixel;
  const __m512i step = _mm512_mullo_epi64(_mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7), _mm512_set1_epi64(a.in.pixel * 2));
  for (int x = 0; x < s.width; x += 8) {
    const int some = smaller(8, s.width - x);
    const __mmask8 there = static_cast<__mmask8>((1 << some) - 1);
    for (int w = 0; w < words; w++) {
      const __m512i bits = _mm512_mask_i64gather_epi64(_mm512_setzero_si512(), there, step, from + x * a.in.pixel + w * 4, 1);
      const int groups = smaller(K::kWordGroups, a.groups - w * K::kWordGroups);
      for (int g = 0; g < groups; g++) {
        const __m512i five = _mm512_and_si512(_mm512_srl_epi64(bits, _mm_cvtsi32_si128(K::kSpikes * g)),
                                                _mm512_set1_epi64((1 << K::kSpikes) - 1));
        _mm_mask_storeu_epi8(to + (w * K::kWordGroups + g) * index.row + x, there, _mm512_cvtepi64_epi8(five));
      }
    }
  }
}

static inline void build_table(const int32_t* w, int32_t* table) {
  __m512i low = _mm512_maskz_set1_epi32(0xaaaa, w[0]);
  low = _mm512_mask_add_epi32(low, 0xcccc, low, _mm512_set1_epi32(w[1]));
  low = _mm512_mask_add_epi32(low, 0xf0f0, low, _mm512_set1_epi32(w[2]));
  low = _mm512_mask_add_epi32(low, 0xff00, low, _mm512_set1_epi32(w[3]));
  _mm512_store_si512(table, low);
  _mm512_store_si512(table + 16, _mm512_add_epi32(low, _mm512_set1_epi32(w[4])));
}

static inline void build_table(const int16_t* w, int16_t* table) {
  __m512i low = _mm512_maskz_set1_epi16(0xaaaaaaaa, w[0]);
  low = _mm512_mask_add_epi16(low, 0xcccccccc, low, _mm512_set1_epi16(w[1]));
  low = _mm512_mask_add_epi16(low, 0xf0f0f0f0, low, _mm512_set1_epi16(w[2]));
  low = _mm512_mask_add_epi16(low, 0xff00ff00, low, _mm512_set1_epi16(w[3]));
  low = _mm512_mask_add_epi16(low, 0xffff0000, low, _mm512_set1_epi16(w[4]));
  _mm512_store_si512(table, low);
  _mm512_store_si512(table + 32, _mm512_add_epi16(low, _mm512_set1_epi16(w[5])));
}

static inline __m512i index_at(const uint8_t* from, Exact) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
static inline __m512i index_at(const uint8_t* from, Coarse) {
  return _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
static inline __m512i add_entry(__m512i sum, __m512i low, __m512i index, __m512i high, Exact) {
  return _mm512_add_epi32(sum, _mm512_permutex2var_epi32(low, index, high));
}
static inline __m512i add_entry(__m512i sum, __m512i low, __m512i index, __m512i high, Coarse) {
  return _mm512_add_epi16(sum, _mm512_permutex2var_epi16(low, index, high));
}
// Onto sums in 32 bits: sixteen pixels, or two blocks of sixteen.
static inline void flush(int32_t* sums, __m512i sum, bool first, Exact) {
  _mm512_store_si512(sums, first ? sum : _mm512_add_epi32(_mm512_load_si512(sums), sum));
}
static inline void flush(int32_t* sums, __m512i sum, bool first, Coarse) {
  flush(sums, _mm512_cvtepi16_epi32(_mm512_castsi512_si256(sum)), first, Exact{});
  flush(sums + 256, _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(sum, 1)), first, Exact{});
}

// sums [unit][block of 16 pixels][16 outputs][16 pixels], four of the outputs, of kUnits units whose indices begin at `base`.
template <class K>
static inline void look_up(const typename K::Weight* tables, const uint8_t* const* rows, int count,
                           const uint8_t* const* base, int64_t plane, int planes, int32_t* sums, bool first) {
  constexpr int kEntries = 1 << K::kSpikes, kBlocks = K::kPixels / 16;
  __m512i acc[kOutputs][kUnits];
  UNROLLED
  for (int i = 0; i < kOutputs; i++)
    UNROLLED
    for (int u = 0; u < kUnits; u++) acc[i][u] = _mm512_setzero_si512();
  for (int d = 0; d < planes; d++) {
    const int64_t skip = d * plane;
    for (int j = 0; j < count; j++) {
      const int64_t at = reinterpret_cast<intptr_t>(rows[j]) + skip;
      __m512i index[kUnits];
      UNROLLED
      for (int u = 0; u < kUnits; u++) index[u] = index_at(base[u] + at, K{});
      UNROLLED
      for (int i = 0; i < kOutputs; i++) {
        const typename K::Weight* table = tables + (static_cast<int64_t>(i) * count + j) * kEntries;
        const __m512i low = _mm512_load_si512(table), high = _mm512_load_si512(table + kEntries / 2);
        UNROLLED
        for (int u = 0; u < kUnits; u++) acc[i][u] = add_entry(acc[i][u], low, index[u], high, K{});
      }
    }
  }
  UNROLLED
  for (int i = 0; i < kOutputs; i++)
    UNROLLED
    for (int u = 0; u < kUnits; u++) flush(sums + u * 256 * kBlocks + i * 16, acc[i][u], first, K{});
}

static inline void transpose(int32_t* in) {
  __m512 a[16], b[16], r[16];
  UNROLLED
  for (int i = 0; i < 16; i++) a[i] = _mm512_castsi512_ps(_mm512_load_si512(in + 16 * i));
  UNROLLED
  for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
  }
  UNROLLED
  for (int i = 0; i < 16; i += 4)
    UNROLLED
    for (int j = 0; j < 2; j++) {
      a[i + 2 * j] = _mm512_shuffle_ps(b[i + j], b[i + 2 + j], 0x44);
      a[i + 2 * j + 1] = _mm512_shuffle_ps(b[i + j], b[i + 2 + j], 0xee);
    }
  UNROLLED
  for (int j = 0; j < 4; j++) {
    const __m512 p = _mm512_shuffle_f32x4(a[j], a[4 + j], 0x88), q = _mm512_shuffle_f32x4(a[8 + j], a[12 + j], 0x88);
    const __m512 u = _mm512_shuffle_f32x4(a[j], a[4 + j], 0xdd), v = _mm512_shuffle_f32x4(a[8 + j], a[12 + j], 0xdd);
    r[j] = _mm512_shuffle_f32x4(p, q, 0x88);
    r[8 + j] = _mm512_shuffle_f32x4(p, q, 0xdd);
    r[4 + j] = _mm512_shuffle_f32x4(u, v, 0x88);
    r[12 + j] = _mm512_shuffle_f32x4(u, v, 0xdd);
  }
  UNROLLED
  for (int i = 0; i < 16; i++) _mm512_store_si512(in + 16 * i, _mm512_castps_si512(r[i]));
}

template <class K>
static void table_conv(const TableConv<typename K::Weight>& a) {
  constexpr int kPixels = K::kPixels, kBlocks = kPixels / 16, kSpikes = K::kSpikes, kEntries = 1 << kSpikes;
  const Shape& s = a.shape;
  const int taps = s.kernel * s.kernel, groups = a.groups, planes = a.in.planes;
  IndexRows index;
  index.width = s.width + 2 * s.padding;
  index.frame = static_cast<int64_t>(s.height + 2 * s.padding) * index.width;
  index.row = (index.frame * s.frames + 2 * index.width + 127) / 64 * 64;
  const size_t bytes = static_cast<size_t>(index.row) * groups * planes;
  index.rows = static_cast<uint8_t*>(scratch(3, bytes));
  if (s.padding) __builtin_memset(index.rows, 0, bytes);
  parallel(static_cast<int64_t>(planes) * s.frames * s.height, [&](int64_t item) {
    const int y = static_cast<int>(item % s.height), t = static_cast<int>(item / s.height % s.frames);
    index_pixels<K>(a, index, static_cast<int>(item / s.height / s.frames), t, y);
  });
  // outputs lie where the window begins, on the grid with borders; those right of the picture are left out at the end
  const int64_t last = static_cast<int64_t>(s.height - 1) * index.width + s.width;
  const int vectors = static_cast<int>((last + kPixels - 1) / kPixels);
  const int part = larger(1, kPartUnits / kBlocks / s.frames), parts = (vectors + part - 1) / part;
  parallel(static_cast<int64_t>(parts) * a.out.vectors, [&](int64_t item) {
    const int c = static_cast<int>(item / parts), begin = static_cast<int>(item % parts) * part;
    const int end = smaller(begin + part, vectors), units = (end - begin) * s.frames;
    const int padded = (units + kUnits - 1) / kUnits * kUnits;
    int32_t* sums = static_cast<int32_t*>(scratch(0, static_cast<size_t>(padded) * kBlocks * 1024));
    auto* table = static_cast<typename K::Weight*>(scratch(1, kOutputs * kTableGroups * 128));
    const uint8_t** base = static_cast<const uint8_t**>(scratch(2, (padded + kTableGroups) * sizeof(void*)));
    const uint8_t** rows = base + padded;
    for (int u = 0; u < padded; u++) {
      const int unit = smaller(u, units - 1);
      base[u] = index.rows + unit % s.frames * index.frame + (begin + unit / s.frames) * kPixels;
    }
    for (int first = 0; first < taps * groups; first += kTableGroups) {
      const int count = smaller(kTableGroups, taps * groups - first);
      for (int j = 0; j < count; j++) {
        const int tap = (first + j) / groups, g = (first + j) % groups;
        rows[j] = reinterpret_cast<const uint8_t*>(g * index.row + tap / s.kernel * index.width + tap % s.kernel);
      }
      for (int i = 0; i < kLanes; i += kOutputs) {
        for (int o = 0; o < kOutputs; o++)
          for (int j = 0; j < count; j++)
            build_table(a.weights + ((static_cast<int64_t>(c) * kLanes + i + o) * taps * groups + first + j) * kSpikes,
                        table + (static_cast<int64_t>(o) * count + j) * kEntries);
        for (int u = 0; u < padded; u += kUnits)
          look_up<K>(table, rows, count, base + u, groups * index.row, planes, sums + u * 256 * kBlocks + i * 16, first == 0);
      }
    }
    Tally near;
    for (int block = 0; block < units / s.frames * kBlocks; block++) {
      const int unit = block / kBlocks * s.frames;
      int32_t* own = sums + (static_cast<int64_t>(unit) * kBlocks + block % kBlocks) * 256;
      for (int t = 0; t < s.frames; t++) transpose(own + t * 256 * kBlocks);
      const int64_t at = static_cast<int64_t>(begin) * kPixels + block * 16;
      int64_t y = at / index.width, x = at % index.width;
      for (int i = 0, some; i < 16; i += some, x += some) {
        if (x == index.width) y++, x = 0;
        some = smaller(16 - i, static_cast<int>((x < s.width ? s.width : index.width) - x));
        if (x >= s.width || y >= s.height) continue;
        emit(a.out, y * s.width + x, c, some, Sums<int32_t>{own + i * 16, 256 * kBlocks, 16, 1, 0}, 0, s.frames, near);
      }
    }
    report_near(a.out, near);
  });
}

static void tables(const TableConv<int32_t>& a) { table_conv<Exact>(a); }
static void coarse(const TableConv<int16_t>& a) { table_conv<Coarse>(a); }
