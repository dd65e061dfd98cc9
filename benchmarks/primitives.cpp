// What one core can do at most, in bare loops on data in cache: built and run by engine_roofline.py, JSON on stdout.
#include <ctime>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

typedef float V __attribute__((vector_size(64), aligned(4)));
typedef int32_t I __attribute__((vector_size(64), aligned(4)));
#define UNROLLED _Pragma("GCC unroll 32")
#define KEEP(x) asm volatile("" : : "m"(x) : "memory")

static double now() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

// Operations a second, the best of many goes of some milliseconds.
template <class F>
static double best(double operations, F run) {
  double least = 1e9;
  for (int i = 0; i < 12; i++) {
    const double began = now();
    run();
    const double seconds = now() - began;
    least = seconds < least ? seconds : least;
  }
  return operations / least;
}

static float values[1 << 20];
static int32_t weights[1 << 21];  // 8 MiB
static uint16_t list[1 << 16];
static uint64_t words[1 << 12];

// Multiply-adds: as many sums as registers hold beside a row of two vectors.
static double multiply_adds() {
  constexpr int kRows = 12, kTurns = 200000;
  V out[kRows * 2];
  const double rate = best(16.0 * kRows * 2 * kTurns, [&] {
    V sums[kRows][2] = {};
    for (int k = 0; k < kTurns; k++) {
      const float* x = values + k % 512 * 16;
      V w[2];
      UNROLLED for (int i = 0; i < 2; i++) memcpy(&w[i], values + (k % 64 * 2 + i) * 16, 64);
      UNROLLED for (int r = 0; r < kRows; r++) {
        const V all = V{} + x[r];
        UNROLLED for (int i = 0; i < 2; i++) sums[r][i] = all * w[i] + sums[r][i];
      }
    }
    memcpy(out, sums, sizeof(out));
    KEEP(out);
  });
  return rate;
}

// Rows of NB vectors, named by a list, out of `rows` of them: what event lists add up, and never end.
template <int NB>
static double row_adds(int64_t rows) {
  constexpr int kTurns = 24;
  for (int i = 0; i < 1 << 16; i++) list[i] = static_cast<uint16_t>(static_cast<uint64_t>(random()) % rows);
  I out[NB];
  return best(double(NB) * (1 << 16) * kTurns, [&] {
    I sums[NB] = {};
    for (int turn = 0; turn < kTurns; turn++)
      for (int e = 0; e < 1 << 16; e++) {
        const int32_t* row = weights + static_cast<int64_t>(list[e]) * NB * 16;
        UNROLLED for (int i = 0; i < NB; i++) {
          I one;
          memcpy(&one, row + i * 16, 64);
          sums[i] += one;
        }
      }
    memcpy(out, sums, sizeof(out));
    KEEP(out);
  });
}

// Tables in the cache: thirteen rows a word of 64 spikes, five spikes each; multiply-adds of the dense count.
static double cached_tables() {
  constexpr int kTurns = 60;
  static int32_t sums[1 << 16];
  return best(64.0 * 16 * 4096 * kTurns, [&] {
    for (int turn = 0; turn < kTurns; turn++)
      for (int p = 0; p < 4096; p++) {
        const uint64_t word = words[p];
        int32_t* to = sums + (p & 1023) * 16;
        I a, b = {};
        memcpy(&a, to, 64);
        UNROLLED for (int g = 0; g < 13; g++) {
          const uint64_t at = (g >= 2 ? word >> (5 * g - 6) : word << (6 - 5 * g)) & (31 * 64);
          I row;
          memcpy(&row, reinterpret_cast<const char*>(weights + g * 512) + at, 64);
          if (g & 1) b += row;
          else a += row;
        }
        a += b;
        memcpy(to, &a, 64);
      }
    KEEP(sums);
  });
}

// Tables in registers: five spikes of sixteen pixels a permutation.
static double register_tables() {
#if defined(__AVX512F__)
  constexpr int kOutputs = 4, kUnits = 4, kTurns = 60000;
  __m512i out[kOutputs * kUnits];
  return best(80.0 * kOutputs * kUnits * kTurns, [&] {
    __m512i sums[kOutputs][kUnits] = {};
    for (int j = 0; j < kTurns; j++) {
      __m512i index[kUnits];
      UNROLLED for (int u = 0; u < kUnits; u++)
        index[u] = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(words) + (j % 64 * kUnits + u)));
      UNROLLED for (int i = 0; i < kOutputs; i++) {
        const int32_t* table = weights + (j % 64 * kOutputs + i) * 32;
        const __m512i low = _mm512_loadu_si512(table), high = _mm512_loadu_si512(table + 16);
        UNROLLED for (int u = 0; u < kUnits; u++)
          sums[i][u] = _mm512_add_epi32(sums[i][u], _mm512_permutex2var_epi32(low, index[u], high));
      }
    }
    memcpy(out, sums, sizeof(out));
    KEEP(out);
  });
#else
  return 0.0;
#endif
}

// Integer digits: weights of 24 bits as three of eight, each in a product of bytes of four inputs; multiply-adds of the
// whole weights. One digit alone, which is a weight of 8 bits, takes a third of the time.
static double digits() {
#if defined(__AVX512VNNI__)
  constexpr int kDigits = 3, kPixels = 4, kTurns = 60000;
  __m512i out[kDigits * kPixels];
  const int32_t* spikes = reinterpret_cast<const int32_t*>(words);
  return best(64.0 * kPixels * kTurns, [&] {
    __m512i sums[kDigits][kPixels] = {};
    for (int k = 0; k < kTurns; k++) {
      __m512i w[kDigits];
      UNROLLED for (int d = 0; d < kDigits; d++) w[d] = _mm512_loadu_si512(weights + (k % 64 * kDigits + d) * 16);
      UNROLLED for (int p = 0; p < kPixels; p++) {
        const __m512i four = _mm512_set1_epi32(spikes[(k * kPixels + p) & 8191]);
        UNROLLED for (int d = 0; d < kDigits; d++) sums[d][p] = _mm512_dpbusd_epi32(sums[d][p], four, w[d]);
      }
    }
    memcpy(out, sums, sizeof(out));
    KEEP(out);
  });
#else
  return 0.0;
#endif
}

// Additions under a mask of spikes, as depthwise convolutions do: seven taps, fourteen pixels in registers.
static double masked_adds() {
#if defined(__AVX512F__)
  constexpr int kTaps = 7, kPixels = 14, kTurns = 40000;
  __m512i out[kPixels];
  const uint16_t* fired = reinterpret_cast<const uint16_t*>(words);
  return best(16.0 * kTaps * kPixels * kTurns, [&] {
    __m512i sums[kPixels] = {};
    for (int k = 0; k < kTurns; k++) {
      __m512i w[kTaps];
      UNROLLED for (int i = 0; i < kTaps; i++) w[i] = _mm512_loadu_si512(weights + (k % 32 * kTaps + i) * 16);
      UNROLLED for (int x = 0; x < kPixels + kTaps - 1; x++) {
        const __mmask16 mask = fired[(k + x) & 4095];
        UNROLLED for (int i = 0; i < kTaps; i++)
          if (x >= i && x - i < kPixels) sums[x - i] = _mm512_mask_add_epi32(sums[x - i], mask, sums[x - i], w[i]);
      }
    }
    memcpy(out, sums, sizeof(out));
    KEEP(out);
  });
#else
  return 0.0;
#endif
}

// Bytes read in order out of a buffer of `bytes`.
static double bytes_read(int64_t bytes) {
  const float* from = reinterpret_cast<const float*>(weights);
  const int turns = static_cast<int>((64 << 20) / bytes);
  V out[8];
  return best(double(bytes) * turns, [&] {
    V sums[8] = {};
    for (int turn = 0; turn < turns; turn++)
      for (int64_t i = 0; i < bytes / 4; i += 128)
        UNROLLED for (int j = 0; j < 8; j++) {
          V one;
          memcpy(&one, from + i + j * 16, 64);
          sums[j] += one;
        }
    memcpy(out, sums, sizeof(out));
    KEEP(out);
  });
}

// Values through a leaky neuron whose membrane lies in a register.
static double neurons() {
  constexpr int kTurns = 40, kFrames = 8, kColumns = 4;
  static I fired[1 << 8];
  return best(double(1 << 13) * kTurns, [&] {
    for (int turn = 0; turn < kTurns; turn++)
      for (int p = 0; p < (1 << 13) / (kFrames * kColumns * 16); p++) {
        V v[kColumns] = {};
        I spikes[kColumns] = {};
        for (int t = 0; t < kFrames; t++)
          UNROLLED for (int i = 0; i < kColumns; i++) {
            V x;
            memcpy(&x, values + ((t * 16 + p) * kColumns + i) * 16, 64);
            const V h = v[i] + (x - v[i]) * 0.5f;
            const I over = h >= 1.0f;
            v[i] = over ? V{} : h;
            spikes[i] += over;
          }
        memcpy(fired + (p & 63) * kColumns, spikes, sizeof(spikes));
      }
    KEEP(fired);
  });
}

int main() {
  srandom(0);
  for (float& x : values) x = static_cast<float>(random() % 2001 - 1000) / 500;
  for (int32_t& w : weights) w = static_cast<int32_t>(random() % 129 - 64);
  for (uint64_t& w : words) w = static_cast<uint64_t>(random()) << 32 ^ static_cast<uint64_t>(random());
  printf("{\"multiply_adds\": %.4g, \"cached_tables\": %.4g, \"register_tables\": %.4g, \"digits\": %.4g, ",
         multiply_adds(), cached_tables(), register_tables(), digits());
  printf("\"masked_adds\": %.4g, ", masked_adds());
  printf("\"neurons\": %.4g, \"bytes_1m\": %.4g, \"bytes_8m\": %.4g, \"row_adds\": [", neurons(), bytes_read(1 << 19),
         bytes_read(8 << 20));
  bool first = true;
  const auto say = [&](int vectors, int64_t rows, double rate) {
    printf("%s[%d, %lld, %.4g]", first ? "" : ", ", vectors, static_cast<long long>(rows * vectors * 64), rate);
    first = false;
  };
  for (int64_t bytes = 16 << 10; bytes <= 4 << 20; bytes *= 2) {
    say(2, bytes / 128 < 65536 ? bytes / 128 : 65535, row_adds<2>(bytes / 128 < 65536 ? bytes / 128 : 65535));
    say(4, bytes / 256, row_adds<4>(bytes / 256));
    say(8, bytes / 512, row_adds<8>(bytes / 512));
  }
  printf("]}\n");
}
