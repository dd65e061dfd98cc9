// The door to Python: arrays in, checked for what the loops rely on, and no lock of Python's while they run.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "pool.hpp"
#include "training.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace spikereel {
namespace {

using Values = nb::ndarray<float, nb::ndim<3>, nb::c_contig, nb::device::cpu>;   // [frame or group, row, channel]
using Table = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;    // [group, channel], or [row, channel]
using Numbers = nb::ndarray<float, nb::ndim<2>, nb::device::cpu>;                // [group, channel], in any order
using Exact = nb::ndarray<double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;   // [group, channel]
using Bytes = nb::ndarray<uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;  // [frame, bytes]
using Line = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Square = nb::ndarray<float, nb::ndim<4>, nb::device::cpu>;                 // [out, in, k, k], in any order
using Sums = nb::ndarray<float, nb::ndim<4>, nb::c_contig, nb::device::cpu>;     // [run, group, 2, channel]
using Doubles = nb::ndarray<double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Totals = nb::ndarray<double, nb::ndim<3>, nb::c_contig, nb::device::cpu>;  // [group, 2, channel]

const TrainingKernels* kernels = nullptr;

void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(what);
}

std::vector<const TrainingKernels*> present() {
  std::vector<const TrainingKernels*> found;
  for (const TrainingKernels* k : {training_avx512(), training_avx2(), training_plain()})
    if (k) found.push_back(k);
  return found;
}

// Numbers of channels continued by those of a block, so that any part of the rows finds its own in one piece.
const float* continued(const Table& table, std::vector<float>& room) {
  const size_t channels = table.shape(1), line = channels + kBlock;
  room.resize(table.shape(0) * line);
  for (size_t g = 0; g < table.shape(0); g++)
    for (size_t i = 0; i < line; i++) room[g * line + i] = table.data()[g * channels + i % channels];
  return room.data();
}

// Tables of a norm, as neurons read them.
struct Room {
  std::vector<float> scale, shift, mean;
};

Neurons neurons_of(const Values& x, const std::optional<Table>& scale, const std::optional<Table>& shift,
                   const std::optional<Table>& mean, const std::optional<Table>& start, float rest, const Unit& unit,
                   Room& room) {
  Neurons a{};
  a.x = x.data(), a.frames = static_cast<int64_t>(x.shape(0));
  a.values = static_cast<int64_t>(x.shape(1) * x.shape(2)), a.channels = static_cast<int32_t>(x.shape(2));
  require(a.values > 0 && a.frames > 0, "no values");
  a.groups = 1, a.rest = rest, a.unit = unit;
  if (scale) {
    require(shift && mean, "a norm is a scale, a shift and a mean");
    for (const Table* table : {&*scale, &*shift, &*mean}) {
      require(table->shape(1) == x.shape(2), "a norm of other channels");
      require(table->shape(0) == 1 || table->shape(0) == x.shape(0), "a norm of other frames");
      require(table->shape(0) == scale->shape(0), "a norm of uneven parts");
    }
    a.groups = static_cast<int32_t>(scale->shape(0));
    a.scale = continued(*scale, room.scale), a.shift = continued(*shift, room.shift), a.mean = continued(*mean, room.mean);
  }
  if (start) {
    require(start->shape(0) == x.shape(1) && start->shape(1) == x.shape(2), "membranes of other rows");
    a.start = start->data();
  }
  return a;
}

void same(const Values& x, const Values& y) {
  require(x.shape(0) == y.shape(0) && x.shape(1) == y.shape(1) && x.shape(2) == y.shape(2), "values of another shape");
}

void fire(const Values& x, std::optional<Table> scale, std::optional<Table> shift, std::optional<Table> mean,
          std::optional<Table> start, float rest, const Unit& unit, const Bytes& kept, const Table& membrane) {
  Room tables;
  const Neurons a = neurons_of(x, scale, shift, mean, start, rest, unit, tables);
  const int64_t bytes = unit.integer ? a.values : (a.values + 7) / 8;
  require(static_cast<int64_t>(kept.shape(0)) == a.frames && static_cast<int64_t>(kept.shape(1)) == bytes,
          "no room for the bits");
  require(membrane.shape(0) == x.shape(1) && membrane.shape(1) == x.shape(2), "membranes of other rows");
  const Fired out{kept.data(), membrane.data()};
  nb::gil_scoped_release release;
  kernels->fire(a, out);
}

void unfire(const Values& x, std::optional<Table> scale, std::optional<Table> shift, std::optional<Table> mean,
            std::optional<Table> start, float rest, const Unit& unit, const Values& to_spikes,
            std::optional<Table> to_membrane, const Values& to_z, std::optional<Table> to_start,
            std::optional<Sums> sums, std::optional<Doubles> to_decay) {
  Room tables;
  const Neurons a = neurons_of(x, scale, shift, mean, start, rest, unit, tables);
  same(x, to_spikes), same(x, to_z);
  Gradients out{};
  out.to_spikes = to_spikes.data(), out.to_z = to_z.data();
  for (const std::optional<Table>* table : {&to_membrane, &to_start})
    if (*table) require((*table)->shape(0) == x.shape(1) && (*table)->shape(1) == x.shape(2), "membranes of other rows");
  if (to_membrane) out.to_membrane = to_membrane->data();
  if (to_start) out.to_start = to_start->data();
  const auto runs = static_cast<size_t>(runs_of(a.values));
  require(sums.has_value() == (a.scale != nullptr), "sums are those of a norm");
  if (sums) {
    require(sums->shape(0) == runs && sums->shape(1) == static_cast<size_t>(a.groups) && sums->shape(2) == 2 &&
                sums->shape(3) == x.shape(2), "no room for the sums");
    out.sums = sums->data();
  }
  if (to_decay) {
    require(to_decay->shape(0) == runs, "no room for the gradient of the time constant");
    out.to_decay = to_decay->data();
  }
  nb::gil_scoped_release release;
  kernels->unfire(a, out);
}

Rows rows_of(const Values& x) {
  require(x.size() > 0, "no values");
  return {x.data(), static_cast<int64_t>(x.shape(0)), static_cast<int64_t>(x.shape(1)), static_cast<int32_t>(x.shape(2))};
}

void fits(const Values& x, const Table& table) {
  require(table.shape(0) == x.shape(0) && table.shape(1) == x.shape(2), "numbers of other channels");
}

void room(const Values& x, const Totals& sums) {
  require(sums.shape(0) == x.shape(0) && sums.shape(1) == 2 && sums.shape(2) == x.shape(2), "no room for the sums");
}

bool as_large(const Values& x, const Numbers& numbers) {
  return numbers.shape(0) == x.shape(0) && numbers.shape(1) == x.shape(2);
}

float& at(const Numbers& numbers, size_t g, size_t c) {
  return numbers.data()[static_cast<int64_t>(g) * numbers.stride(0) + static_cast<int64_t>(c) * numbers.stride(1)];
}

// As torch.lerp has it.
float between(float from, float to, float share) {
  return share < 0.5f ? from + share * (to - from) : to - (to - from) * (1.0f - share);
}

// What a norm in training does to x, [3][group][channel] (scale, shift, mean), and 1 / std; running statistics follow.
void normalise(const Values& x, const Numbers& gamma, const Numbers& beta, std::optional<Numbers> running_mean,
               std::optional<Numbers> running_var, double momentum, double eps, const Values& affine, const Exact& inverse) {
  const Rows a = rows_of(x);
  const size_t groups = x.shape(0), channels = x.shape(2), size = groups * channels;
  require(as_large(x, gamma) && as_large(x, beta), "numbers of other channels");
  require(running_mean.has_value() == running_var.has_value(), "running statistics are a mean and a variance");
  if (running_mean) require(as_large(x, *running_mean) && as_large(x, *running_var), "running statistics of other channels");
  require(affine.shape(0) == 3 && affine.shape(1) == groups && affine.shape(2) == channels, "no room for the norm");
  require(inverse.shape(0) == groups && inverse.shape(1) == channels, "no room for the deviations");
  nb::gil_scoped_release release;
  std::vector<double> sums(2 * size);
  kernels->moments(a, sums.data());
  const auto count = static_cast<double>(a.rows);
  for (size_t g = 0; g < groups; g++)
    for (size_t c = 0; c < channels; c++) {
      const double off = sums[2 * g * channels + c] / count, square = sums[(2 * g + 1) * channels + c] / count;
      const double mean = static_cast<double>(x.data()[g * a.rows * channels + c]) + off, var = square - off * off;
      if (running_mean) {
        float& own = at(*running_mean, g, c);
        own = between(own, static_cast<float>(mean), static_cast<float>(momentum));
        float& spread = at(*running_var, g, c);
        spread = between(spread, static_cast<float>(var * (count / (count - 1))), static_cast<float>(momentum));
      }
      const double one = 1.0 / std::sqrt(var + eps), scale = static_cast<double>(at(gamma, g, c)) * one;
      inverse.data()[g * channels + c] = one;
      float* to = affine.data() + g * channels + c;
      to[0] = static_cast<float>(scale);
      to[size] = static_cast<float>(static_cast<double>(at(beta, g, c)) - mean * scale);
      to[2 * size] = static_cast<float>(mean);
    }
}

// The gradients through `normalise`, from the sums of dz and of dz (x - mean).
void through_norm(const Values& grads, const Values& x, const Table& mean, const Exact& inverse, const Numbers& gamma,
                  const Totals& sums, const Values& to_x, const Table& to_gamma, const Table& to_beta) {
  const Rows a = rows_of(grads);
  same(grads, x), same(grads, to_x), fits(x, mean), fits(x, to_gamma), fits(x, to_beta), room(x, sums);
  require(as_large(x, gamma) && inverse.shape(0) == x.shape(0) && inverse.shape(1) == x.shape(2), "numbers of other channels");
  nb::gil_scoped_release release;
  const size_t channels = x.shape(2), size = x.shape(0) * channels;
  const auto count = static_cast<double>(a.rows);
  std::vector<float> factors(3 * size);
  for (size_t g = 0; g < x.shape(0); g++)
    for (size_t c = 0; c < channels; c++) {
      const size_t i = g * channels + c;
      const double total = sums.data()[2 * g * channels + c], along = sums.data()[(2 * g + 1) * channels + c];
      const double one = inverse.data()[i], factor = static_cast<double>(at(gamma, g, c)) * one;
      factors[i] = static_cast<float>(factor);
      factors[size + i] = static_cast<float>(-factor * (one * one) * along / count);
      factors[2 * size + i] = static_cast<float>(-factor * total / count);
      to_gamma.data()[i] = static_cast<float>(along * one);
      to_beta.data()[i] = static_cast<float>(total);
    }
  const float* f = factors.data();
  kernels->finish(a, x.data(), mean.data(), f, f + size, f + 2 * size, to_x.data());
}

void moments(const Values& x, const Totals& sums) {
  const Rows a = rows_of(x);
  room(x, sums);
  nb::gil_scoped_release release;
  kernels->moments(a, sums.data());
}

void sums(const Values& x, const Values& other, const Table& mean, const Totals& out) {
  const Rows a = rows_of(x);
  same(x, other), fits(x, mean), room(x, out);
  nb::gil_scoped_release release;
  kernels->sums(a, other.data(), mean.data(), out.data());
}

void affine(const Values& x, const Table& scale, const Table& shift, const Values& out) {
  const Rows a = rows_of(x);
  fits(x, scale), fits(x, shift), same(x, out);
  nb::gil_scoped_release release;
  kernels->affine(a, scale.data(), shift.data(), out.data());
}

void finish(const Values& x, const Values& other, const Table& mean, const Table& ka, const Table& kb, const Table& kc,
            const Values& out) {
  const Rows a = rows_of(x);
  same(x, other), same(x, out), fits(x, mean), fits(x, ka), fits(x, kb), fits(x, kc);
  nb::gil_scoped_release release;
  kernels->finish(a, other.data(), mean.data(), ka.data(), kb.data(), kc.data(), out.data());
}

void unpack(const Bytes& bits, const Values& out) {
  const int64_t values = static_cast<int64_t>(out.shape(1) * out.shape(2));
  require(bits.shape(0) == out.shape(0) && static_cast<int64_t>(bits.shape(1)) == (values + 7) / 8, "bits of other values");
  nb::gil_scoped_release release;
  kernels->unpack(bits.data(), static_cast<int64_t>(out.shape(0)), values, out.data());
}

void uncount(const Bytes& counts, float per, const Values& out) {
  require(counts.size() == out.size(), "counts of other values");
  nb::gil_scoped_release release;
  kernels->uncount(counts.data(), static_cast<int64_t>(counts.size()), per, out.data());
}

SpikeMaps maps_of(const Bytes& bits, const Values& values, int pictures, int height, int width, int in, int kernel) {
  const int64_t frames = static_cast<int64_t>(bits.shape(0)), rows = static_cast<int64_t>(pictures) * height * width;
  require(kernel == 1 || kernel == 3, "kernel of 1 or 3");
  require(in > 0 && in % 8 == 0 && kernel * kernel * in < 65536, "channels of the input");
  require(values.shape(2) > 0, "channels of the output");
  require(static_cast<int64_t>(bits.shape(1)) == (rows * in + 7) / 8, "bits of other pictures");
  require(static_cast<int64_t>(values.shape(0)) == frames && static_cast<int64_t>(values.shape(1)) == rows, "other rows");
  return {bits.data(), frames, pictures, height, width, in, static_cast<int32_t>(values.shape(2)), kernel};
}

// of weights [out, in, k, k] in any order of memory with the taps of a row next to each other; or, for the gradient of
// the input, [in, out, k, k] with taps from the last one on
Weights weights_of(const Square& weights, bool to_input) {
  const auto kernel = static_cast<int64_t>(weights.shape(2));
  require(weights.shape(3) == weights.shape(2), "a square kernel");
  require(kernel == 1 || weights.stride(2) == kernel * weights.stride(3), "weights with gaps");
  return {weights.data(), weights.stride(to_input ? 0 : 1), weights.stride(to_input ? 1 : 0),
          kernel == 1 ? 0 : weights.stride(3), to_input};
}

void events(const Bytes& bits, int pictures, int height, int width, const Square& weights, std::optional<Line> bias,
            const Values& out) {
  const SpikeMaps a = maps_of(bits, out, pictures, height, width, static_cast<int>(weights.shape(1)),
                              static_cast<int>(weights.shape(2)));
  require(weights.shape(0) == out.shape(2), "size of the weights");
  require(!bias || static_cast<int>(bias->shape(0)) == a.out, "size of the bias");
  const Weights w = weights_of(weights, false);
  const float* own = bias ? bias->data() : nullptr;
  nb::gil_scoped_release release;
  kernels->events(a, w, own, out.data());
}

void gather(const Bytes& bits, int pictures, int height, int width, int in, int kernel, const Values& to_out,
            const Values& to_weights) {
  const SpikeMaps a = maps_of(bits, to_out, pictures, height, width, in, kernel);
  require(static_cast<int>(to_weights.shape(0)) == kSlices &&
              static_cast<int>(to_weights.shape(1)) == kernel * kernel * in &&
              static_cast<int64_t>(to_weights.shape(2)) == whole_lanes(a.out), "room for the gradients");
  nb::gil_scoped_release release;
  kernels->gather(a, to_out.data(), to_weights.data());
}

DenseMaps dense_of(const Values& x, int height, int width, int out, int kernel) {
  require(x.size() > 0 && out > 0, "no values");
  require(height > 0 && width > 0 && x.shape(1) % (static_cast<size_t>(height) * width) == 0, "rows of other pictures");
  require(kernel > 0 && kernel % 2 == 1, "an odd kernel");
  const int64_t pictures = static_cast<int64_t>(x.shape(0) * x.shape(1)) / (static_cast<int64_t>(height) * width);
  return {x.data(), pictures, height, width, static_cast<int32_t>(x.shape(2)), out, kernel};
}

void convolve(const Values& x, int height, int width, const Square& weights, bool to_input, std::optional<Line> bias,
              const Values& out) {
  const size_t from = to_input ? 0 : 1;
  const int kernel = static_cast<int>(weights.shape(2));
  const DenseMaps a = dense_of(x, height, width, static_cast<int>(weights.shape(1 - from)), kernel);
  require(weights.shape(from) == x.shape(2), "weights of other channels");
  require(out.shape(0) == x.shape(0) && out.shape(1) == x.shape(1) && static_cast<int>(out.shape(2)) == a.out, "other rows");
  require(!bias || static_cast<int>(bias->shape(0)) == a.out, "size of the bias");
  const Weights w = weights_of(weights, to_input);
  const float* own = bias ? bias->data() : nullptr;
  nb::gil_scoped_release release;
  kernels->convolve(a, w, own, out.data());
}

void weigh(const Values& x, int height, int width, int kernel, const Values& to_out, const Values& to_weights) {
  const DenseMaps a = dense_of(x, height, width, static_cast<int>(to_out.shape(2)), kernel);
  require(to_out.shape(0) == x.shape(0) && to_out.shape(1) == x.shape(1), "other rows");
  require(static_cast<int>(to_weights.shape(0)) == kSlices &&
              to_weights.shape(1) == static_cast<size_t>(kernel) * kernel * x.shape(2) &&
              to_weights.shape(2) == to_out.shape(2), "room for the gradients");
  nb::gil_scoped_release release;
  kernels->weigh(a, to_out.data(), to_weights.data());
}

DepthMaps depth_of(std::optional<Values>& x, std::optional<Bytes>& bits, int pictures, int height, int width, int channels,
                   int kernel, int padding, const Values& out) {
  require(x.has_value() != bits.has_value(), "values or bits");
  require(kernel == 3 || kernel == 5 || kernel == 7, "kernel of 3, 5 or 7");
  require(padding >= 0 && padding < kernel && height + 2 * padding >= kernel && width + 2 * padding >= kernel, "padding");
  require(channels >= kLanes && pictures > 0 && height > 0, "channels");
  const int64_t values = static_cast<int64_t>(pictures) * height * width * channels;
  DepthMaps a{nullptr, nullptr, 0, pictures, height, width, channels, kernel, padding};
  if (x) {
    require(x->size() % (static_cast<size_t>(height) * width * channels) == 0 && static_cast<int>(x->shape(2)) == channels,
            "values of other pictures");
    a.x = x->data(), a.count = static_cast<int64_t>(x->size()) / (static_cast<int64_t>(height) * width * channels);
  } else {
    require(static_cast<int64_t>(bits->shape(1)) == (values + 7) / 8, "bits of other pictures");
    a.bits = bits->data(), a.count = static_cast<int64_t>(bits->shape(0)) * pictures;
  }
  const int64_t rows = static_cast<int64_t>(height + 2 * padding - kernel + 1) * (width + 2 * padding - kernel + 1);
  require(static_cast<int64_t>(out.shape(0) * out.shape(1)) == a.count * rows && static_cast<int>(out.shape(2)) == channels,
          "other rows");
  return a;
}

void depth(std::optional<Values> x, std::optional<Bytes> bits, int pictures, int height, int width, int channels, int kernel,
           int padding, const Table& taps, const Values& out) {
  const DepthMaps a = depth_of(x, bits, pictures, height, width, channels, kernel, padding, out);
  require(static_cast<int>(taps.shape(0)) == kernel * kernel && static_cast<int>(taps.shape(1)) == channels, "size of the taps");
  nb::gil_scoped_release release;
  kernels->depth(a, taps.data(), out.data());
}

void depth_weights(std::optional<Values> x, std::optional<Bytes> bits, int pictures, int height, int width, int channels,
                   int kernel, int padding, const Values& to_out, const Values& to_taps) {
  const DepthMaps a = depth_of(x, bits, pictures, height, width, channels, kernel, padding, to_out);
  require(static_cast<int>(to_taps.shape(0)) == kSlices && static_cast<int>(to_taps.shape(1)) == kernel * kernel &&
              static_cast<int>(to_taps.shape(2)) == channels, "room for the gradients");
  nb::gil_scoped_release release;
  kernels->depth_weights(a, to_out.data(), to_taps.data());
}

int64_t count(const Bytes& bits) {
  const uint8_t* p = bits.data();
  const size_t n = bits.size();
  int64_t total = 0;
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t word;
    __builtin_memcpy(&word, p + i, 8);
    total += __builtin_popcountll(word);
  }
  for (; i < n; i++) total += __builtin_popcount(p[i]);
  return total;
}

void use_instruction_set(const std::string& name) {
  for (const TrainingKernels* k : present())
    if (name == k->name) {
      kernels = k;
      return;
    }
  throw std::invalid_argument("this processor has no instruction set " + name);
}

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const TrainingKernels* k : present()) names.push_back(k->name);
  return names;
}

}  // namespace
}  // namespace spikereel

NB_MODULE(_training, m) {
  using namespace spikereel;
  kernels = present().front();
  join_openmp();
  m.attr("RUN") = kBlock * kRun;
  nb::class_<Unit>(m, "Unit").def(
      "__init__",
      [](Unit* u, bool integer, bool soft_reset, bool decay_input, bool detach_reset, bool atan, int top, float decay,
         float threshold, float v_reset, float alpha, float per) {
        new (u) Unit{integer, soft_reset, decay_input, detach_reset, atan, top, decay, threshold, v_reset, alpha, per};
      },
      "integer"_a, "soft_reset"_a, "decay_input"_a, "detach_reset"_a, "atan"_a, "top"_a, "decay"_a, "threshold"_a,
      "v_reset"_a, "alpha"_a, "per"_a);
  m.def("fire", &fire, "x"_a, "scale"_a.none(), "shift"_a.none(), "mean"_a.none(), "start"_a.none(), "rest"_a, "unit"_a,
        "kept"_a, "membrane"_a);
  m.def("unfire", &unfire, "x"_a, "scale"_a.none(), "shift"_a.none(), "mean"_a.none(), "start"_a.none(), "rest"_a,
        "unit"_a, "to_spikes"_a, "to_membrane"_a.none(), "to_z"_a, "to_start"_a.none(), "sums"_a.none(),
        "to_decay"_a.none());
  m.def("moments", &moments, "x"_a, "sums"_a);
  m.def("sums", &sums, "x"_a, "other"_a, "mean"_a, "out"_a);
  m.def("affine", &affine, "x"_a, "scale"_a, "shift"_a, "out"_a);
  m.def("finish", &finish, "x"_a, "other"_a, "mean"_a, "a"_a, "b"_a, "c"_a, "out"_a);
  m.def("normalise", &normalise, "x"_a, "gamma"_a, "beta"_a, "running_mean"_a.none(), "running_var"_a.none(), "momentum"_a,
        "eps"_a, "affine"_a, "inverse"_a);
  m.def("through_norm", &through_norm, "grads"_a, "x"_a, "mean"_a, "inverse"_a, "gamma"_a, "sums"_a, "to_x"_a, "to_gamma"_a,
        "to_beta"_a);
  m.def("unpack", &unpack, "bits"_a, "out"_a);
  m.def("uncount", &uncount, "counts"_a, "per"_a, "out"_a);
  m.attr("ABI") = 3;
  m.attr("SLICES") = kSlices;
  m.attr("LANES") = kLanes;
  m.def("events", &events, "bits"_a, "pictures"_a, "height"_a, "width"_a, "weights"_a, "bias"_a.none(), "out"_a);
  m.def("gather", &gather, "bits"_a, "pictures"_a, "height"_a, "width"_a, "in"_a, "kernel"_a, "to_out"_a, "to_weights"_a);
  m.def("convolve", &convolve, "x"_a, "height"_a, "width"_a, "weights"_a, "to_input"_a, "bias"_a.none(), "out"_a);
  m.def("weigh", &weigh, "x"_a, "height"_a, "width"_a, "kernel"_a, "to_out"_a, "to_weights"_a);
  m.def("depth", &depth, "x"_a.none(), "bits"_a.none(), "pictures"_a, "height"_a, "width"_a, "channels"_a, "kernel"_a,
        "padding"_a, "taps"_a, "out"_a);
  m.def("depth_weights", &depth_weights, "x"_a.none(), "bits"_a.none(), "pictures"_a, "height"_a, "width"_a, "channels"_a,
        "kernel"_a, "padding"_a, "to_out"_a, "to_taps"_a);
  m.def("count", &count, "bits"_a);
  m.def("set_threads", &set_threads, "count"_a);
  m.def("instruction_sets", &instruction_sets);
  m.def("instruction_set", [] { return std::string(kernels->name); });
  m.def("use_instruction_set", &use_instruction_set, "name"_a);
}
