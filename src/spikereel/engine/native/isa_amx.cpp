// AVX-512 and tiles of bytes (Sapphire Rapids and later): its own digits, all else as avx512_kernels has it.
#include "kernels.hpp"
#include "pool.hpp"

#if defined(__AVX512F__) && (defined(__AMX_INT8__) || defined(SPIKEREEL_TILES_IN_C))
#include <immintrin.h>
#ifndef SPIKEREEL_TILES_IN_C
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#define SPIKEREEL_TILES 1

namespace spikereel {
namespace {
// sums live in registers only where their loops are unrolled whole
#define UNROLLED _Pragma("GCC unroll 32")
#include "vec_avx512.hpp"
#include "epilogue.hpp"
#include "digits.hpp"

#ifdef SPIKEREEL_TILES_IN_C
bool there() { return true; }
#else
// The processor has tiles of bytes, and the system lets this process use them: Linux wants to be asked.
bool there() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 24 & 1) || !(d >> 25 & 1)) return false;
#ifdef __linux__
  constexpr long kAskFor = 0x1023, kTileData = 18;
  return !syscall(SYS_arch_prctl, kAskFor, kTileData);
#else
  return false;
#endif
}
#endif
}  // namespace

const Kernels* amx_kernels() {
  static Kernels kernels;
  static const bool has = [] {
    const Kernels* base = avx512_kernels();
    if (!base || !there()) return false;
    kernels = *base;
    kernels.name = "amx", kernels.digits_for = kEverywhere, kernels.digits = digits;
    return true;
  }();
  return has ? &kernels : nullptr;
}
}  // namespace spikereel
#else
namespace spikereel {
const Kernels* amx_kernels() { return nullptr; }
}  // namespace spikereel
#endif
