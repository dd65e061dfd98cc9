// x86-64-v3: AVX2 with fused multiply-add.
#include "kernels.hpp"
#include "pool.hpp"

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

namespace spikereel {
namespace {
constexpr int kRows = 2;
constexpr int kSpan = 4;  // pixels of a row whose sums lie in registers
constexpr int kDigitPixels = 1;  // whose sums of four digits lie in registers
// sums live in registers only where their loops are unrolled whole
#define UNROLLED _Pragma("GCC unroll 32")
#include "vec_avx2.hpp"
#include "epilogue.hpp"
#include "events.hpp"
#include "cached.hpp"
#include "digits.hpp"
#include "dense.hpp"
#include "attention.hpp"
const Kernels kernels = {"avx2", 0, kNowhere, events, cached, digits, nullptr, nullptr, pointwise, pictures, fire, resize,
                         attend_count, attend_between, attend_past, attend_recent, attend_apply};
}  // namespace

const Kernels* avx2_kernels() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &kernels : nullptr;
}
}  // namespace spikereel
#else
namespace spikereel {
const Kernels* avx2_kernels() { return nullptr; }
}  // namespace spikereel
#endif
