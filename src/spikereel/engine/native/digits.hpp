// Spiking convolution by digits: a weight is one to four digits of eight bits, and counts of spikes are bytes. Each digit
// is a product of bytes, summed in 32 bits; at the end the sums of the digits are shifted together. The time does not
// depend on the firing rate, nor on how far a count goes.

constexpr int kFour = 4;         // bytes that one instruction multiplies and adds up
constexpr int kWordBytes = 64;   // inputs of a word
constexpr int64_t kDigitSums = 2048;  // over all frames, of one vector of outputs, that a part has
constexpr int kDigitBlock = kWordBytes * kLanes;  // weights of a word, a digit and sixteen outputs

// Counts as bytes [frame][row and column with borders][channels in whole words].
struct Bytes {
  uint8_t* first;
  int64_t frame;
  int32_t width, height, pixel;
};

static inline void unpack_row(const DigitConv& a, const Bytes& bytes, int t, int y) {
  const Shape& s = a.shape;
  const int words = bytes.pixel / kWordBytes;
  uint8_t* to = bytes.first + t * bytes.frame + static_cast<int64_t>(y) * bytes.width * bytes.pixel;
  const int border = s.padding * bytes.pixel, row = bytes.width * bytes.pixel;
  if (y < s.padding || y >= s.padding + s.height) {
    __builtin_memset(to, 0, row);
    return;
  }
  __builtin_memset(to, 0, border);
  __builtin_memset(to + row - border, 0, border);
  to += border;
  const uint16_t* from = a.in.bits + t * a.in.frame + static_cast<int64_t>(y - s.padding) * s.width * a.in.pixel;
  for (int x = 0; x < s.width; x++, from += a.in.pixel)
    for (int w = 0; w < words; w++, to += kWordBytes) spread_word(from + w * 4, a.in.plane, a.in.planes, to);
}

#ifdef SPIKEREEL_TILES
#include "tiles.hpp"
#else
// Sums of some pixels, `step` bytes apart, from `DIGITS` digits of their weights.
template <int DIGITS>
static inline void digit_sums(const DigitConv& a, const Bytes& bytes, const uint8_t* from, int64_t step, const int8_t* weights,
                              int count, int32_t* sums) {
  const int taps = a.shape.kernel * a.shape.kernel, words = bytes.pixel / kWordBytes;
  I acc[DIGITS][kDigitPixels];
  UNROLLED
  for (int d = 0; d < DIGITS; d++)
    UNROLLED
    for (int p = 0; p < kDigitPixels; p++) acc[d][p] = zero_i();
  for (int tap = 0; tap < taps; tap++) {
    const uint8_t* at = from + (static_cast<int64_t>(tap / a.shape.kernel) * bytes.width + tap % a.shape.kernel) * bytes.pixel;
    for (int w = 0; w < words; w++, at += kWordBytes, weights += DIGITS * kDigitBlock)
      for (int q = 0; q < kWordBytes; q += kFour) {
        I four[kDigitPixels];
        UNROLLED
        for (int p = 0; p < kDigitPixels; p++) four[p] = all_fours(at + p * step + q);
        UNROLLED
        for (int d = 0; d < DIGITS; d++) {
          const I weight = load_i(reinterpret_cast<const int32_t*>(weights + d * kDigitBlock + q * kLanes));
          UNROLLED
          for (int p = 0; p < kDigitPixels; p++) acc[d][p] = add_fours(acc[d][p], four[p], weight);
        }
      }
  }
  UNROLLED
  for (int p = 0; p < kDigitPixels; p++) {
    if (p >= count) break;
    I sum = acc[DIGITS - 1][p];
    UNROLLED
    for (int d = DIGITS - 2; d >= 0; d--) sum = add_i(shift_byte(sum), acc[d][p]);
    store_i(sums + p * kLanes, sum);
  }
}

// Sums [position][16] of the outputs of one vector at `count` positions `step` bytes apart.
static inline void digit_line(const DigitConv& a, const Bytes& bytes, const uint8_t* from, int64_t step, const int8_t* weights,
                              int count, int32_t* sums) {
  for (int p = 0; p < count; p += kDigitPixels, from += kDigitPixels * step, sums += kDigitPixels * kLanes) {
    const int some = smaller(kDigitPixels, count - p);
    switch (a.digits) {
      case 1: digit_sums<1>(a, bytes, from, step, weights, some, sums); break;
      case 2: digit_sums<2>(a, bytes, from, step, weights, some, sums); break;
      case 3: digit_sums<3>(a, bytes, from, step, weights, some, sums); break;
      default: digit_sums<4>(a, bytes, from, step, weights, some, sums);
    }
  }
}
constexpr int kDigitOver = kDigitPixels;  // positions that are read beyond the last one
#endif

static void digits(const DigitConv& a) {
  const Shape& s = a.shape;
  const int words = (a.in.channels + 63) / 64, taps = s.kernel * s.kernel;
  Bytes bytes;
  bytes.pixel = words * kWordBytes;
  bytes.width = s.width + 2 * s.padding, bytes.height = s.height + 2 * s.padding;
  bytes.frame = static_cast<int64_t>(bytes.height) * bytes.width * bytes.pixel;
  // a window of the last positions that are computed, and thrown away, ends beyond the last frame
  const int64_t over = (static_cast<int64_t>(kDigitOver) * s.stride + static_cast<int64_t>(s.kernel) * bytes.width) * bytes.pixel;
  bytes.first = static_cast<uint8_t*>(scratch(3, static_cast<size_t>(bytes.frame) * s.frames + static_cast<size_t>(over)));
  parallel(static_cast<int64_t>(s.frames) * bytes.height, [&](int64_t item) {
    unpack_row(a, bytes, static_cast<int>(item / bytes.height), static_cast<int>(item % bytes.height));
  });
  // at a stride of 1 the rows of a part are one line, on the grid with borders; what lies right of the picture is left out
  const bool lines = s.stride == 1;
  const int pitch = lines ? bytes.width : s.out_width;
  const int fit = static_cast<int>(kDigitSums / (static_cast<int64_t>(s.frames) * pitch));
  const int most = smaller(s.out_height, larger(1, fit)), parts = (s.out_height + most - 1) / most;
  parallel(static_cast<int64_t>(parts) * a.out.vectors, [&](int64_t item) {
    const int c = static_cast<int>(item / parts), part = static_cast<int>(item % parts);
    const int y = s.out_height * part / parts, high = s.out_height * (part + 1) / parts - y;
    const int64_t frame = static_cast<int64_t>(high) * pitch * kLanes;
    int32_t* sums = static_cast<int32_t*>(scratch(0, static_cast<size_t>(frame) * s.frames * 4));
    const int8_t* weights = a.weights + static_cast<int64_t>(c) * taps * words * a.digits * kDigitBlock;
    const int64_t step = static_cast<int64_t>(s.stride) * bytes.pixel;
    for (int t = 0; t < s.frames; t++)
      for (int r = 0; r < (lines ? 1 : high); r++) {
        const uint8_t* from = bytes.first + t * bytes.frame + static_cast<int64_t>(y + r) * s.stride * bytes.width * bytes.pixel;
        const int count = lines ? (high - 1) * pitch + s.out_width : s.out_width;
        digit_line(a, bytes, from, step, weights, count, sums + t * frame + static_cast<int64_t>(r) * pitch * kLanes);
      }
    Tally near;
    for (int r = 0; r < high; r++)
      for (int x = 0; x < s.out_width; x += 4)
        emit(a.out, static_cast<int64_t>(y + r) * s.out_width + x, c, smaller(4, s.out_width - x),
             Sums<int32_t>{sums + (static_cast<int64_t>(r) * pitch + x) * kLanes, frame, kLanes, 1, 0}, 0, s.frames, near);
    report_near(a.out, near);
  });
}
