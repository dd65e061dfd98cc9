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

// One small layer by tiles and without them: no processor with tiles was at hand when this was written.
bool proven(const Kernels& without) {
  constexpr int kChannels = 70, kWords = 8, kHigh = 5, kWide = 9, kPixels = kHigh * kWide, kFrames = 2, kPlanes = 3;
  constexpr int kDigitsOf = 4, kTaps = 9, kVectors = 2;
  static uint16_t bits[kPlanes * kFrames * kPixels * kWords];
  static int8_t weights[kVectors * kTaps * kWords / 4 * kDigitsOf * kDigitBlock];
  static float found[kFrames * kPixels * kVectors * kLanes], wanted[kFrames * kPixels * kVectors * kLanes];
  static float ones[kVectors * kLanes], zeros[kVectors * kLanes];
  uint32_t state = 1;
  const auto drawn = [&] { return (state = state * 1664525u + 1013904223u) >> 8; };
  for (uint16_t& x : bits) x = static_cast<uint16_t>(drawn());
  for (int8_t& x : weights) x = static_cast<int8_t>(drawn());
  for (float& x : ones) x = 1.0f;
  DigitConv a{};
  a.in = {bits, kFrames * kPixels * kWords, kPixels * kWords, kWords, kPlanes, kChannels};
  a.shape = {kFrames, kHigh, kWide, kHigh, kWide, 3, 1, 1};
  a.weights = weights, a.digits = kDigitsOf;
  a.out.scale = ones, a.out.bias = zeros, a.out.value = found;
  a.out.value_frame = kPixels * kVectors * kLanes, a.out.value_pixel = kVectors * kLanes;
  a.out.channels = kVectors * kLanes, a.out.vectors = kVectors;
  digits(a);
  a.out.value = wanted;
  without.digits(a);
  return !__builtin_memcmp(found, wanted, sizeof(found));
}
}  // namespace

const Kernels* amx_kernels() {
  static Kernels kernels;
  static const bool has = [] {
    const Kernels* base = avx512_kernels();
    if (!base || !there() || !proven(*base)) return false;
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
