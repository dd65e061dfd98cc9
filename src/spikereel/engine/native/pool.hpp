// A small pool of threads: one parallel region per operation, items handed out one by one.
#pragma once
#include <cstddef>
#include <cstdint>

namespace spikereel {

using Body = void (*)(void* context, int64_t item);

// Runs body(context, 0..count-1) on all threads, the caller's among them, and returns when all items are done.
// A second caller at the same time runs its items by itself.
void run_parallel(int64_t count, Body body, void* context);

void set_threads(int count);
// The threads of OpenMP that this process has already, in place of a pool's own: threads of two kinds that wait for their
// next work stand in each other's way. Whether there are any.
bool join_openmp();
int threads();
// The same as it was last set, without waiting for a region under way: for the cutting of work, which changes no result.
int helpers();

// Memory of the calling thread, aligned to 64 bytes, kept from call to call; slots are independent.
void* scratch(int slot, size_t bytes);

template <class F>
void parallel(int64_t count, F&& f) {
  run_parallel(count, [](void* context, int64_t item) { (*static_cast<F*>(context))(item); }, &f);
}

}  // namespace spikereel
