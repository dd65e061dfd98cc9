// Every processor, ARM among them.
#include "pool.hpp"
#include "training.hpp"

namespace spikereel {
namespace {
#define IVDEP _Pragma("GCC ivdep")
#include "loops.hpp"
const TrainingKernels kernels = {"plain", fire, unfire, moments, sums_of, affine, finish, unpack};
}  // namespace

const TrainingKernels* training_plain() { return &kernels; }
}  // namespace spikereel
