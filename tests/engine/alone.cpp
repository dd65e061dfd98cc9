// A spiking convolution over some frames, with norm and neuron, by event lists, by tables and by digits, on the plain
// kernels (digits on tiles, where these are built in C): prints how many spikes there are, a hash of spikes and membranes,
// and whether all ways agree bit by bit.
#include <cstdio>
#include <cstring>
#include <vector>

#include "kernels.hpp"
#include "pool.hpp"

using namespace spikereel;

namespace {

constexpr int kFrames = 3, kHeight = 10, kWidth = 7, kChannels = 40, kOutputs = 24, kKernel = 3;
constexpr int kPixels = kHeight * kWidth, kTaps = kKernel * kKernel, kVectors = (kOutputs + kLanes - 1) / kLanes;
constexpr int kWordsIn = (kChannels + 63) / 64 * 4, kWordsOut = (kVectors + 3) / 4 * 4;

uint32_t state = 1;
uint32_t drawn(uint32_t below) {
  state = state * 1664525u + 1013904223u;
  return (state >> 8) % below;
}

struct Result {
  std::vector<uint16_t> bits = std::vector<uint16_t>(kFrames * kPixels * kWordsOut);
  std::vector<float> membrane = std::vector<float>(kPixels * kVectors * kLanes);
  std::vector<float> scale = std::vector<float>(kVectors * kLanes, 1.0f / 900.0f);
  std::vector<float> bias = std::vector<float>(kVectors * kLanes, 0.25f);

  Output target() {
    Output o{};
    o.scale = scale.data(), o.bias = bias.data();
    o.neuron = {kLif, 0, 1, 0, 0.5f, 1.0f, 0.0f};
    o.membrane = membrane.data(), o.before = membrane.data(), o.membrane_pixel = kVectors * kLanes, o.fresh = 1;
    o.bits = bits.data(), o.bits_plane = kFrames * kPixels * kWordsOut, o.bits_frame = kPixels * kWordsOut;
    o.bits_pixel = kWordsOut, o.channels = kOutputs, o.vectors = kVectors;
    return o;
  }
};

}  // namespace

int main() {
  set_threads(3);
  std::vector<uint16_t> spikes(kFrames * kPixels * kWordsIn);
  for (int p = 0; p < kFrames * kPixels; p++)
    for (int c = 0; c < kChannels; c++)
      if (drawn(5) == 0) spikes[p * kWordsIn + c / 16] |= static_cast<uint16_t>(1u << c % 16);
  std::vector<int32_t> weights(kVectors * kTaps * kChannels * kLanes);
  for (int o = 0; o < kOutputs; o++)
    for (int i = 0; i < kTaps * kChannels; i++)
      weights[(o / kLanes * kTaps * kChannels + i) * kLanes + o % kLanes] = static_cast<int32_t>(drawn(2001)) - 1000;
  const Spikes in{spikes.data(), kFrames * kPixels * kWordsIn, kPixels * kWordsIn, kWordsIn, 1, kChannels};
  const Shape shape{kFrames, kHeight, kWidth, kHeight, kWidth, kKernel, 1, 1};
  // two digits, lowest first
  std::vector<int8_t> split(kVectors * kTaps * kWordsIn / 4 * 2 * 64 * kLanes);
  for (int o = 0; o < kOutputs; o++)
    for (int tap = 0; tap < kTaps; tap++)
      for (int c = 0; c < kChannels; c++) {
        const int32_t weight = weights[((o / kLanes * kTaps + tap) * kChannels + c) * kLanes + o % kLanes];
        const int32_t low = static_cast<int8_t>(weight & 0xff);
        const int block = ((o / kLanes * kTaps + tap) * kWordsIn / 4 + c / 64) * 2;
        const int at = (c % 64 / 4 * kLanes + o % kLanes) * 4 + c % 4;
        split[block * 64 * kLanes + at] = static_cast<int8_t>(low);
        split[(block + 1) * 64 * kLanes + at] = static_cast<int8_t>((weight - low) / 256);
      }
  Result lists, tables, digits;
  EventConv by_lists{in, shape, weights.data(), 1, 0, lists.target()};
  plain_kernels()->events(by_lists);
  CachedConv by_tables{in, shape, weights.data(), tables.target()};
  plain_kernels()->cached(by_tables);
  DigitConv by_digits{in, shape, split.data(), 2, digits.target()};
#ifdef SPIKEREEL_TILES_IN_C
  if (!amx_kernels()) return 1;
  amx_kernels()->digits(by_digits);
#else
  plain_kernels()->digits(by_digits);
#endif
  uint64_t hash = 1469598103934665603ull;
  long count = 0;
  const auto mix = [&](uint32_t x) { hash = (hash ^ x) * 1099511628211ull; };
  for (uint16_t x : lists.bits) mix(x), count += __builtin_popcount(x);
  for (float x : lists.membrane) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    mix(bits);
  }
  bool same = true;
  for (const Result* other : {&tables, &digits})
    same = same && lists.bits == other->bits &&
           !std::memcmp(lists.membrane.data(), other->membrane.data(), lists.membrane.size() * sizeof(float));
  std::printf("%ld spikes, hash %016llx, %s\n", count, static_cast<unsigned long long>(hash), same ? "same" : "different");
}
