// The door to Python: arrays in, checked for what the kernels rely on, and no lock of Python's while they run.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels.hpp"
#include "pool.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace spikereel {
namespace {

using Bits = nb::ndarray<uint16_t, nb::ndim<4>, nb::device::cpu>;            // [plane, frame, pixel, words]
using Values = nb::ndarray<float, nb::ndim<3>, nb::device::cpu>;             // [frame, pixel, channels]
using Weights = nb::ndarray<const float, nb::ndim<1>, nb::device::cpu>;      // packed
using Fixed = nb::ndarray<const int32_t, nb::ndim<1>, nb::device::cpu>;      // packed, fixed point
using Short = nb::ndarray<const int16_t, nb::ndim<1>, nb::device::cpu>;      // packed, coarse
using Digits = nb::ndarray<const int8_t, nb::ndim<4>, nb::c_contig, nb::device::cpu>;  // [vector, tap and word, digit, 1024]
using Table = nb::ndarray<const float, nb::ndim<2>, nb::device::cpu>;        // [frame or 1, channels]
using Membrane = nb::ndarray<float, nb::ndim<2>, nb::device::cpu>;           // [pixel, channels]
using Counter = nb::ndarray<int64_t, nb::ndim<1>, nb::device::cpu>;

const Kernels* kernels = nullptr;

void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(what);
}

std::vector<const Kernels*> present() {
  std::vector<const Kernels*> found;
  for (const Kernels* k : {amx_kernels(), avx512_kernels(), avx2_kernels(), plain_kernels()})
    if (k) found.push_back(k);
  return found;
}

int whole(int channels) { return (channels + kLanes - 1) / kLanes; }

Spikes spikes_of(const Bits& bits, int channels) {
  require(bits.stride(3) == 1, "spikes need words next to each other");
  require(static_cast<int64_t>(bits.shape(3)) * kLanes >= channels && bits.shape(3) % 4 == 0, "too few words of spikes");
  return {bits.data(), bits.stride(0), bits.stride(1), bits.stride(2), static_cast<int32_t>(bits.shape(0)), channels};
}

// Where the results of a layer go; holds on to all arrays that it points into.
struct Target {
  Output out{};
  std::optional<Table> scale, bias;
  std::optional<Values> residual, value;
  std::optional<Bits> bits;
  std::optional<Membrane> membrane, before;
  std::optional<Counter> near;
  int64_t frames = 0, pixels = 0;

  void cover(int64_t f, int64_t p) {
    require(frames == 0 || (frames == f && pixels == p), "outputs of different frames or pixels");
    frames = f, pixels = p;
  }
};

Target make_target(int channels, std::optional<Table> scale, std::optional<Table> bias, std::optional<Values> residual,
                   std::optional<Values> value, std::optional<Bits> bits, std::optional<Membrane> membrane, int kind,
                   bool soft_reset, bool decay_input, int top, float decay, float threshold, float v_reset,
                   bool fresh, float start, std::optional<Counter> near, std::optional<Membrane> before) {
  Target target;
  Output& o = target.out;
  o.channels = channels, o.vectors = whole(channels);
  const size_t lanes = static_cast<size_t>(o.vectors) * kLanes;
  require(scale.has_value() == bias.has_value(), "scale and bias come together");
  if (scale) {
    require(scale->shape(1) >= lanes && bias->shape(1) >= lanes && scale->shape(0) == bias->shape(0), "norm too short");
    require(scale->stride(1) == 1 && bias->stride(1) == 1 && scale->stride(0) == bias->stride(0), "norm not in order");
    o.scale = scale->data(), o.bias = bias->data();
    o.affine_frame = scale->shape(0) > 1 ? scale->stride(0) : 0;
  }
  if (residual) {
    require(residual->shape(2) >= lanes && residual->stride(2) == 1, "residual too narrow");
    target.cover(residual->shape(0), residual->shape(1));
    o.residual = residual->data(), o.residual_frame = residual->stride(0), o.residual_pixel = residual->stride(1);
  }
  if (value) {
    require(value->shape(2) >= lanes && value->stride(2) == 1, "values too narrow");
    target.cover(value->shape(0), value->shape(1));
    o.value = value->data(), o.value_frame = value->stride(0), o.value_pixel = value->stride(1);
  }
  o.neuron = {kind, soft_reset, decay_input, top, decay, threshold, v_reset};
  if (kind != kNone) {
    require(bits && membrane, "a neuron needs its membrane and room for spikes");
    require(bits->shape(3) * kLanes >= lanes && bits->shape(3) % 4 == 0 && bits->stride(3) == 1, "spikes too narrow");
    require(static_cast<int>(bits->shape(0)) == (kind == kInteger ? top : 1), "planes of spikes do not fit the neuron");
    target.cover(bits->shape(1), bits->shape(2));
    require(membrane->shape(1) >= lanes && membrane->stride(1) == 1, "membrane too narrow");
    require(membrane->shape(0) == bits->shape(2), "membrane of other pixels");
    o.membrane = membrane->data(), o.membrane_pixel = membrane->stride(0);
    if (before) {
      require(before->shape(0) == membrane->shape(0) && before->shape(1) >= lanes, "a membrane before of other size");
      require(before->stride(0) == membrane->stride(0) && before->stride(1) == 1, "a membrane before in another order");
    }
    o.before = before ? before->data() : o.membrane;
    o.fresh = fresh, o.start = start;
    o.bits = bits->data();
    o.bits_plane = bits->stride(0), o.bits_frame = bits->stride(1), o.bits_pixel = bits->stride(2);
  }
  require(target.frames > 0, "a layer without output");
  if (scale && scale->shape(0) > 1) require(static_cast<int64_t>(scale->shape(0)) >= target.frames, "norm of fewer frames");
  if (near) o.near = near->data();
  target.scale = scale, target.bias = bias, target.residual = residual, target.value = value;
  target.bits = bits, target.membrane = membrane, target.before = before, target.near = near;
  return target;
}

Shape shape_of(int64_t frames, int height, int width, int out_height, int out_width, int kernel, int stride, int padding) {
  return {static_cast<int32_t>(frames), height, width, out_height, out_width, kernel, stride, padding};
}

void check_shape(const Shape& s, const Target& target) {
  require(s.out_height == (s.height + 2 * s.padding - s.kernel) / s.stride + 1, "height of the output");
  require(s.out_width == (s.width + 2 * s.padding - s.kernel) / s.stride + 1, "width of the output");
  require(s.frames == target.frames, "frames of the output");
  require(static_cast<int64_t>(s.out_height) * s.out_width == target.pixels, "pixels of the output");
}

// What every convolution of spikes begins with.
template <class Conv>
Conv conv_of(const Bits& in, int channels, int height, int width, int kernel, int stride, int padding, const Target& target) {
  Conv a{};
  a.in = spikes_of(in, channels);
  a.shape = shape_of(in.shape(1), height, width, (height + 2 * padding - kernel) / stride + 1,
                     (width + 2 * padding - kernel) / stride + 1, kernel, stride, padding);
  check_shape(a.shape, target);
  require(static_cast<int64_t>(in.shape(2)) == static_cast<int64_t>(height) * width, "pixels of the input");
  require(target.out.scale, "sums in fixed point need a scale");
  a.out = target.out;
  return a;
}

void run_events(const Bits& in, int channels, int height, int width, int kernel, int stride, int padding,
                const Fixed& weights, int block, bool by_row, const Target& target) {
  auto a = conv_of<EventConv>(in, channels, height, width, kernel, stride, padding, target);
  require(block == 1 || block == 2 || block == 4 || block == 8, "block of vectors");
  const int64_t blocks = (target.out.vectors + block - 1) / block;
  const int64_t depth = static_cast<int64_t>(kernel) * kernel * channels;
  require(depth < 65536, "too many inputs for an event list");
  require(static_cast<int64_t>(weights.shape(0)) == blocks * depth * block * kLanes, "size of the weights");
  a.weights = weights.data(), a.block_vectors = block, a.by_row = by_row;
  nb::gil_scoped_release release;
  kernels->events(a);
}

void run_cached(const Bits& in, int channels, int height, int width, int kernel, int stride, int padding,
                const Fixed& weights, const Target& target) {
  auto a = conv_of<CachedConv>(in, channels, height, width, kernel, stride, padding, target);
  require(static_cast<int64_t>(weights.shape(0)) ==
              static_cast<int64_t>(target.out.vectors) * kernel * kernel * channels * kLanes, "size of the weights");
  a.weights = weights.data();
  nb::gil_scoped_release release;
  kernels->cached(a);
}

void run_digits(const Bits& in, int channels, int height, int width, int kernel, int stride, int padding,
                const Digits& weights, const Target& target) {
  auto a = conv_of<DigitConv>(in, channels, height, width, kernel, stride, padding, target);
  require(in.shape(0) <= 127, "counts above 127");
  const int words = (channels + 63) / 64;
  // sums of one digit stay below 32 bits
  require(static_cast<int64_t>(kernel) * kernel * channels < 65536, "too many inputs for sums of digits");
  require(weights.shape(0) == static_cast<size_t>(target.out.vectors) && weights.shape(2) >= 1 && weights.shape(2) <= 4 &&
              weights.shape(1) == static_cast<size_t>(kernel) * kernel * words && weights.shape(3) == 64 * kLanes,
          "size of the weights");
  a.weights = weights.data(), a.digits = static_cast<int32_t>(weights.shape(2));
  nb::gil_scoped_release release;
  kernels->digits(a);
}

template <class Weight>
TableConv<Weight> table_conv(const Bits& in, int channels, int height, int width, int kernel, int padding,
                             const nb::ndarray<const Weight, nb::ndim<1>, nb::device::cpu>& weights,
                             const Target& target) {
  require(kernels->has_tables, "no tables for this instruction set");
  const int spikes = sizeof(Weight) == 4 ? 5 : 6, in_word = (64 + spikes - 1) / spikes;
  auto a = conv_of<TableConv<Weight>>(in, channels, height, width, kernel, 1, padding, target);
  require(a.shape.out_height == height && a.shape.out_width == width, "a window that keeps the size");
  a.groups = channels / 64 * in_word + std::min(in_word, (channels % 64 + spikes - 1) / spikes);
  require(static_cast<int64_t>(weights.shape(0)) ==
              static_cast<int64_t>(target.out.vectors) * kLanes * kernel * kernel * a.groups * spikes, "size of the weights");
  a.weights = weights.data();
  return a;
}

void run_tables(const Bits& in, int channels, int height, int width, int kernel, int padding, const Fixed& weights,
                const Target& target) {
  const auto a = table_conv<int32_t>(in, channels, height, width, kernel, padding, weights, target);
  nb::gil_scoped_release release;
  kernels->tables(a);
}

void run_coarse(const Bits& in, int channels, int height, int width, int kernel, int padding, const Short& weights,
                const Target& target) {
  const auto a = table_conv<int16_t>(in, channels, height, width, kernel, padding, weights, target);
  nb::gil_scoped_release release;
  kernels->coarse(a);
}

void run_pointwise(std::optional<Bits> bits, std::optional<Values> value, int depth, int height, int width, int kernel,
                   std::optional<Weights> taps, std::optional<Fixed> fixed, const Weights& weights, const Target& target,
                   int stride) {
  Pointwise a{};
  require(bits.has_value() != value.has_value(), "spikes or values");
  const size_t lanes = static_cast<size_t>(whole(depth)) * kLanes;
  int64_t frames, pixels;
  if (bits) {
    a.in = spikes_of(*bits, depth);
    frames = bits->shape(1), pixels = bits->shape(2);
    require(kernel > 1, "spikes into a matrix go by events or tables");
  } else {
    require(value->shape(2) >= lanes && value->stride(2) == 1, "values too narrow");
    a.value = value->data(), a.value_frame = value->stride(0), a.value_pixel = value->stride(1);
    frames = value->shape(0), pixels = value->shape(1);
  }
  require(stride == 1 || (stride > 1 && kernel > 1 && kernel % 2), "a stride needs a depthwise kernel of odd size");
  const int out_height = (height + kernel / 2 * 2 - kernel) / stride + 1, out_width = (width + kernel / 2 * 2 - kernel) / stride + 1;
  a.shape = shape_of(frames, height, width, out_height, out_width, kernel, stride, kernel / 2);
  check_shape(a.shape, target);
  require(pixels == static_cast<int64_t>(height) * width, "pixels of the input");
  require((kernel > 1 && value) == taps.has_value() && bits.has_value() == fixed.has_value(), "taps of the depthwise kernel");
  const size_t size = static_cast<size_t>(kernel) * kernel * lanes;
  require((!taps || taps->shape(0) == size) && (!fixed || fixed->shape(0) == size), "size of the taps");
  a.taps = taps ? taps->data() : nullptr, a.fixed = fixed ? fixed->data() : nullptr;
  require(weights.shape(0) == static_cast<size_t>(depth) * target.out.vectors * kLanes, "size of the weights");
  a.weights = weights.data(), a.depth = depth, a.out = target.out;
  nb::gil_scoped_release release;
  kernels->pointwise(a);
}

void run_pictures(nb::ndarray<const float, nb::ndim<4>, nb::c_contig, nb::device::cpu> frames, int kernel, int stride,
                  int padding, const Weights& weights, const Target& target) {
  PictureConv a;
  const int height = static_cast<int>(frames.shape(2)), width = static_cast<int>(frames.shape(3));
  a.shape = shape_of(frames.shape(0), height, width, (height + 2 * padding - kernel) / stride + 1,
                     (width + 2 * padding - kernel) / stride + 1, kernel, stride, padding);
  check_shape(a.shape, target);
  a.channels = static_cast<int>(frames.shape(1));
  require(weights.shape(0) == static_cast<size_t>(a.channels) * kernel * kernel * target.out.vectors * kLanes,
          "size of the weights");
  a.frames = frames.data(), a.weights = weights.data(), a.out = target.out;
  nb::gil_scoped_release release;
  kernels->pictures(a);
}

void run_fire(const Values& value, const Target& target) {
  Fire a;
  require(value.shape(2) >= static_cast<size_t>(target.out.vectors) * kLanes && value.stride(2) == 1, "values too narrow");
  require(static_cast<int64_t>(value.shape(0)) == target.frames && static_cast<int64_t>(value.shape(1)) == target.pixels,
          "frames or pixels of the output");
  a.value = value.data(), a.value_frame = value.stride(0), a.value_pixel = value.stride(1);
  a.frames = static_cast<int32_t>(value.shape(0)), a.pixels = target.pixels, a.out = target.out;
  nb::gil_scoped_release release;
  kernels->fire(a);
}

using Pairs = nb::ndarray<const int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;  // [output, 2]

void run_resize(const Values& value, int height, int width, const Pairs& rows, const Pairs& columns, const Weights& down,
                const Weights& along, const Target& target) {
  Resize a;
  require(value.shape(2) >= static_cast<size_t>(target.out.vectors) * kLanes && value.stride(2) == 1, "values too narrow");
  require(static_cast<int64_t>(value.shape(1)) == static_cast<int64_t>(height) * width, "pixels of the input");
  require(static_cast<int64_t>(value.shape(0)) == target.frames, "frames of the output");
  require(static_cast<int64_t>(rows.shape(0) * columns.shape(0)) == target.pixels, "pixels of the output");
  require(rows.shape(1) == 2 && columns.shape(1) == 2, "two rows and two columns for each of the output");
  require(down.shape(0) == rows.shape(0) && along.shape(0) == columns.shape(0), "a share for each row and column");
  for (size_t i = 0; i < 2 * rows.shape(0); i++) require(rows.data()[i] >= 0 && rows.data()[i] < height, "a row beyond the input");
  for (size_t i = 0; i < 2 * columns.shape(0); i++)
    require(columns.data()[i] >= 0 && columns.data()[i] < width, "a column beyond the input");
  a.value = value.data(), a.value_frame = value.stride(0), a.value_pixel = value.stride(1);
  a.frames = static_cast<int32_t>(value.shape(0)), a.width = width;
  a.out_height = static_cast<int32_t>(rows.shape(0)), a.out_width = static_cast<int32_t>(columns.shape(0));
  a.rows = rows.data(), a.columns = columns.data(), a.down = down.data(), a.along = along.data(), a.out = target.out;
  nb::gil_scoped_release release;
  kernels->resize(a);
}

int64_t groups_of(int grouping, int64_t frames, int64_t pixels) {
  return grouping == kClip ? 1 : grouping == kFrame ? frames : pixels;
}

int64_t matrix_size(int channels, int heads) {
  const int d = channels / heads;
  return static_cast<int64_t>(d + 1) * whole(d) * kLanes;
}

void check_heads(int channels, int heads) {
  require(heads > 0 && channels % heads == 0 && channels / heads <= 256, "heads of at most 256 channels");
}

void run_attend_count(const Bits& k, const Bits& v, int channels, int heads, int grouping,
                      nb::ndarray<int32_t, nb::ndim<1>, nb::device::cpu> counts) {
  check_heads(channels, heads);
  Attend a{};
  a.k = spikes_of(k, channels), a.v = spikes_of(v, channels);
  require(k.shape(1) == v.shape(1) && k.shape(2) == v.shape(2), "k and v of different clips");
  a.frames = static_cast<int32_t>(k.shape(1)), a.pixels = k.shape(2), a.heads = heads;
  a.grouping = static_cast<Grouping>(grouping);
  require(static_cast<int64_t>(counts.shape(0)) == groups_of(grouping, a.frames, a.pixels) * heads * matrix_size(channels, heads),
          "size of the counts");
  nb::gil_scoped_release release;
  kernels->attend_count(a, counts.data());
}

// From counts of coincidences [group, head][d + 1][pitch] to what attend_apply takes: spikereel.engine.attending.between.
void run_attend_between(nb::ndarray<const int32_t, nb::ndim<4>, nb::c_contig, nb::device::cpu> counts, bool hamming,
                        nb::ndarray<float, nb::ndim<4>, nb::c_contig, nb::device::cpu> sums) {
  for (int i = 0; i < 4; i++) require(counts.shape(i) == sums.shape(i), "counts and sums of different sizes");
  require(counts.shape(2) > 0 && counts.shape(3) % kLanes == 0, "counts in whole vectors");
  nb::gil_scoped_release release;
  kernels->attend_between(counts.data(), static_cast<int64_t>(counts.shape(0) * counts.shape(1)),
                          static_cast<int64_t>(counts.shape(2)), static_cast<int64_t>(counts.shape(3)), hamming, sums.data());
}

using Running = nb::ndarray<double, nb::ndim<3>, nb::c_contig, nb::device::cpu>;  // [head, d, d]

// Sums of each frame [frame, head, d + 1, pitch] become means up to it: spikereel.engine.attending.so_far.
void run_attend_past(nb::ndarray<float, nb::ndim<4>, nb::c_contig, nb::device::cpu> sums, bool hamming, int64_t seen,
                     std::optional<Running> before, const Running& after) {
  Past a{};
  a.frames = sums.shape(0), a.heads = sums.shape(1), a.depth = static_cast<int64_t>(sums.shape(2)) - 1;
  a.pitch = sums.shape(3), a.seen = seen, a.hamming = hamming;
  require(a.depth > 0 && a.pitch % kLanes == 0 && a.pitch >= a.depth && seen >= 0, "sums in whole vectors");
  for (const Running* x : {before ? &*before : &after, &after})
    require(static_cast<int64_t>(x->shape(0)) == a.heads && static_cast<int64_t>(x->shape(1)) == a.depth &&
                static_cast<int64_t>(x->shape(2)) == a.depth, "running sums of another size");
  a.before = before ? before->data() : nullptr, a.after = after.data();
  nb::gil_scoped_release release;
  kernels->attend_past(a, sums.data());
}

using Window = nb::ndarray<float, nb::ndim<4>, nb::c_contig, nb::device::cpu>;  // [frame, head, d, d]

// Sums of each frame [frame, head, d + 1, pitch] become those of the last ones: spikereel.engine.attending.of_the_last.
void run_attend_recent(nb::ndarray<float, nb::ndim<4>, nb::c_contig, nb::device::cpu> sums, bool hamming,
                       std::optional<Running> summed, std::optional<Window> recent, const Running& summed_after,
                       const Window& recent_after) {
  Recent a{};
  a.frames = sums.shape(0), a.heads = sums.shape(1), a.depth = static_cast<int64_t>(sums.shape(2)) - 1;
  a.pitch = sums.shape(3), a.window = recent_after.shape(0), a.hamming = hamming;
  require(a.depth > 0 && a.frames > 0 && a.window > 0 && a.pitch % kLanes == 0 && a.pitch >= a.depth, "sums in whole vectors");
  require(summed.has_value() == recent.has_value(), "a sum and what it was made of come together");
  for (const Running* x : {summed ? &*summed : &summed_after, &summed_after})
    require(static_cast<int64_t>(x->shape(0)) == a.heads && static_cast<int64_t>(x->shape(1)) == a.depth &&
                static_cast<int64_t>(x->shape(2)) == a.depth, "a running sum of another size");
  for (const Window* x : {recent ? &*recent : &recent_after, &recent_after})
    require(static_cast<int64_t>(x->shape(0)) == a.window && static_cast<int64_t>(x->shape(1)) == a.heads &&
                static_cast<int64_t>(x->shape(2)) == a.depth && static_cast<int64_t>(x->shape(3)) == a.depth,
            "sums of another window");
  a.summed = summed ? summed->data() : nullptr, a.frames_before = recent ? recent->data() : nullptr;
  a.summed_after = summed_after.data(), a.frames_after = recent_after.data();
  nb::gil_scoped_release release;
  kernels->attend_recent(a, sums.data());
}

void run_attend_apply(const Bits& q, int channels, int heads, int grouping, bool hamming, const Weights& sums,
                      const Target& target) {
  check_heads(channels, heads);
  Attend a{};
  a.q = spikes_of(q, channels);
  require(q.shape(0) == 1 || !hamming, "Hamming similarity is for binary q");
  require(static_cast<int64_t>(q.shape(1)) == target.frames &&
              static_cast<int64_t>(q.shape(2)) == target.pixels, "frames or pixels of the output");
  a.frames = static_cast<int32_t>(q.shape(1)), a.pixels = q.shape(2), a.heads = heads, a.hamming = hamming;
  a.grouping = static_cast<Grouping>(grouping);
  require(static_cast<int64_t>(sums.shape(0)) == groups_of(grouping, a.frames, a.pixels) * heads * matrix_size(channels, heads),
          "size of the sums");
  // read only: the kernels take one struct for both ways
  a.sums = const_cast<float*>(sums.data()), a.out = target.out;
  nb::gil_scoped_release release;
  kernels->attend_apply(a);
}

int64_t count_spikes(const Bits& bits) {
  int64_t total = 0;
  for (size_t d = 0; d < bits.shape(0); d++)
    for (size_t t = 0; t < bits.shape(1); t++)
      for (size_t p = 0; p < bits.shape(2); p++) {
        const uint16_t* row = bits.data() + d * bits.stride(0) + t * bits.stride(1) + p * bits.stride(2);
        for (size_t w = 0; w < bits.shape(3); w++) total += __builtin_popcount(row[w]);
      }
  return total;
}

}  // namespace

NB_MODULE(_native, m) {
  kernels = present().front();
  // counts with every change of what Python calls; engine/loaded.py has the same number
  m.attr("ABI") = 9;
  m.def("instruction_sets", [] {
    std::vector<std::string> names;
    for (const Kernels* k : present()) names.emplace_back(k->name);
    return names;
  });
  m.def("instruction_set", [] { return std::string(kernels->name); });
  m.def("use_instruction_set", [](const std::string& name) {
    for (const Kernels* k : present())
      if (name == k->name) {
        kernels = k;
        return;
      }
    throw std::invalid_argument("this processor has no " + name);
  });
  m.def("has_tables", [] { return kernels->has_tables != 0; });
  // 0: digits are worth a try nowhere, 1: for counts above one, 2: everywhere
  m.def("digits_for", [] { return static_cast<int>(kernels->digits_for); });
  m.def("set_threads", &set_threads);
  m.def("threads", &threads);
  m.def("count_spikes", &count_spikes);
  nb::class_<Target>(m, "Target")
      .def(nb::new_(&make_target), "channels"_a, nb::kw_only(), "scale"_a.none(), "bias"_a.none(), "residual"_a.none(),
           "value"_a.none(), "bits"_a.none(), "membrane"_a.none(), "kind"_a, "soft_reset"_a, "decay_input"_a, "top"_a,
           "decay"_a, "threshold"_a, "v_reset"_a, "fresh"_a, "start"_a, "near"_a.none(),
           "before"_a.none() = nb::none());
  m.def("events", &run_events, "bits"_a, nb::kw_only(), "channels"_a, "height"_a, "width"_a, "kernel"_a, "stride"_a,
        "padding"_a, "weights"_a, "block"_a, "by_row"_a = false, "target"_a);
  m.def("cached", &run_cached, "bits"_a, nb::kw_only(), "channels"_a, "height"_a, "width"_a, "kernel"_a, "stride"_a,
        "padding"_a, "weights"_a, "target"_a);
  m.def("digits", &run_digits, "bits"_a, nb::kw_only(), "channels"_a, "height"_a, "width"_a, "kernel"_a, "stride"_a,
        "padding"_a, "weights"_a, "target"_a);
  m.def("tables", &run_tables, "bits"_a, nb::kw_only(), "channels"_a, "height"_a, "width"_a, "kernel"_a, "padding"_a,
        "weights"_a, "target"_a);
  m.def("coarse", &run_coarse, "bits"_a, nb::kw_only(), "channels"_a, "height"_a, "width"_a, "kernel"_a, "padding"_a,
        "weights"_a, "target"_a);
  m.def("pointwise", &run_pointwise, "bits"_a.none(), "value"_a.none(), nb::kw_only(), "depth"_a, "height"_a, "width"_a,
        "kernel"_a, "taps"_a.none(), "fixed"_a.none(), "weights"_a, "target"_a, "stride"_a = 1);
  m.def("pictures", &run_pictures, "frames"_a, nb::kw_only(), "kernel"_a, "stride"_a, "padding"_a,
        "weights"_a, "target"_a);
  m.def("fire", &run_fire, "value"_a, nb::kw_only(), "target"_a);
  m.def("resize", &run_resize, "value"_a, nb::kw_only(), "height"_a, "width"_a, "rows"_a, "columns"_a, "down"_a, "along"_a,
        "target"_a);
  m.def("attend_count", &run_attend_count, "k"_a, "v"_a, nb::kw_only(), "channels"_a, "heads"_a, "grouping"_a, "counts"_a);
  m.def("attend_between", &run_attend_between, "counts"_a, nb::kw_only(), "hamming"_a, "sums"_a);
  m.def("attend_past", &run_attend_past, "sums"_a, nb::kw_only(), "hamming"_a, "seen"_a, "before"_a.none(), "after"_a);
  m.def("attend_recent", &run_attend_recent, "sums"_a, nb::kw_only(), "hamming"_a, "summed"_a.none(), "recent"_a.none(),
        "summed_after"_a, "recent_after"_a);
  m.def("attend_apply", &run_attend_apply, "q"_a, nb::kw_only(), "channels"_a, "heads"_a, "grouping"_a, "hamming"_a,
        "sums"_a, "target"_a);
}

}  // namespace spikereel
