// Spiking convolution by event lists: for every pixel the rows of weights of its active inputs are added up, in fixed
// point. Sums of integers are the same in any order, so all kernels, threads, chunks and instruction sets agree.

// Rows of a picture in parts that differ by one row at most, the larger ones first.
struct Parts {
  int count, rows, more;
  int begin(int i) const { return i * rows + smaller(i, more); }
  int size(int i) const { return rows + (i < more); }
};

// Of `most` rows at most, `across` next to each other; where there are few, the same number for each thread.
static inline Parts parts_of(int rows, int most, int across) {
  const int all = helpers();
  int count = (rows + most - 1) / most;
  while (count < rows && count * across < 8 * all && count * across % all) count++;
  return {count, rows / count, rows % count};
}

// Channel numbers of the set bits, from `base` on; writes up to 32 entries past the last one.
static inline uint16_t* decode(uint16_t* out, const uint16_t* bits, int channels, int base) {
#if defined(SPIKEREEL_AVX512)
  for (int c = 0; c < channels; c += 32) {
    uint32_t set;
    __builtin_memcpy(&set, bits + c / 16, 4);
    const __m512i names = _mm512_add_epi16(_mm512_load_si512(kCounting), _mm512_set1_epi16(static_cast<short>(base + c)));
    _mm512_storeu_si512(out, _mm512_maskz_compress_epi16(set, names));
    out += __builtin_popcount(set);
  }
#else
  for (int c = 0; c < channels; c += 64) {
    uint64_t set;
    __builtin_memcpy(&set, bits + c / 16, 8);
    for (; set; set &= set - 1) *out++ = static_cast<uint16_t>(base + c + __builtin_ctzll(set));
  }
#endif
  return out;
}

// The same list further on: entries plus `base`, modulo 2^16.
static inline uint16_t* append(uint16_t* out, const uint16_t* list, int64_t count, int base) {
#if defined(SPIKEREEL_AVX512)
  const __m512i more = _mm512_set1_epi16(static_cast<short>(base));
  for (int64_t i = 0; i < count; i += 32)
    _mm512_storeu_si512(out + i, _mm512_add_epi16(_mm512_loadu_si512(list + i), more));
#else
  for (int64_t i = 0; i < count; i++) out[i] = static_cast<uint16_t>(list[i] + base);
#endif
  return out + count;
}

// Onto what `sums` holds, where there are sums before.
template <int NB>
static inline void add_rows(const uint16_t* list, int64_t count, const int32_t* weights, int32_t* sums, bool first) {
  I total[NB];
  UNROLLED
  for (int i = 0; i < NB; i++) total[i] = first ? zero_i() : load_i(sums + kLanes * i);
  int64_t e = 0;
  // two rows a turn: fewer jumps for short lists
  for (; e + 2 <= count; e += 2) {
    const int32_t* row = weights + static_cast<int64_t>(list[e]) * (NB * kLanes);
    const int32_t* next = weights + static_cast<int64_t>(list[e + 1]) * (NB * kLanes);
    UNROLLED
    for (int i = 0; i < NB; i++) total[i] = add_i(total[i], load_i(row + kLanes * i));
    UNROLLED
    for (int i = 0; i < NB; i++) total[i] = add_i(total[i], load_i(next + kLanes * i));
  }
  if (e < count) {
    const int32_t* row = weights + static_cast<int64_t>(list[e]) * (NB * kLanes);
    UNROLLED
    for (int i = 0; i < NB; i++) total[i] = add_i(total[i], load_i(row + kLanes * i));
  }
  UNROLLED
  for (int i = 0; i < NB; i++) store_i(sums + kLanes * i, total[i]);
}

struct Tile {
  int y, x, rows, columns;
};

struct Lists {
  uint16_t* entries;
  uint32_t* begin;  // [pixel of the tile][frame][piece] and one more
  int pieces;       // rows of the window
};

// Lists of the rows of a region of the input, then those of each output pixel's window: of each row of the window one
// piece, which the lists of neighbours share. An entry counts channels from the left border of the region on.
static inline Lists window_lists(const EventConv& a, const Tile& tile) {
  const Shape& s = a.shape;
  const int k = s.kernel, frames = s.frames, pixels = tile.rows * tile.columns;
  const int channels = a.in.channels, planes = a.in.planes, depth = k * k * channels;
  Lists lists;
  lists.pieces = k;
  lists.begin = static_cast<uint32_t*>(scratch(0, (static_cast<size_t>(pixels) * frames * k + 1) * 4));
  lists.entries = static_cast<uint16_t*>(scratch(1, (static_cast<size_t>(pixels) * frames * depth * planes + 64) * 2));
  const int rows = (tile.rows - 1) * s.stride + k, columns = (tile.columns - 1) * s.stride + k;
  const int top = tile.y * s.stride - s.padding, left = tile.x * s.stride - s.padding;
  const size_t region = static_cast<size_t>(frames) * rows * columns;
  uint32_t* found = static_cast<uint32_t*>(scratch(2, (region + 1) * 4));
  uint16_t* own = static_cast<uint16_t*>(scratch(3, (region * channels * planes + 64) * 2));
  uint16_t* end = own;
  size_t i = 0;
  for (int t = 0; t < frames; t++)
    for (int y = top; y < top + rows; y++)
      for (int x = left; x < left + columns; x++) {
        found[i++] = static_cast<uint32_t>(end - own);
        if (y < 0 || x < 0 || y >= s.height || x >= s.width) continue;
        const uint16_t* bits = a.in.bits + t * a.in.frame + (static_cast<int64_t>(y) * s.width + x) * a.in.pixel;
        for (int d = 0; d < planes; d++) end = decode(end, bits + d * a.in.plane, channels, (x - left) * channels);
      }
  found[i] = static_cast<uint32_t>(end - own);
  end = lists.entries;
  uint32_t* begin = lists.begin;
  for (int y = 0; y < tile.rows; y++)
    for (int x = 0; x < tile.columns; x++)
      for (int t = 0; t < frames; t++) {
        const uint32_t* at = found + (static_cast<size_t>(t) * rows + y * s.stride) * columns + x * s.stride;
        for (int dy = 0; dy < k; dy++, at += columns) {
          *begin++ = static_cast<uint32_t>(end - lists.entries);
          end = append(end, own + at[0], at[k] - at[0], (dy * k - x * s.stride) * channels);
        }
      }
  *begin = static_cast<uint32_t>(end - lists.entries);
  return lists;
}

// The same where the window is one pixel.
static inline Lists pixel_lists(const EventConv& a, const Tile& tile) {
  const Shape& s = a.shape;
  const int frames = s.frames, pixels = tile.rows * tile.columns, planes = a.in.planes;
  Lists lists;
  lists.pieces = 1;
  lists.begin = static_cast<uint32_t*>(scratch(0, (static_cast<size_t>(pixels) * frames + 1) * 4));
  lists.entries =
      static_cast<uint16_t*>(scratch(1, (static_cast<size_t>(pixels) * frames * a.in.channels * planes + 64) * 2));
  uint16_t* end = lists.entries;
  uint32_t* begin = lists.begin;
  for (int y = tile.y; y < tile.y + tile.rows; y++)
    for (int x = tile.x; x < tile.x + tile.columns; x++)
      for (int t = 0; t < frames; t++) {
        *begin++ = static_cast<uint32_t>(end - lists.entries);
        const int64_t pixel = static_cast<int64_t>(y) * s.stride * s.width + static_cast<int64_t>(x) * s.stride;
        const uint16_t* bits = a.in.bits + t * a.in.frame + pixel * a.in.pixel;
        for (int d = 0; d < planes; d++) end = decode(end, bits + d * a.in.plane, a.in.channels, 0);
      }
  *begin = static_cast<uint32_t>(end - lists.entries);
  return lists;
}

constexpr int kTilePixels = 224;  // of all frames: a row of weights serves many, also where there is one frame
constexpr int kLengths = 512;

// Numbers of `count` lists, short ones first: the end of a list is guessed right where the one before was as long. List i
// begins at begin[i * step] and ends `span` places on.
static inline void by_length(const uint32_t* begin, int count, int step, int span, uint16_t* order) {
  uint16_t at[kLengths + 1];
  __builtin_memset(at, 0, sizeof(at));
  const auto length = [&](int i) {
    const uint32_t entries = begin[i * step + span] - begin[i * step];
    return entries < kLengths ? entries : kLengths - 1;
  };
  uint32_t longest = 0;
  for (int i = 0; i < count; i++) {
    const uint32_t own = length(i);
    at[own + 1]++;
    longest = own > longest ? own : longest;
  }
  for (uint32_t i = 1; i <= longest; i++) at[i] = static_cast<uint16_t>(at[i] + at[i - 1]);
  for (int i = 0; i < count; i++) order[at[length(i)]++] = static_cast<uint16_t>(i);
}

template <int NB>
static void events_tile(const EventConv& a, const Tile& tile) {
  const Shape& s = a.shape;
  const bool single = s.kernel == 1 && s.padding == 0;
  const Lists lists = single ? pixel_lists(a, tile) : window_lists(a, tile);
  const int64_t depth = static_cast<int64_t>(s.kernel) * s.kernel * a.in.channels;
  // some pixels at a time; by rows of the window, whose weights then stay in the first cache
  const int pixels = tile.rows * tile.columns, some = a.by_row ? smaller(tile.columns, 8) : smaller(pixels, NB > 4 ? 2 : 4);
  const int passes = a.by_row ? lists.pieces : 1, pieces = lists.pieces / passes;
  const int64_t pixel_sums = static_cast<int64_t>(s.frames) * NB * kLanes;
  int32_t* sums = static_cast<int32_t*>(scratch(4, static_cast<size_t>(pixel_sums) * some * 4));
  uint16_t* orders = static_cast<uint16_t*>(scratch(5, static_cast<size_t>(pixels) * s.frames * passes * 2));
  for (int at = 0; at < pixels; at += some) {
    const int count = smaller(some, pixels - at) * s.frames;
    for (int pass = 0; pass < passes; pass++)
      by_length(lists.begin + static_cast<int64_t>(at) * s.frames * lists.pieces + pass, count, lists.pieces, pieces,
                orders + static_cast<int64_t>(at) * s.frames * passes + pass * count);
  }
  Tally near;
  for (int first = 0; first < a.out.vectors; first += NB) {
    const int32_t* weights = a.weights + static_cast<int64_t>(first) * kLanes * depth;
    const int vectors = smaller(NB, a.out.vectors - first);
    for (int at = 0; at < pixels; at += some) {
      const uint32_t* begin = lists.begin + static_cast<int64_t>(at) * s.frames * lists.pieces;
      const uint16_t* order = orders + static_cast<int64_t>(at) * s.frames * passes;
      const int together = smaller(some, pixels - at), count = together * s.frames;
      for (int pass = 0; pass < passes; pass++, order += count)
        for (int i = 0; i < count; i++) {
          const uint32_t* piece = begin + static_cast<int64_t>(order[i]) * lists.pieces + pass;
          add_rows<NB>(lists.entries + piece[0], piece[pieces] - piece[0], weights, sums + order[i] * NB * kLanes, pass == 0);
        }
      for (int x = 0; x < together; x++) {
        const int i = at + x;
        const int64_t pixel = static_cast<int64_t>(tile.y + i / tile.columns) * s.out_width + tile.x + i % tile.columns;
        emit(a.out, pixel, first, vectors, Sums<int32_t>{sums + x * pixel_sums, NB * kLanes, kLanes, 0, 1}, 0, s.frames, near);
      }
    }
  }
  report_near(a.out, near);
}

static void events(const EventConv& a) {
  const Shape& s = a.shape;
  const int64_t most = static_cast<int64_t>(s.kernel) * s.kernel * a.in.channels * a.in.planes * s.frames * 2;
  const int pieces = (s.out_width + 15) / 16;
  int columns = (s.out_width + pieces - 1) / pieces;
  int rows = smaller(s.out_height, larger(s.out_height > 28 ? 4 : 2, kTilePixels / (columns * s.frames)));
  while (rows > 1 && most * rows * columns > (2 << 20)) rows--;
  // an entry names a channel of a row of the region in 16 bits
  const auto named = [&] { return static_cast<int64_t>((columns - 1) * s.stride + s.kernel) * a.in.channels; };
  while (columns > 1 && (most * rows * columns > (2 << 20) || named() > 65535)) columns = (columns + 1) / 2;
  const int across = (s.out_width + columns - 1) / columns;
  const Parts parts = parts_of(s.out_height, rows, across);
  parallel(static_cast<int64_t>(across) * parts.count, [&](int64_t item) {
    const int part = static_cast<int>(item / across);
    Tile tile;
    tile.y = parts.begin(part), tile.x = static_cast<int>(item % across) * columns;
    tile.rows = parts.size(part), tile.columns = smaller(columns, s.out_width - tile.x);
    switch (a.block_vectors) {
      case 8: return events_tile<8>(a, tile);
      case 4: return events_tile<4>(a, tile);
      case 2: return events_tile<2>(a, tile);
      default: return events_tile<1>(a, tile);
    }
  });
}
