// Every processor, ARM among them.
#include "kernels.hpp"
#include "pool.hpp"

namespace spikereel {
namespace {
constexpr int kRows = 2;
constexpr int kSpan = 1;  // pixels of a row whose sums lie in registers
constexpr int kDigitPixels = 1;  // whose sums of four digits lie in registers
// sums live in registers only where their loops are unrolled whole
#define UNROLLED _Pragma("GCC unroll 32")
#include "vec_plain.hpp"
#include "epilogue.hpp"
#include "events.hpp"
#include "cached.hpp"
#include "digits.hpp"
#include "dense.hpp"
#include "attention.hpp"
const Kernels kernels = {"plain", 0, kNowhere, events, cached, digits, nullptr, nullptr, pointwise, pictures, fire, resize,
                         attend_count, attend_between, attend_past, attend_recent, attend_apply};
}  // namespace

const Kernels* plain_kernels() { return &kernels; }
}  // namespace spikereel
