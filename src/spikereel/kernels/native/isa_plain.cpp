// Every processor, ARM among them.
#include "pool.hpp"
#include "training.hpp"

namespace spikereel {
namespace {
constexpr int kVector = 16;  // bytes of a register
#define IVDEP _Pragma("GCC ivdep")
#include "loops.hpp"
#include "spikes.hpp"
const TrainingKernels kernels = {"plain", fire, unfire, moments, sums_of, affine, finish, unpack, events, gather};
}  // namespace

const TrainingKernels* training_plain() { return &kernels; }
}  // namespace spikereel
