// Decoders of event files that are twins of the numpy ones beside them: EVT 3.0 in `evt3.py`, DAT in `dat.py`,
// AEDAT 4.0 in `aedat4.py`. They keep no state of their own: what a part of a file leaves for the next one is in arrays
// of the caller. Every event is looked at while it is in the cache: whether it is inside the sensor, and no earlier than
// the one before it. Other threads of Python run meanwhile.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace nb = nanobind;

template <class T>
using Column = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Words16 = nb::ndarray<const uint16_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Words32 = nb::ndarray<const uint32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Loops over columns also for wider registers, where the linker can choose at run time.
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

namespace {

constexpr int VERSION = 2;
constexpr size_t BLOCK = 2048;

enum State { HIGH, LOW, TURNS, ROW, BASE, STATES };
enum Look { LAST, SOUND, WIDTH, HEIGHT, LOOKS };

struct Events {
  int64_t* t;
  uint16_t* x;
  uint16_t* y;
  bool* p;
};

struct Room {
  Events events;
  size_t size;
};

Room room(const Column<int64_t>& t, const Column<uint16_t>& x, const Column<uint16_t>& y, const Column<bool>& p) {
  const size_t size = t.shape(0);
  if (x.shape(0) != size || y.shape(0) != size || p.shape(0) != size) throw nb::value_error("columns of unequal length");
  return {{t.data(), x.data(), y.data(), p.data()}, size};
}

int64_t* looks(const Column<int64_t>& look) {
  if (look.shape(0) != LOOKS) throw nb::value_error("a look of another size");
  return look.data();
}

WIDE uint16_t largest(const uint16_t* column, size_t count) {
  uint16_t most = 0;
  for (size_t i = 0; i < count; ++i) most = std::max(most, column[i]);
  return most;
}

// Whether a time is less than the one before it; the differences of any two of them could pass 64 bits.
WIDE bool falls(const int64_t* t, size_t count) {
  int64_t fell = 0;
  for (size_t i = 1; i < count; ++i) fell |= t[i] < t[i - 1] ? -1 : 0;
  return fell != 0;
}

// Looks at the next events: LAST is the time before them, SOUND stays 1 while all are good.
void see(const Events& e, size_t from, size_t to, int64_t* look) {
  if (from == to || !look[SOUND]) return;
  const size_t count = to - from;
  const bool good = e.t[from] >= look[LAST] && !falls(e.t + from, count) && largest(e.x + from, count) < look[WIDTH] &&
                    largest(e.y + from, count) < look[HEIGHT];
  look[SOUND] = good;
  look[LAST] = e.t[to - 1];
}

// Writes the events of the words, `start` later than they say, and returns how many. In `state` -1 is what no word has
// said yet. The columns are as long as the most events that there can be, and one more, since an event is written before
// it is known to be one.
size_t evt3(Words16 words, Column<int64_t> state, int64_t start, Column<int64_t> look, Column<int64_t> t,
            Column<uint16_t> x, Column<uint16_t> y, Column<bool> p) {
  const Room out = room(t, x, y, p);
  const size_t count = words.shape(0);
  if (state.shape(0) != STATES) throw nb::value_error("a state of another size");
  if (out.size < 12 * count + 1) throw nb::value_error("columns too short");
  int64_t *s = state.data(), *seen = looks(look);
  const nb::gil_scoped_release others;
  int64_t high = s[HIGH], low = s[LOW], turns = s[TURNS], row = s[ROW], base = s[BASE];
  int64_t coarse = start + (turns << 24) + (high << 12), time = coarse + low;
  bool known = high >= 0 && row >= 0;
  const Events e = out.events;
  const uint16_t* word = words.data();
  size_t n = 0;
  const auto put = [&](uint32_t at) {
    e.t[n] = time;
    e.x[n] = at & 0x7FF;
    e.y[n] = static_cast<uint16_t>(row);
    e.p[n] = (at & 0x800) != 0;
    n += known;
  };
  for (size_t i = 0; i < count;) {
    const size_t end = std::min(i + BLOCK, count), before = n;
    while (i < end) {
      uint32_t value = word[i++], kind = value >> 12;
      if (kind == 0) {
        row = value & 0x7FF;
        known = high >= 0;
        // Nearly always an event follows: a branch that is foreseen where one for each kind is not.
        if (i == end || word[i] >> 12 != 2) continue;
        value = word[i++], kind = 2;
      }
      if (kind == 2) {
        put(value);
        continue;
      }
      value &= 0xFFF;
      if (kind == 6) {
        low = value;
        time = coarse + low;
      } else if (kind == 3) {
        base = value;
      } else if ((kind == 4 || kind == 5) && base >= 0) {
        const int width = kind == 4 ? 12 : 8;
        for (uint32_t bits = value & ((1u << width) - 1); bits; bits &= bits - 1)
          put(static_cast<uint32_t>(base) + __builtin_ctz(bits));
        base = (base + width) & 0xFFF;
      } else if (kind == 8) {
        if (high >= 0 && value < high - 2048) ++turns;
        if (value != high) low = 0;
        high = value;
        known = row >= 0;
        coarse = start + (turns << 24) + (high << 12);
        time = coarse + low;
      }
    }
    see(e, before, n, seen);
  }
  s[HIGH] = high, s[LOW] = low, s[TURNS] = turns, s[ROW] = row, s[BASE] = base;
  return n;
}

// Where the first tick lies that is less than the one before it, `last`, or `count`.
WIDE bool turns_back(const uint32_t* row, size_t count) {
  uint32_t fell = 0;
  for (size_t i = 1; i < count; ++i) fell |= row[2 * i] < row[2 * i - 2];
  return fell != 0;
}

WIDE void addresses(const uint32_t* row, size_t count, int bits_x, int bits_y, bool one_bit, Events e) {
  const uint32_t mask_x = (1u << bits_x) - 1, mask_y = (1u << bits_y) - 1, mask_p = one_bit ? 1 : ~0u;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t address = row[2 * i + 1];
    e.x[i] = static_cast<uint16_t>(address & mask_x);
    e.y[i] = static_cast<uint16_t>(address >> bits_x & mask_y);
    e.p[i] = (address >> (bits_x + bits_y) & mask_p) != 0;
  }
}

WIDE void later(const uint32_t* row, size_t count, int64_t added, int64_t* t) {
  for (size_t i = 0; i < count; ++i) t[i] = row[2 * i] + added;
}

// Rows of microseconds and address. `clock` is the tick before them, -1 for none, and what was added to it.
void dat(Words32 rows, int bits_x, int bits_y, bool one_bit, Column<int64_t> clock, Column<int64_t> look,
         Column<int64_t> t, Column<uint16_t> x, Column<uint16_t> y, Column<bool> p) {
  const Room out = room(t, x, y, p);
  const size_t count = rows.shape(0);
  if (rows.shape(1) != 2 || out.size < count || clock.shape(0) != 2) throw nb::value_error("other sizes");
  int64_t* seen = looks(look);
  const nb::gil_scoped_release others;
  int64_t last = clock.data()[0], added = clock.data()[1];
  for (size_t i = 0; i < count; i += BLOCK) {
    const size_t size = std::min(BLOCK, count - i);
    const uint32_t* row = rows.data() + 2 * i;
    const Events& all = out.events;
    const Events e{all.t + i, all.x + i, all.y + i, all.p + i};
    if (row[0] >= last && !turns_back(row, size)) {
      later(row, size, added, e.t);
      last = row[2 * size - 2];
    } else {
      for (size_t k = 0; k < size; ++k) {
        const int64_t tick = row[2 * k];
        if (last - tick > (int64_t{1} << 31)) added += int64_t{1} << 32;
        last = tick;
        e.t[k] = tick + added;
      }
    }
    addresses(row, size, bits_x, bits_y, one_bit, e);
    see(e, 0, size, seen);
  }
  clock.data()[0] = last;
  clock.data()[1] = added;
}

// Rows of 16 bytes: time in 8, x and y in 2 each, polarity in 1.
void aedat4(Bytes rows, Column<int64_t> look, Column<int64_t> t, Column<uint16_t> x, Column<uint16_t> y,
            Column<bool> p) {
  const Room out = room(t, x, y, p);
  const size_t count = rows.shape(0) / 16;
  if (out.size < count) throw nb::value_error("columns too short");
  int64_t* seen = looks(look);
  const nb::gil_scoped_release others;
  const Events e = out.events;
  for (size_t i = 0; i < count;) {
    const size_t from = i, end = std::min(i + BLOCK, count);
    const uint8_t* row = rows.data() + 16 * from;
    for (; i < end; ++i, row += 16) {
      std::memcpy(e.t + i, row, 8);
      std::memcpy(e.x + i, row + 8, 2);
      std::memcpy(e.y + i, row + 10, 2);
      e.p[i] = row[12] != 0;
    }
    see(e, from, end, seen);
  }
}

}  // namespace

NB_MODULE(_decode, m) {
  m.attr("version") = VERSION;
  m.def("evt3", &evt3);
  m.def("dat", &dat);
  m.def("aedat4", &aedat4);
}
