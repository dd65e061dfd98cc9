// What every instruction set implements: plain structs in, nothing of Python or of the standard library.
//
// Spikes are bits, channels last: [plane][frame][pixel][words of 16 channels]; binary neurons have one plane, an
// Integer-LIF one for each count (plane d is set where the count is above d). Values are float32, channels last, each
// pixel in whole vectors of 16 channels. A membrane is [pixel][channels]. Frames come one after the other in time.
#pragma once
#include <cstdint>

namespace spikereel {

constexpr int kLanes = 16;

struct Spikes {
  const uint16_t* bits;
  int64_t plane, frame, pixel;  // strides in words
  int32_t planes, channels;
};

enum NeuronKind : int32_t { kNone = 0, kLif = 1, kInteger = 2 };

struct Neuron {
  int32_t kind, soft_reset, decay_input, top;
  float decay, threshold, v_reset;
};

// What becomes of the sums of a layer: y = scale sum + bias (+ residual); y is stored, or goes through a neuron, or both.
struct Output {
  const float* scale;
  const float* bias;
  int64_t affine_frame;  // stride over frames, 0 where all share one norm
  const float* residual;
  int64_t residual_frame, residual_pixel;
  float* value;
  int64_t value_frame, value_pixel;
  Neuron neuron;
  float* membrane;
  const float* before;  // where the first frame finds it; may be the same
  int64_t membrane_pixel;  // of both
  int32_t fresh;  // the membranes hold nothing yet: the first frame begins at `start`
  float start;
  uint16_t* bits;
  int64_t bits_plane, bits_frame, bits_pixel;
  int32_t channels, vectors;
  int64_t* near;  // counts charges within 1e-6 of the threshold; may be null
};

struct Shape {
  int32_t frames, height, width, out_height, out_width, kernel, stride, padding;
};

// A convolution of spikes: rows of weights of the active inputs are added up, in fixed point (the norm's scale holds what
// one is worth). weights: [block][kernel * kernel * channels][block_vectors * 16]
struct EventConv {
  Spikes in;
  Shape shape;
  const int32_t* weights;
  int32_t block_vectors, by_row;
  Output out;
};

// The same with tables in registers: five spikes are an index into 32 sums of weights.
// weights: [vectors * 16][kernel * kernel][groups * 5], stride 1. With weights of 16 bits groups are of six; the sum of
// no kTableGroups of them may leave 16 bits.
template <class Weight>
struct TableConv {
  Spikes in;
  Shape shape;
  const Weight* weights;
  int32_t groups;
  Output out;
};

// The same with tables in the cache, any stride. weights: [vector][kernel * kernel][channels][16]
struct CachedConv {
  Spikes in;
  Shape shape;
  const int32_t* weights;
  Output out;
};

// The same with weights in digits of eight bits, lowest first, any stride.
// weights: [vector][kernel * kernel][words of 64 channels][digits][16 fours of channels][16 outputs][4]
struct DigitConv {
  Spikes in;
  Shape shape;
  const int8_t* weights;
  int32_t digits;
  Output out;
};

// Depthwise convolution (kernel 1: none, and stride 1) of spikes or of values, then a matrix.
// weights: [panel][depth][panel_vectors * 16]
struct Pointwise {
  Spikes in;           // bits null: values
  const float* value;  // [frame][pixel][value_pixel]
  int64_t value_frame, value_pixel;
  Shape shape;
  const float* taps;     // of values: [kernel * kernel][depth], padded to whole vectors
  const int32_t* fixed;  // of spikes: the same in fixed point; the matrix holds what one is worth
  const float* weights;
  int32_t depth;
  Output out;
};

// A convolution of pictures [frame][channel][height][width], zeros around them.
// weights: [panel][channels * kernel * kernel][panel_vectors * 16]
struct PictureConv {
  const float* frames;
  int32_t channels;
  Shape shape;
  const float* weights;
  Output out;
};

// Values at another size: a mean of four pixels each. Two rows (columns) of the input for each row (column) of the output,
// and the share of the second one.
struct Resize {
  const float* value;
  int64_t value_frame, value_pixel;
  int32_t frames, width, out_height, out_width;
  const int32_t *rows, *columns;
  const float *down, *along;
  Output out;
};

// values -> neuron
struct Fire {
  const float* value;
  int64_t value_frame, value_pixel;
  int32_t frames;
  int64_t pixels;
  Output out;
};

enum Grouping : int32_t { kFrame = 0, kClip = 1, kPixel = 2 };

struct Attend {
  Spikes q, k, v;
  int32_t frames, heads, hamming;
  int64_t pixels;
  float* sums;  // [group][head][depth + 1][depth in whole vectors]: the matrix between q and the output, then its column sums
  Grouping grouping;
  Output out;  // scale holds 1 / the scale of attention as well
};

// Running sums of causal attention, [head][depth][depth].
struct Past {
  const double* before;  // null: none
  double* after;
  int64_t seen, frames, heads, depth, pitch;
  int32_t hamming;
};

// Sums of the last `window` frames, those of each frame [window][head][depth][depth], oldest first, and their sum.
struct Recent {
  const double* summed;  // null: the first frame stands for those before it
  const float* frames_before;
  double* summed_after;
  float* frames_after;
  int64_t frames, window, heads, depth, pitch;
  int32_t hamming;
};

// Where digits are worth a try.
enum DigitsFor : int32_t { kNowhere = 0, kCountsAlone = 1, kEverywhere = 2 };

struct Kernels {
  const char* name;
  int32_t has_tables;
  DigitsFor digits_for;
  void (*events)(const EventConv&);
  void (*cached)(const CachedConv&);
  void (*digits)(const DigitConv&);
  void (*tables)(const TableConv<int32_t>&);
  void (*coarse)(const TableConv<int16_t>&);
  void (*pointwise)(const Pointwise&);
  void (*pictures)(const PictureConv&);
  void (*fire)(const Fire&);
  void (*resize)(const Resize&);
  // adds f(k)^T v of these frames to int32 counts [group][head][depth + 1][depth in whole vectors], last row colsum(v)
  void (*attend_count)(const Attend&, int32_t* counts);
  // from counts [matrix][rows][pitch] to the sums that attend_apply takes
  void (*attend_between)(const int32_t* counts, int64_t matrices, int64_t rows, int64_t pitch, bool hamming, float* sums);
  // sums [frame][head][depth + 1][pitch], in place
  void (*attend_past)(const Past&, float* sums);
  void (*attend_recent)(const Recent&, float* sums);
  void (*attend_apply)(const Attend&);
};

// How many vectors of outputs the panels of a matrix take, one after the other: as even as can be, at most two.
inline int32_t panel_count(int32_t vectors) { return (vectors + 1) / 2; }
inline int32_t panel_begin(int32_t vectors, int32_t panel) {
  return static_cast<int32_t>(static_cast<int64_t>(vectors) * panel / panel_count(vectors));
}

const Kernels* plain_kernels();
const Kernels* avx2_kernels();
const Kernels* avx512_kernels();
const Kernels* amx_kernels();

}  // namespace spikereel
