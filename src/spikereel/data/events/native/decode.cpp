// Decoders of event files that are twins of the numpy ones beside them: EVT 3.0 in `evt3.py`, DAT in `prophesee.py`.
// They keep no state of their own: what a part of a file leaves for the next one is in an array of the caller.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>

namespace nb = nanobind;

template <class T>
using Column = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Words16 = nb::ndarray<const uint16_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Words32 = nb::ndarray<const uint32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

namespace {

enum State { HIGH, LOW, TURNS, ROW, BASE, STATES };

struct Events {
  int64_t* t;
  uint16_t* x;
  uint16_t* y;
  bool* p;
};

size_t shared_size(const Column<int64_t>& t, const Column<uint16_t>& x, const Column<uint16_t>& y,
                   const Column<bool>& p) {
  const size_t size = t.shape(0);
  if (x.shape(0) != size || y.shape(0) != size || p.shape(0) != size) throw nb::value_error("columns of unequal length");
  return size;
}

// Writes the events of the words, and returns how many. In `state` -1 is what no word has said yet. The columns are as
// long as the most events that there can be, and one more, since an event is written before it is known to be one.
size_t evt3(Words16 words, Column<int64_t> state, Column<int64_t> t, Column<uint16_t> x, Column<uint16_t> y,
            Column<bool> p) {
  const size_t size = shared_size(t, x, y, p), count = words.shape(0);
  if (state.shape(0) != STATES) throw nb::value_error("a state of another size");
  if (size < 12 * count + 1) throw nb::value_error("columns too short");
  const Events out{t.data(), x.data(), y.data(), p.data()};
  int64_t* s = state.data();
  int64_t high = s[HIGH], low = s[LOW], turns = s[TURNS], row = s[ROW], base = s[BASE];
  int64_t coarse = (turns << 24) + (high << 12), time = coarse + low;
  size_t n = 0;
  const uint16_t* word = words.data();
  const auto put = [&](uint16_t at) {
    out.t[n] = time;
    out.x[n] = at & 0x7FF;
    out.y[n] = static_cast<uint16_t>(row);
    out.p[n] = (at & 0x800) != 0;
  };
  constexpr uint32_t common = 1u << 0 | 1u << 2 | 1u << 6;
  for (size_t i = 0; i < count; ++i) {
    const uint16_t value = word[i] & 0xFFF;
    const uint32_t kind = word[i] >> 12;
    if (common >> kind & 1) {
      // Rows, events and times follow one another in no order that a processor could foresee: so no branches.
      row = kind == 0 ? value & 0x7FF : row;
      low = kind == 6 ? value : low;
      time = coarse + low;
      put(value);
      n += (kind == 2) & (high >= 0) & (row >= 0);
      continue;
    }
    if (kind == 3) {
      base = value;
    } else if ((kind == 4 || kind == 5) && base >= 0) {
      const int width = kind == 4 ? 12 : 8;
      if (high >= 0 && row >= 0) {
        for (uint32_t bits = value & ((1u << width) - 1); bits; bits &= bits - 1, ++n)
          put(static_cast<uint16_t>(base + __builtin_ctz(bits)));
      }
      base = (base + width) & 0xFFF;
    } else if (kind == 8) {
      if (high >= 0 && value < high - 2048) ++turns;
      if (value != high) low = 0;
      high = value;
      coarse = (turns << 24) + (high << 12);
      time = coarse + low;
    }
  }
  s[HIGH] = high, s[LOW] = low, s[TURNS] = turns, s[ROW] = row, s[BASE] = base;
  return n;
}

// Rows of microseconds and address. `clock` is the tick before them, -1 for none, and what was added to it.
void dat(Words32 rows, int bits_x, int bits_y, bool one_bit, Column<int64_t> clock, Column<int64_t> t,
         Column<uint16_t> x, Column<uint16_t> y, Column<bool> p) {
  const size_t size = shared_size(t, x, y, p);
  if (rows.shape(1) != 2 || rows.shape(0) != size || clock.shape(0) != 2) throw nb::value_error("other sizes");
  const Events out{t.data(), x.data(), y.data(), p.data()};
  const uint32_t* row = rows.data();
  const uint32_t mask_x = (1u << bits_x) - 1, mask_y = (1u << bits_y) - 1;
  int64_t last = clock.data()[0], added = clock.data()[1];
  for (size_t i = 0; i < size; ++i) {
    const int64_t tick = row[2 * i];
    const uint32_t address = row[2 * i + 1];
    if (last - tick > (int64_t{1} << 31)) added += int64_t{1} << 32;
    last = tick;
    const uint32_t above = address >> (bits_x + bits_y);
    out.t[i] = tick + added;
    out.x[i] = address & mask_x;
    out.y[i] = address >> bits_x & mask_y;
    out.p[i] = one_bit ? above & 1 : above != 0;
  }
  clock.data()[0] = last;
  clock.data()[1] = added;
}

}  // namespace

NB_MODULE(_decode, m) {
  m.def("evt3", &evt3);
  m.def("dat", &dat);
}
