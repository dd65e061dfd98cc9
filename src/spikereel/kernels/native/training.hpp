// What every instruction set implements for training: plain structs in, nothing of Python or of the standard library.
//
// All values are float32 rows of channels: x is [frame][row][channel] without gaps. A norm is given as rows of numbers
// per channel, one for all frames or one for each, `groups` of them. Spikes are also kept as bits, eight values a byte,
// the first one lowest, each frame beginning with a byte of its own.
#pragma once
#include <cstdint>

namespace spikereel {

constexpr int kBlock = 256;  // values of a frame that are worked on at once, over all frames
constexpr int kRun = 64;     // blocks whose sums are added up in float32

struct Unit {
  int32_t integer, soft_reset, decay_input, detach_reset, atan, top;
  float decay, threshold, v_reset, alpha, per;  // per: how many counts of an Integer-LIF make one
};

// Neurons over rows of a norm's input; z = scale x + shift, or x where there is no norm.
struct Neurons {
  const float* x;
  int64_t frames, values;  // values of a frame, rows times channels
  int32_t channels, groups;
  const float* scale;  // [group][channels + kBlock], wrapped around; null without norm
  const float* shift;
  const float* mean;
  const float* start;  // [values]; null where all begin at `rest`
  float rest;
  Unit unit;
};

struct Fired {
  uint8_t* kept;    // bits, or a byte for each count
  float* membrane;  // [values], after the last frame
};

struct Gradients {
  const float* to_spikes;
  const float* to_membrane;  // may be null
  float* to_z;
  float* to_start;     // may be null
  float* sums;         // [run][group][2][channels]: of dz and of dz (x - mean); null without norm
  double* to_decay;    // [run]; null where the time constant is not learnt
};

// [group][row][channel], with numbers per channel [group][channels].
struct Rows {
  const float* x;
  int64_t groups, rows;
  int32_t channels;
};

// A convolution of spikes with stride 1 that keeps the size of its pictures: [frame][picture][height][width][channel].
struct SpikeMaps {
  const uint8_t* bits;
  int64_t frames, pictures;
  int32_t height, width, in, out, kernel;  // in: whole bytes of channels; kernel: 1 or 3
};

// A convolution of values that keeps the size of its pictures, [picture][height][width][channel]; or rows, kernel 1.
struct DenseMaps {
  const float* x;
  int64_t pictures;
  int32_t height, width, in, out, kernel;  // kernel: odd
};

// Where the weight of an input, an output and a tap lies; turned: taps are taken from the last one on.
struct Weights {
  const float* values;
  int64_t in, out, tap;
  bool turned;
};

// A depthwise convolution of `count` pictures: of values, or of bits whose frames hold `pictures` of them.
struct DepthMaps {
  const float* x;
  const uint8_t* bits;
  int64_t count, pictures;
  int32_t height, width, channels, kernel, padding;  // kernel: 3, 5 or 7; channels: 16 or more
};

constexpr int kLanes = 16;
constexpr int kSlices = 4;  // parts of the pictures whose gradients of weights are added up one after the other

// Outputs are worked on in blocks of 16 to 128; the last one may have some lanes too many.
struct Outputs {
  int first, lanes, some;
};

inline int lanes_at(int out, int first, int most) {
  int lanes = most;
  while (lanes > kLanes && lanes > out - first) lanes /= 2;
  return lanes;
}

inline Outputs block_of(int out, int most, int64_t block) {
  int first = 0;
  for (; block > 0; block--) first += lanes_at(out, first, most);
  const int lanes = lanes_at(out, first, most);
  return {first, lanes, lanes < out - first ? lanes : out - first};
}

inline int64_t blocks_of(int out, int most) {
  int64_t blocks = 0;
  for (int first = 0; first < out; blocks++) first += lanes_at(out, first, most);
  return blocks;
}

inline int64_t whole_lanes(int out) { return static_cast<int64_t>(out + kLanes - 1) / kLanes * kLanes; }

struct TrainingKernels {
  const char* name;
  void (*fire)(const Neurons&, const Fired&);
  void (*unfire)(const Neurons&, const Gradients&);
  void (*moments)(const Rows&, double* sums);  // [group][2][channels], about the first row
  void (*sums)(const Rows&, const float* other, const float* mean, double* sums);  // of x and of x (other - mean)
  void (*affine)(const Rows&, const float* scale, const float* shift, float* out);
  // x = a x + b (other - mean) + c
  void (*finish)(const Rows&, const float* other, const float* mean, const float* a, const float* b, const float* c,
                 float* out);
  void (*unpack)(const uint8_t* bits, int64_t frames, int64_t values, float* out);
  void (*uncount)(const uint8_t* counts, int64_t values, float per, float* out);
  // rows of weights of the inputs that are set, added up; bias may be null
  void (*events)(const SpikeMaps&, const Weights&, const float* bias, float* out);
  // the other way round: rows of a gradient [..][out] added up for each input; out: [slice][kernel * kernel][in][lanes],
  // with whole vectors of lanes
  void (*gather)(const SpikeMaps&, const float* to_out, float* to_weights);
  void (*convolve)(const DenseMaps&, const Weights&, const float* bias, float* out);  // bias may be null
  void (*weigh)(const DenseMaps&, const float* to_out, float* to_weights);            // out: [slice][tap][in][out]
  void (*depth)(const DepthMaps&, const float* taps, float* out);                     // taps: [kernel * kernel][channels]
  void (*depth_weights)(const DepthMaps&, const float* to_out, float* to_taps);       // out: [slice], as the taps
};

inline int64_t runs_of(int64_t values) { return (values + kBlock * kRun - 1) / (kBlock * kRun); }

const TrainingKernels* training_plain();
const TrainingKernels* training_avx2();
const TrainingKernels* training_avx512();

}  // namespace spikereel
