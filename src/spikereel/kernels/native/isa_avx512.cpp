// AVX-512 as of Ice Lake and Zen 4.
#include "pool.hpp"
#include "training.hpp"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VBMI2__)
#include <immintrin.h>
#define SPIKEREEL_AVX512 1

namespace spikereel {
namespace {
alignas(64) const uint16_t kCounting[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                            16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
constexpr int kVector = 64;  // bytes of a register
#define IVDEP _Pragma("GCC ivdep")
#include "loops.hpp"
#include "spikes.hpp"
#include "dense.hpp"
#include "depthwise.hpp"
const TrainingKernels kernels = {"avx512",    fire,   unfire, moments,  sums_of, affine, finish, unpack, uncount,
                                 events, gather, convolve, weigh, depth, depth_weights};
}  // namespace

const TrainingKernels* training_avx512() {
  const bool there = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                     __builtin_cpu_supports("avx512vbmi2");
  return there ? &kernels : nullptr;
}
}  // namespace spikereel
#else
namespace spikereel {
const TrainingKernels* training_avx512() { return nullptr; }
}  // namespace spikereel
#endif
