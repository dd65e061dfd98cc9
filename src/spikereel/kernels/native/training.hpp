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
  int32_t height, width, in, out, kernel;  // in: whole bytes of channels; out: whole vectors; kernel: 1 or 3
};

constexpr int kLanes = 16;
constexpr int kSlices = 4;  // parts of the pictures whose gradients of weights are added up one after the other

inline int block_lanes(int out, int most) {
  int lanes = most;
  while (out % lanes) lanes /= 2;
  return lanes;
}

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
  // rows of weights [block][kernel * kernel * in][lanes] of the inputs that are set, added up; bias may be null
  void (*events)(const SpikeMaps&, const float* weights, int lanes, const float* bias, float* out);
  // the other way round: rows of a gradient [..][out] added up for each input; out: [slice][kernel * kernel][in][out]
  void (*gather)(const SpikeMaps&, const float* to_out, float* to_weights);
};

inline int64_t runs_of(int64_t values) { return (values + kBlock * kRun - 1) / (kBlock * kRun); }

const TrainingKernels* training_plain();
const TrainingKernels* training_avx2();
const TrainingKernels* training_avx512();

}  // namespace spikereel
