// Every processor, ARM among them.
#include "pool.hpp"
#include "training.hpp"

namespace spikereel {
namespace {
constexpr int kVector = 16;  // bytes of a register
#define IVDEP _Pragma("GCC ivdep")
#include "loops.hpp"
#include "spikes.hpp"
#include "dense.hpp"
#include "depthwise.hpp"
const TrainingKernels kernels = {"plain",    fire,   unfire, moments,  sums_of, affine, finish, unpack, uncount,
                                 events, gather, convolve, weigh, depth, depth_weights};
}  // namespace

const TrainingKernels* training_plain() { return &kernels; }
}  // namespace spikereel
