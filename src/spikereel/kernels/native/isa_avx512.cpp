// AVX-512 as of Ice Lake and Zen 4.
#include "pool.hpp"
#include "training.hpp"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VBMI2__)
#include <immintrin.h>
#define SPIKEREEL_AVX512 1

namespace spikereel {
namespace {
#define IVDEP _Pragma("GCC ivdep")
#include "loops.hpp"
const TrainingKernels kernels = {"avx512", fire, unfire, moments, sums_of, affine, finish, unpack};
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
