// x86-64-v3: AVX2.
#include "pool.hpp"
#include "training.hpp"

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define SPIKEREEL_AVX2 1

namespace spikereel {
namespace {
constexpr int kVector = 32;  // bytes of a register
#define IVDEP _Pragma("GCC ivdep")
#include "loops.hpp"
#include "spikes.hpp"
#include "dense.hpp"
#include "depthwise.hpp"
const TrainingKernels kernels = {"avx2",    fire,   unfire, moments,  sums_of, affine, finish, unpack, uncount,
                                 events, gather, convolve, weigh, depth, depth_weights};
}  // namespace

const TrainingKernels* training_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &kernels : nullptr;
}
}  // namespace spikereel
#else
namespace spikereel {
const TrainingKernels* training_avx2() { return nullptr; }
}  // namespace spikereel
#endif
