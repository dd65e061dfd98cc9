// Real-valued parts: depthwise convolutions, matrices, and the first convolution of pictures.

template <int MR, int NB, bool Offsets>
static void block(const float* a, int64_t row, const int32_t* offsets, int depth, const float* weights, float* out) {
  V sums[MR][NB];
  UNROLLED
  for (int r = 0; r < MR; r++)
    UNROLLED
    for (int i = 0; i < NB; i++) sums[r][i] = zero();
  for (int k = 0; k < depth; k++) {
    V w[NB];
    UNROLLED
    for (int i = 0; i < NB; i++) w[i] = load(weights + (static_cast<int64_t>(k) * NB + i) * kLanes);
    const float* x = a + (Offsets ? offsets[k] : k);
    UNROLLED
    for (int r = 0; r < MR; r++) {
      const V value = all(x[r * row]);
      UNROLLED
      for (int i = 0; i < NB; i++) sums[r][i] = fma(value, w[i], sums[r][i]);
    }
  }
  UNROLLED
  for (int r = 0; r < MR; r++)
    UNROLLED
    for (int i = 0; i < NB; i++) store(out + (r * NB + i) * kLanes, sums[r][i]);
}

template <int NB, bool Offsets>
static inline void block_rows(int rows, const float* a, int64_t row, const int32_t* offsets, int depth,
                              const float* weights, float* out) {
  switch (rows) {
#if defined(SPIKEREEL_AVX512)
    case 14: return block<14, NB, Offsets>(a, row, offsets, depth, weights, out);
    case 13: return block<13, NB, Offsets>(a, row, offsets, depth, weights, out);
    case 12: return block<12, NB, Offsets>(a, row, offsets, depth, weights, out);
    case 11: return block<11, NB, Offsets>(a, row, offsets, depth, weights, out);
    case 10: return block<10, NB, Offsets>(a, row, offsets, depth, weights, out);
    case 9: return block<9, NB, Offsets>(a, row, offsets, depth, weights, out);
    case 8: return block<8, NB, Offsets>(a, row, offsets, depth, weights, out);
    case 7: return block<7, NB, Offsets>(a, row, offsets, depth, weights, out);
    case 6: return block<6, NB, Offsets>(a, row, offsets, depth, weights, out);
    case 5: return block<5, NB, Offsets>(a, row, offsets, depth, weights, out);
    case 4: return block<4, NB, Offsets>(a, row, offsets, depth, weights, out);
    case 3: return block<3, NB, Offsets>(a, row, offsets, depth, weights, out);
#endif
    case 2: return block<2, NB, Offsets>(a, row, offsets, depth, weights, out);
    default: return block<1, NB, Offsets>(a, row, offsets, depth, weights, out);
  }
}

// Rows of a [frame][pixels][row] times the whole matrix, into the epilogue; pixel numbers come from `at`.
template <bool Offsets, class At>
static inline void matrix(const float* a, int64_t frame, int64_t row, const int32_t* offsets, int depth,
                          const float* weights, int pixels, const Output& o, int frames, Tally& near, At at) {
  constexpr int kPitch = kRows * 2 * kLanes;
  float* out = static_cast<float*>(scratch(4, static_cast<size_t>(frames) * kPitch * 4));
  const int groups = (pixels + kRows - 1) / kRows;
  for (int panel = 0; panel < panel_count(o.vectors); panel++) {
    const int first = panel_begin(o.vectors, panel), vectors = panel_begin(o.vectors, panel + 1) - first;
    const float* w = weights + static_cast<int64_t>(first) * kLanes * depth;
    for (int g = 0; g < groups; g++) {
      const int begin = pixels * g / groups, rows = pixels * (g + 1) / groups - begin;
      for (int t = 0; t < frames; t++) {
        const float* x = a + t * frame + begin * row;
        if (vectors == 2) block_rows<2, Offsets>(rows, x, row, offsets, depth, w, out + t * kPitch);
        else block_rows<1, Offsets>(rows, x, row, offsets, depth, w, out + t * kPitch);
      }
      for (int r = 0; r < rows; r++)
        emit(o, at(begin + r), first, vectors, Sums<float>{out + r * vectors * kLanes, kPitch, kLanes, 0, 1}, 0, frames, near);
    }
  }
}

// A row of pixels y, x..x+columns of the depthwise convolution of values. The sums of PX pixels and a row of taps lie in
// registers; every value is read once for all taps of a row. K 0: any number of taps.
template <int K, int PX>
static inline void depthwise_values_at(const Pointwise& a, int t, int y, int x, int c, float* out, int64_t pitch) {
  const Shape& s = a.shape;
  constexpr int kTaps = K ? K : 1;
  const int k = K ? K : s.kernel;
  V sums[PX];
  UNROLLED
  for (int j = 0; j < PX; j++) sums[j] = zero();
  for (int dy = larger(0, s.padding - y); dy < smaller(k, s.height + s.padding - y); dy++) {
    const int64_t row = static_cast<int64_t>(y + dy - s.padding) * s.width * a.value_pixel;
    const float* line = a.value + t * a.value_frame + row + c;
    const float* taps = a.taps + static_cast<int64_t>(dy) * k * pitch + c;
    for (int from = 0; from < k; from += kTaps) {
      V w[kTaps];
      UNROLLED
      for (int dx = 0; dx < kTaps; dx++) w[dx] = load(taps + (from + dx) * pitch);
      UNROLLED
      for (int i = 0; i < PX + kTaps - 1; i++) {
        const int xx = x + from + i - s.padding;
        if (xx < 0 || xx >= s.width) continue;
        const V value = load(line + xx * a.value_pixel);
        UNROLLED
        for (int dx = 0; dx < kTaps; dx++)
          if (i >= dx && i - dx < PX) sums[i - dx] = fma(value, w[dx], sums[i - dx]);
      }
    }
  }
  UNROLLED
  for (int j = 0; j < PX; j++) store(out + j * pitch, sums[j]);
}

template <int K>
static inline void depthwise_values_row(const Pointwise& a, int t, int y, int x, int columns, float* out,
                                        int64_t pitch) {
  for (int c = 0; c < pitch; c += kLanes) {
    int j = 0;
    for (; j + kSpan <= columns; j += kSpan) depthwise_values_at<K, kSpan>(a, t, y, x + j, c, out + j * pitch + c, pitch);
    for (; j < columns; j++) depthwise_values_at<K, 1>(a, t, y, x + j, c, out + j * pitch + c, pitch);
  }
}

static inline void depthwise_values(const Pointwise& a, int t, int y, int x, int columns, float* out, int64_t pitch) {
  const int stride = a.shape.stride;
  for (int j = 0; stride > 1 && j < columns; j++)
    for (int c = 0; c < pitch; c += kLanes)
      depthwise_values_at<0, 1>(a, t, y * stride, (x + j) * stride, c, out + j * pitch + c, pitch);
  if (stride > 1) return;
  if (a.shape.kernel == 3) depthwise_values_row<3>(a, t, y, x, columns, out, pitch);
  else depthwise_values_row<0>(a, t, y, x, columns, out, pitch);
}

#if defined(SPIKEREEL_AVX512)
// The same of spikes. `window` holds the spikes of the rows y - padding.. with borders of zeros, [row][column][words].
// The sums of PX pixels and a row of taps lie in registers; each spike word is read once for all taps of a row.
template <int K, int PX>
static inline void depthwise_spikes_at(const uint16_t* window, int64_t row, int64_t words, const int32_t* taps,
                                       int64_t pitch, int32_t* out) {
  I sums[PX];
  UNROLLED
  for (int j = 0; j < PX; j++) sums[j] = load_i(out + j * pitch);
  for (int dy = 0; dy < K; dy++) {
    I w[K];
    UNROLLED
    for (int dx = 0; dx < K; dx++) w[dx] = load_i(taps + (dy * K + dx) * pitch);
    UNROLLED
    for (int i = 0; i < PX + K - 1; i++) {
      const M fired = window[dy * row + i * words];
      UNROLLED
      for (int dx = 0; dx < K; dx++)
        if (i >= dx && i - dx < PX) sums[i - dx] = add_where_i(sums[i - dx], fired, w[dx]);
    }
  }
  UNROLLED
  for (int j = 0; j < PX; j++) store_i(out + j * pitch, sums[j]);
}

template <int K>
static inline void depthwise_spikes_row(int columns, const uint16_t* window, int64_t row, int64_t words,
                                        const int32_t* taps, int64_t pitch, int groups, int32_t* out) {
  for (int c = 0; c < groups; c++) {
    int j = 0;
    for (; j + kSpan <= columns; j += kSpan)
      depthwise_spikes_at<K, kSpan>(window + j * words + c, row, words, taps + c * kLanes, pitch,
                                      out + j * pitch + c * kLanes);
    for (; j < columns; j++)
      depthwise_spikes_at<K, 1>(window + j * words + c, row, words, taps + c * kLanes, pitch,
                                out + j * pitch + c * kLanes);
  }
}

// Whether there are kernels for k taps a row.
static inline bool depthwise_spikes_dense(int k, int columns, const uint16_t* window, int64_t row, int64_t words,
                                          const int32_t* taps, int64_t pitch, int groups, int32_t* out) {
  switch (k) {
    case 3: depthwise_spikes_row<3>(columns, window, row, words, taps, pitch, groups, out); return true;
    case 5: depthwise_spikes_row<5>(columns, window, row, words, taps, pitch, groups, out); return true;
    case 7: depthwise_spikes_row<7>(columns, window, row, words, taps, pitch, groups, out); return true;
    default: return false;
  }
}
#else
// Masks are dear on other instruction sets: spikes are sought there.
static inline bool depthwise_spikes_dense(int, int, const uint16_t*, int64_t, int64_t, const int32_t*, int64_t, int,
                                          int32_t*) {
  return false;
}
#endif

// A row of pixels y, x..x+columns: every group of sixteen channels that holds a spike goes to the pixels it reaches.
static inline void depthwise_spikes_sparse(const Pointwise& a, int t, int y, int x, int columns, int32_t* out,
                                           int64_t pitch, int plane) {
  const Shape& s = a.shape;
  const int k = s.kernel, pad = s.padding, groups = static_cast<int>(pitch) / kLanes;
  const int first = larger(0, x - pad), last = smaller(s.width, x + columns + pad);
  for (int dy = larger(0, pad - y); dy < smaller(k, s.height + pad - y); dy++) {
    const int64_t line = static_cast<int64_t>(y + dy - pad) * s.width;
    const uint16_t* bits = a.in.bits + plane * a.in.plane + t * a.in.frame + line * a.in.pixel;
    for (int xx = first; xx < last; xx++) {
      const int to = larger(0, xx - x - pad), end = smaller(columns, xx - x + pad + 1);
      for (int c = 0; c < groups; c += 4) {
        uint64_t set;
        __builtin_memcpy(&set, bits + xx * a.in.pixel + c, 8);
        while (set) {
          const int g = __builtin_ctzll(set) / kLanes;
          const M mask = static_cast<M>(set >> (g * kLanes));
          set &= ~(uint64_t{0xffff} << (g * kLanes));
          // the pixel j sees this one through the tap xx - x - j + pad
          const int32_t* w = a.fixed + (dy * k + xx - x + pad - to) * pitch + (c + g) * kLanes;
          int32_t* sums = out + to * pitch + (c + g) * kLanes;
          for (int j = to; j < end; j++, sums += pitch, w -= pitch) store_i(sums, add_where_i(load_i(sums), mask, load_i(w)));
        }
      }
    }
  }
}

// Sums in fixed point as values, in place.
static inline void as_values(int32_t* sums, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const V values = real(load_i(sums + i));
    __builtin_memcpy(sums + i, &values, sizeof(values));
  }
}

// The same with a stride: every pixel of the output looks for the spikes that it sees.
static inline void depthwise_spikes_strided(const Pointwise& a, int t, int y, int x, int columns, int32_t* out,
                                            int64_t pitch, int plane) {
  const Shape& s = a.shape;
  const int k = s.kernel, groups = static_cast<int>(pitch) / kLanes, top = y * s.stride - s.padding;
  for (int j = 0; j < columns; j++) {
    const int left = (x + j) * s.stride - s.padding;
    for (int dy = larger(0, -top); dy < smaller(k, s.height - top); dy++)
      for (int dx = larger(0, -left); dx < smaller(k, s.width - left); dx++) {
        const int64_t pixel = static_cast<int64_t>(top + dy) * s.width + left + dx;
        const uint16_t* bits = a.in.bits + plane * a.in.plane + t * a.in.frame + pixel * a.in.pixel;
        const int32_t* w = a.fixed + (dy * k + dx) * pitch;
        int32_t* sums = out + j * pitch;
        for (int c = 0; c < groups; c++)
          if (bits[c])
            store_i(sums + c * kLanes, add_where_i(load_i(sums + c * kLanes), bits[c], load_i(w + c * kLanes)));
      }
  }
}

// Rows y..y+high, columns x..x+wide. `window` holds the spikes that they see, with borders of zeros.
static inline void depthwise_spikes(const Pointwise& a, int t, int y, int x, int high, int wide, uint16_t* window,
                                    int32_t* out, int64_t pitch) {
  const Shape& s = a.shape;
  const int k = s.kernel, groups = static_cast<int>(pitch) / kLanes, across = wide + k - 1;
  const int64_t words = a.in.pixel, row = across * words;
  const int from = larger(0, s.padding - x), to = smaller(across, s.width + s.padding - x);
  __builtin_memset(out, 0, static_cast<size_t>(high) * wide * pitch * 4);
  if (s.stride > 1) {
    for (int d = 0; d < a.in.planes; d++)
      for (int r = 0; r < high; r++)
        depthwise_spikes_strided(a, t, y + r, x, wide, out + static_cast<int64_t>(r) * wide * pitch, pitch, d);
    return as_values(out, static_cast<int64_t>(high) * wide * pitch);
  }
  for (int d = 0; d < a.in.planes; d++) {
    int64_t busy = 0;
    for (int dy = 0; dy < high + k - 1; dy++) {
      const int yy = y + dy - s.padding;
      uint16_t* line = window + dy * row;
      __builtin_memset(line, 0, static_cast<size_t>(row) * 2);
      if (yy < 0 || yy >= s.height) continue;
      const int64_t pixel = static_cast<int64_t>(yy) * s.width + x + from - s.padding;
      __builtin_memcpy(line + from * words, a.in.bits + d * a.in.plane + t * a.in.frame + pixel * words,
                       static_cast<size_t>(to - from) * words * 2);
      for (int64_t i = from * words; i < to * words; i++) busy += line[i] != 0;
    }
    // seeking wins where few groups of channels hold a spike
    const bool few = busy * 5 < static_cast<int64_t>(high + k - 1) * across * groups;
    for (int r = 0; r < high; r++) {
      int32_t* to_row = out + static_cast<int64_t>(r) * wide * pitch;
      if (few || !depthwise_spikes_dense(k, wide, window + r * row, row, words, a.fixed, pitch, groups, to_row))
        depthwise_spikes_sparse(a, t, y + r, x, wide, to_row, pitch, d);
      if (d == a.in.planes - 1) as_values(to_row, wide * pitch);
    }
  }
}

constexpr int64_t kValues = 256 << 10;  // bytes of values of a tile

static void pointwise(const Pointwise& a) {
  const Shape& s = a.shape;
  // a piece of a row, and as many rows as stay in the second cache over all frames
  const int pieces = (s.out_width + 31) / 32, columns = (s.out_width + pieces - 1) / pieces;
  const int64_t pitch = (a.depth + kLanes - 1) / kLanes * kLanes;
  const int fit = static_cast<int>(kValues / (columns * pitch * 4 * s.frames)), even = larger(1, 28 / columns);
  const Parts parts = parts_of(s.out_height, smaller(s.out_height, larger(even, smaller(fit, 8))), pieces);
  parallel(static_cast<int64_t>(pieces) * parts.count, [&](int64_t item) {
    const int part = static_cast<int>(item / pieces), x = static_cast<int>(item % pieces) * columns;
    const int y = parts.begin(part), high = parts.size(part), wide = smaller(columns, s.out_width - x);
    if (wide <= 0) return;
    const int64_t frame = static_cast<int64_t>(high) * wide * pitch;
    float* values = static_cast<float*>(scratch(0, static_cast<size_t>(frame) * s.frames * 4));
    const size_t window = static_cast<size_t>(high + s.kernel - 1) * (wide + s.kernel - 1) * (a.in.bits ? a.in.pixel : 0) * 2;
    uint16_t* bits = static_cast<uint16_t*>(scratch(1, window + 64));
    for (int t = 0; t < s.frames; t++) {
      if (a.in.bits)
        depthwise_spikes(a, t, y, x, high, wide, bits, reinterpret_cast<int32_t*>(values + t * frame), pitch);
      for (int r = 0; !a.in.bits && r < high; r++) {
        float* out = values + t * frame + static_cast<int64_t>(r) * wide * pitch;
        if (s.kernel > 1) {
          depthwise_values(a, t, y + r, x, wide, out, pitch);
        } else {
          const float* from = a.value + t * a.value_frame + (static_cast<int64_t>(y + r) * s.width + x) * a.value_pixel;
          for (int j = 0; j < wide; j++) __builtin_memcpy(out + j * pitch, from + j * a.value_pixel, pitch * 4);
        }
      }
    }
    const auto at = [&](int i) { return static_cast<int64_t>(y + i / wide) * s.out_width + x + i % wide; };
    Tally near;
    matrix<false>(values, frame, pitch, nullptr, a.depth, a.weights, high * wide, a.out, s.frames, near, at);
    report_near(a.out, near);
  });
}

static void pictures(const PictureConv& a) {
  const Shape& s = a.shape;
  const int k = s.kernel, depth = a.channels * k * k;
  const int pieces = (s.out_width + 31) / 32, columns = (s.out_width + pieces - 1) / pieces;
  parallel(static_cast<int64_t>(pieces) * s.out_height, [&](int64_t item) {
    const int y = static_cast<int>(item / pieces), x = static_cast<int>(item % pieces) * columns;
    const int wide = smaller(columns, s.out_width - x);
    if (wide <= 0) return;
    // the rows that these pixels see, with zeros beyond the picture
    const int across = (wide - 1) * s.stride + k, top = y * s.stride - s.padding, left = x * s.stride - s.padding;
    const int from = larger(0, -left), to = smaller(across, s.width - left);
    const int64_t plane = static_cast<int64_t>(k) * across, frame = a.channels * plane;
    float* rows = static_cast<float*>(scratch(0, static_cast<size_t>(frame) * s.frames * 4));
    int32_t* offsets = static_cast<int32_t*>(scratch(1, static_cast<size_t>(depth) * 4));
    for (int i = 0; i < depth; i++) offsets[i] = static_cast<int32_t>(i / (k * k) * plane + i / k % k * across + i % k);
    for (int64_t i = 0; i < static_cast<int64_t>(s.frames) * a.channels * k; i++) {
      const int yy = top + static_cast<int>(i % k);
      float* out = rows + i * across;
      __builtin_memset(out, 0, static_cast<size_t>(across) * 4);
      if (yy >= 0 && yy < s.height && from < to)
        __builtin_memcpy(out + from, a.frames + (i / k * s.height + yy) * s.width + left + from,
                         static_cast<size_t>(to - from) * 4);
    }
    Tally near;
    const auto at = [&](int i) { return static_cast<int64_t>(y) * s.out_width + x + i; };
    matrix<true>(rows, frame, s.stride, offsets, depth, a.weights, wide, a.out, s.frames, near, at);
    report_near(a.out, near);
  });
}

// `Columns` vectors of a neuron without a norm, over all frames; `at`: where its membranes lie. Values are not asked for
// ahead: that doubled the time where they come from memory.
template <Way W, int Columns>
static inline void fire_columns(const Fire& a, const float* x, int64_t at, uint16_t* bits, M last, Tally& near) {
  const Output& o = a.out;
  const Neuron n = o.neuron;
  V v[Columns];
  UNROLLED
  for (int i = 0; i < Columns; i++) v[i] = o.fresh ? all(o.start) : load(o.before + at + i * kLanes);
  // a copy, which no store of spikes can be thought to change
  Tally own = near;
  for (int t = 0; t < a.frames; t++, x += a.value_frame, bits += o.bits_frame) {
    V over[Columns];
    UNROLLED
    for (int i = 0; i < Columns; i++) {
      const M there = i == Columns - 1 ? last : static_cast<M>(0xffff);
      fire_at<W>(n, v[i], load(x + i * kLanes), there, bits + i, 0, over[i], own);
    }
    tally<Columns>(over, own);
  }
  near = own;
  UNROLLED
  for (int i = 0; i < Columns; i++) store(o.membrane + at + i * kLanes, v[i]);
}

// `count` vectors next to each other; `last` has the channels of the last one.
template <Way W>
static inline void fire_run(const Fire& a, const float* x, int64_t at, uint16_t* bits, int64_t count, M last, Tally& near) {
  const M every = static_cast<M>(0xffff);
  int64_t c = 0;
  const auto ends = [&](int some) { return c + some == count ? last : every; };
  for (; c + 8 <= count; c += 8) fire_columns<W, 8>(a, x + c * kLanes, at + c * kLanes, bits + c, ends(8), near);
  for (; c + 4 <= count; c += 4) fire_columns<W, 4>(a, x + c * kLanes, at + c * kLanes, bits + c, ends(4), near);
  for (; c < count; c++) fire_columns<W, 1>(a, x + c * kLanes, at + c * kLanes, bits + c, ends(1), near);
}

static void fire(const Fire& a) {
  const Output& o = a.out;
  const int64_t some = 64, lanes = static_cast<int64_t>(o.vectors) * kLanes;
  const bool bare = o.neuron.kind == kLif && !o.scale && !o.residual && !o.value;
  // pixels without gaps are one run of vectors
  const bool dense = o.channels == lanes && a.value_pixel == lanes && o.membrane_pixel == lanes && o.bits_pixel == o.vectors;
  const int left = o.channels % kLanes;
  const M last = static_cast<M>(left ? (1 << left) - 1 : 0xffff);
  const auto run = is_shifting(o.neuron) ? fire_run<kShifting> : is_simple(o.neuron) ? fire_run<kSimple> : fire_run<kAnyLif>;
  parallel((a.pixels + some - 1) / some, [&](int64_t item) {
    const int64_t end = (item + 1) * some < a.pixels ? (item + 1) * some : a.pixels;
    Tally near;
    for (int64_t p = item * some, step = bare && dense ? end - p : 1; p < end; p += step) {
      const float* x = a.value + p * a.value_pixel;
      if (bare) {
        run(a, x, p * o.membrane_pixel, o.bits + p * o.bits_pixel, step * o.vectors, last, near);
        clear_beyond(o, p, 0, a.frames);
      } else {
        emit(o, p, 0, o.vectors, Sums<float>{x, a.value_frame, kLanes, 0, 1}, 0, a.frames, near);
      }
    }
    report_near(o, near);
  });
}

// A pixel of the output of a resize, all channels, into `out`.
static inline void between_pixels(const Resize& a, int t, int y, int x, int64_t lanes, float* out) {
  const float* frame = a.value + t * a.value_frame;
  const float *corner[2][2], down = a.down[y], along = a.along[x];
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 2; j++)
      corner[i][j] = frame + (static_cast<int64_t>(a.rows[2 * y + i]) * a.width + a.columns[2 * x + j]) * a.value_pixel;
  for (int64_t c = 0; c < lanes; c += kLanes) {
    V row[2];
    UNROLLED
    for (int i = 0; i < 2; i++) {
      const V first = load(corner[i][0] + c);
      row[i] = fma(sub(load(corner[i][1] + c), first), all(along), first);
    }
    store(out + c, fma(sub(row[1], row[0]), all(down), row[0]));
  }
}

static void resize(const Resize& a) {
  const Output& o = a.out;
  const int64_t lanes = static_cast<int64_t>(o.vectors) * kLanes;
  const int pieces = (a.out_width + 63) / 64, columns = (a.out_width + pieces - 1) / pieces;
  parallel(static_cast<int64_t>(pieces) * a.out_height, [&](int64_t item) {
    const int y = static_cast<int>(item / pieces), x = static_cast<int>(item % pieces) * columns;
    float* values = static_cast<float*>(scratch(0, static_cast<size_t>(lanes) * a.frames * 4));
    Tally near;
    for (int i = x; i < smaller(x + columns, a.out_width); i++) {
      for (int t = 0; t < a.frames; t++) between_pixels(a, t, y, i, lanes, values + t * lanes);
      const int64_t pixel = static_cast<int64_t>(y) * a.out_width + i;
      emit(o, pixel, 0, o.vectors, Sums<float>{values, lanes, kLanes, 0, 1}, 0, a.frames, near);
    }
    report_near(o, near);
  });
}
