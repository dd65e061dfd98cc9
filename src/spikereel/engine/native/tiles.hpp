// Digits by tiles: sixteen pixels by 64 counts times 64 counts by sixteen outputs, one instruction. Two blocks of pixels
// take turns at a tile of weights. Tiles 0 to 2 hold the sums of the first block, 3 to 5 those of the second, 6 counts,
// 7 weights.

constexpr int kTilePixels = 16, kTileBlock = 2 * kTilePixels, kTileDigits = 3;
constexpr int kDigitOver = kTileBlock;

#ifdef SPIKEREEL_TILES_IN_C
// The instructions as their manual describes them, for processors without them.
struct Tile {
  uint8_t bytes[16][64];
};
static thread_local Tile own_tiles[8];
static thread_local bool configured = false;
static inline void c_zero(int n) { __builtin_memset(&own_tiles[n], configured ? 0 : 0xff, sizeof(Tile)); }
static inline void c_load(int n, const void* from, int64_t step) {
  for (int r = 0; r < 16; r++) __builtin_memcpy(own_tiles[n].bytes[r], static_cast<const char*>(from) + r * step, 64);
}
static inline void c_store(int n, void* to, int64_t step) {
  for (int r = 0; r < 16; r++) __builtin_memcpy(static_cast<char*>(to) + r * step, own_tiles[n].bytes[r], 64);
}
static inline void c_dot(int sum, int counts, int weights) {
  for (int m = 0; m < 16; m++)
    for (int k = 0; k < 16; k++)
      for (int n = 0; n < 16; n++) {
        int32_t into;
        __builtin_memcpy(&into, &own_tiles[sum].bytes[m][4 * n], 4);
        for (int i = 0; i < 4; i++)
          into += own_tiles[counts].bytes[m][4 * k + i] * static_cast<int8_t>(own_tiles[weights].bytes[k][4 * n + i]);
        __builtin_memcpy(&own_tiles[sum].bytes[m][4 * n], &into, 4);
      }
}
#define ZERO(n) c_zero(n)
#define LOAD(n, from, step) c_load(n, from, step)
#define STORE(n, to, step) c_store(n, to, step)
#define DOT(sum, counts, weights) c_dot(sum, counts, weights)
static inline void begin_tiles() { configured = true; }
static inline void end_tiles() { configured = false; }
#else
#define ZERO(n) _tile_zero(n)
#define LOAD(n, from, step) _tile_loadd(n, from, step)
#define STORE(n, to, step) _tile_stored(n, to, step)
#define DOT(sum, counts, weights) _tile_dpbusd(sum, counts, weights)
// Eight tiles of sixteen rows of 64 bytes. GCC takes the instruction for a reader of its first bytes alone: a constant.
alignas(64) static const uint8_t kTilesOf[64] = {1,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0,
                                                 64, 0, 64, 0, 64, 0, 64, 0, 64, 0, 64, 0, 64, 0, 64, 0,
                                                 0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0,
                                                 16, 16, 16, 16, 16, 16, 16, 16};
static inline void begin_tiles() { _tile_loadconfig(kTilesOf); }
static inline void end_tiles() { _tile_release(); }
#endif

// Sums of `some` (1 to 3) of the digits of two blocks of pixels into [3 digits][32][16].
static inline void tile_sums(const DigitConv& a, const Bytes& bytes, const uint8_t* from, int64_t step, const int8_t* weights,
                             int some, int32_t* sums) {
  const int taps = a.shape.kernel * a.shape.kernel, words = bytes.pixel / kWordBytes;
  ZERO(0);
  ZERO(1);
  ZERO(2);
  ZERO(3);
  ZERO(4);
  ZERO(5);
  for (int tap = 0; tap < taps; tap++) {
    const uint8_t* at = from + (static_cast<int64_t>(tap / a.shape.kernel) * bytes.width + tap % a.shape.kernel) * bytes.pixel;
    for (int w = 0; w < words; w++, at += kWordBytes, weights += a.digits * kDigitBlock) {
      const uint8_t* next = at + kTilePixels * step;
      LOAD(7, weights, 64);
      LOAD(6, at, step);
      DOT(0, 6, 7);
      LOAD(6, next, step);
      DOT(3, 6, 7);
      if (some > 1) {
        LOAD(7, weights + kDigitBlock, 64);
        DOT(4, 6, 7);
        LOAD(6, at, step);
        DOT(1, 6, 7);
      }
      if (some > 2) {
        LOAD(7, weights + 2 * kDigitBlock, 64);
        DOT(2, 6, 7);
        LOAD(6, next, step);
        DOT(5, 6, 7);
      }
    }
  }
  constexpr int kBlock = kTilePixels * kLanes, kDigit = kTileBlock * kLanes;
  STORE(0, sums, 64);
  STORE(3, sums + kBlock, 64);
  STORE(1, sums + kDigit, 64);
  STORE(4, sums + kDigit + kBlock, 64);
  STORE(2, sums + 2 * kDigit, 64);
  STORE(5, sums + 2 * kDigit + kBlock, 64);
}
#undef ZERO
#undef LOAD
#undef STORE
#undef DOT

static inline void digit_line(const DigitConv& a, const Bytes& bytes, const uint8_t* from, int64_t step, const int8_t* weights,
                              int count, int32_t* sums) {
  int32_t* own = static_cast<int32_t*>(scratch(1, 5 * kTileBlock * kLanes * 4));
  // four digits are two times two
  const int once = a.digits > kTileDigits ? 2 : a.digits;
  begin_tiles();
  for (int p = 0; p < count; p += kTileBlock, from += kTileBlock * step, sums += kTileBlock * kLanes) {
    for (int d = 0; d < a.digits; d += once)
      tile_sums(a, bytes, from, step, weights + d * kDigitBlock, once, own + d * kTileBlock * kLanes);
    for (int i = 0; i < smaller(kTileBlock, count - p) * kLanes; i += kLanes) {
      I sum = load_i(own + (a.digits - 1) * kTileBlock * kLanes + i);
      for (int d = a.digits - 2; d >= 0; d--) sum = add_i(shift_byte(sum), load_i(own + d * kTileBlock * kLanes + i));
      store_i(sums + i, sum);
    }
  }
  end_tiles();
}
