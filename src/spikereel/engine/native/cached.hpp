// Spiking convolution by tables in the cache: five spikes of a pixel are an index into the 32 sums of their weights, each
// a row of sixteen outputs. The indices are the bits themselves; the time does not depend on the firing rate.

constexpr int kCachedSpikes = 5, kWordTables = 13, kTableRows = 32;
constexpr int64_t kCachedSums = 2048;  // pixels, over all frames, for which a set of tables serves

// Tables of a word of up to 64 inputs, from their weights, [table][32 rows][16 outputs].
static inline void build_cached(const int32_t* weights, int channels, int32_t* tables) {
  for (int first = 0; first < channels; first += kCachedSpikes, tables += kTableRows * kLanes) {
    I row[kTableRows];
    row[0] = zero_i();
    UNROLLED
    for (int i = 0; i < kCachedSpikes; i++) {
      const I one = first + i < channels ? load_i(weights + (first + i) * kLanes) : zero_i();
      UNROLLED
      for (int j = 0; j < 1 << i; j++) row[(1 << i) + j] = add_i(row[j], one);
    }
    UNROLLED
    for (int j = 0; j < kTableRows; j++) store_i(tables + j * kLanes, row[j]);
  }
}

// Offsets in bytes: an address without a factor is quicker.
static inline I cached_row(const int32_t* table, uint64_t word, int shift) {
  constexpr uint64_t kMask = (kTableRows - 1) * kLanes * 4;
  const uint64_t at = (shift >= 6 ? word >> (shift - 6) : word << (6 - shift)) & kMask;
  return load_i(reinterpret_cast<const int32_t*>(reinterpret_cast<const char*>(table) + at));
}

// Onto the sums of `count` pixels, whose words lie `step` apart. TABLES 0: any number of them.
template <int TABLES>
static inline void add_cached(const int32_t* tables, int some, const uint16_t* bits, int64_t step, int count, int32_t* sums) {
  for (int p = 0; p < count; p++, bits += step, sums += kLanes) {
    uint64_t word;
    __builtin_memcpy(&word, bits, 8);
    I a = load_i(sums), b = zero_i();
    if (TABLES) {
      UNROLLED
      for (int g = 0; g < TABLES; g++) {
        const I row = cached_row(tables + g * kTableRows * kLanes, word, g * kCachedSpikes);
        if (g & 1) b = add_i(b, row);
        else a = add_i(a, row);
      }
    } else {
      for (int g = 0; g < some; g++) a = add_i(a, cached_row(tables + g * kTableRows * kLanes, word, g * kCachedSpikes));
    }
    store_i(sums, add_i(a, b));
  }
}

static inline void add_cached_any(const int32_t* tables, int some, const uint16_t* bits, int64_t step, int count,
                                  int32_t* sums) {
  switch (some) {
    case kWordTables: return add_cached<kWordTables>(tables, some, bits, step, count, sums);
    case 8: return add_cached<8>(tables, some, bits, step, count, sums);
    case 7: return add_cached<7>(tables, some, bits, step, count, sums);
    default: return add_cached<0>(tables, some, bits, step, count, sums);
  }
}

// Rows y..y + high of the output, one tap of the window and one word of inputs.
static inline void cached_tap(const CachedConv& a, int word, int dy, int dx, int y, int high, const int32_t* tables, int some,
                              int32_t* sums) {
  const Shape& s = a.shape;
  // columns whose window has this tap inside the picture
  const int left = dx - s.padding;
  const int x0 = left < 0 ? (-left + s.stride - 1) / s.stride : 0;
  const int x1 = left >= s.width ? 0 : smaller(s.out_width, (s.width - 1 - left) / s.stride + 1);
  if (x0 >= x1) return;
  const bool whole = s.kernel == 1 && s.stride == 1 && s.padding == 0;
  for (int t = 0; t < s.frames; t++)
    for (int r = 0; r < high; r++) {
      const int yy = (y + r) * s.stride + dy - s.padding;
      if (yy < 0 || yy >= s.height) continue;
      int32_t* to = sums + (static_cast<int64_t>(t * high + r) * s.out_width + x0) * kLanes;
      const int64_t pixel = static_cast<int64_t>(yy) * s.width + x0 * s.stride + left;
      const int count = whole ? high * s.out_width : x1 - x0;
      for (int d = 0; d < a.in.planes; d++)
        add_cached_any(tables, some, a.in.bits + d * a.in.plane + t * a.in.frame + pixel * a.in.pixel + word * 4,
                       s.stride * a.in.pixel, count, to);
      if (whole) break;
    }
}

static void cached(const CachedConv& a) {
  const Shape& s = a.shape;
  const int channels = a.in.channels, words = (channels + 63) / 64, taps = s.kernel * s.kernel;
  const int fit = static_cast<int>(kCachedSums / (static_cast<int64_t>(s.frames) * s.out_width));
  const int most = smaller(s.out_height, larger(1, fit)), parts = (s.out_height + most - 1) / most;
  parallel(static_cast<int64_t>(parts) * a.out.vectors, [&](int64_t item) {
    const int c = static_cast<int>(item / parts), part = static_cast<int>(item % parts);
    const int y = s.out_height * part / parts, high = s.out_height * (part + 1) / parts - y;
    const int64_t frame = static_cast<int64_t>(high) * s.out_width * kLanes;
    int32_t* sums = static_cast<int32_t*>(scratch(0, static_cast<size_t>(frame) * s.frames * 4));
    int32_t* tables = static_cast<int32_t*>(scratch(1, kWordTables * kTableRows * kLanes * 4));
    __builtin_memset(sums, 0, static_cast<size_t>(frame) * s.frames * 4);
    for (int tap = 0; tap < taps; tap++)
      for (int w = 0; w < words; w++) {
        const int some = smaller(64, channels - w * 64);
        build_cached(a.weights + ((static_cast<int64_t>(c) * taps + tap) * channels + w * 64) * kLanes, some, tables);
        cached_tap(a, w, tap / s.kernel, tap % s.kernel, y, high, tables, (some + kCachedSpikes - 1) / kCachedSpikes, sums);
      }
    Tally near;
    const int64_t pixel = static_cast<int64_t>(y) * s.out_width;
    const int count = high * s.out_width;
    for (int p = 0; p < count; p += 4)
      emit(a.out, pixel + p, c, smaller(4, count - p), Sums<int32_t>{sums + static_cast<int64_t>(p) * kLanes, frame, kLanes, 1, 0},
           0, s.frames, near);
    report_near(a.out, near);
  });
}
