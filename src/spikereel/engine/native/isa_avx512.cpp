// AVX-512 as of Ice Lake and Zen 4: byte and word permutes and compression, counts of bits, matrices of bits, sums
// of products of bytes.
#include "kernels.hpp"
#include "pool.hpp"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VBMI2__) && defined(__AVX512VPOPCNTDQ__) && \
    defined(__AVX512VNNI__) && defined(__GFNI__)
#include <immintrin.h>
#define SPIKEREEL_AVX512 1

namespace spikereel {
namespace {
constexpr int kRows = 14;
constexpr int kSpan = 14;  // pixels of a row whose sums lie in registers
constexpr int kDigitPixels = 6;  // whose sums of four digits lie in registers
alignas(64) const uint16_t kCounting[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                            16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
// sums live in registers only where their loops are unrolled whole
#define UNROLLED _Pragma("GCC unroll 32")
#include "vec_avx512.hpp"
#include "epilogue.hpp"
#include "events.hpp"
#include "cached.hpp"
#include "digits.hpp"
#include "dense.hpp"
#include "attention.hpp"
#include "tables.hpp"
const Kernels kernels = {"avx512", 1, kCountsAlone, events, cached, digits, tables, coarse, pointwise, pictures, fire, resize,
                         attend_count, attend_between, attend_past, attend_recent, attend_apply};
}  // namespace

const Kernels* avx512_kernels() {
  const bool there = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                     __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
                     __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512vnni") &&
                     __builtin_cpu_supports("gfni");
  return there ? &kernels : nullptr;
}
}  // namespace spikereel
#else
namespace spikereel {
const Kernels* avx512_kernels() { return nullptr; }
}  // namespace spikereel
#endif
