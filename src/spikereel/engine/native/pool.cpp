#include "pool.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <dlfcn.h>
#include <unistd.h>
static void* function(const char* name) { return dlsym(RTLD_DEFAULT, name); }
static long process() { return static_cast<long>(getpid()); }
#else
static void* function(const char*) { return nullptr; }
static long process() { return 0; }
#endif

namespace spikereel {
namespace {

constexpr int kSpins = 2000;

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

class Pool {
 public:
  explicit Pool(int count) : owner_(process()) {
    for (int i = 1; i < count; i++) workers_.emplace_back([this] { work(); });
  }

  ~Pool() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
      epoch_.fetch_add(1);
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
  }

  int size() const { return static_cast<int>(workers_.size()) + 1; }
  bool alive() const { return owner_ == process(); }

  void run(int64_t count, Body body, void* context) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      body_ = body, context_ = context, count_ = count;
      next_.store(0);
      running_.store(static_cast<int>(workers_.size()));
      epoch_.fetch_add(1);
    }
    wake_.notify_all();
    drain();
    for (int spins = 0; running_.load(std::memory_order_acquire) > 0; spins++) {
      if (spins < kSpins) relax();
      else std::this_thread::yield();
    }
  }

 private:
  void drain() {
    for (int64_t item; (item = next_.fetch_add(1)) < count_;) body_(context_, item);
  }

  void work() {
    uint64_t seen = 0;
    for (;;) {
      for (int spins = 0; spins < kSpins && epoch_.load() == seen; spins++) relax();
      if (epoch_.load() == seen) {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return epoch_.load() != seen; });
      }
      {
        // what to run is written under the lock
        std::lock_guard<std::mutex> lock(mutex_);
        seen = epoch_.load();
        if (stop_) return;
      }
      drain();
      running_.fetch_sub(1, std::memory_order_release);
    }
  }

  long owner_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> epoch_{0};
  std::atomic<int64_t> next_{0};
  std::atomic<int> running_{0};
  Body body_ = nullptr;
  void* context_ = nullptr;
  int64_t count_ = 0;
  bool stop_ = false;
};

// Runs a function on so many threads, that of the caller among them.
using Team = void (*)(void (*)(void*), void*, unsigned, unsigned);

struct Shared {
  int64_t count;
  Body body;
  void* context;
  std::atomic<int64_t> next{0};
};

void drain(void* given) {
  Shared& all = *static_cast<Shared*>(given);
  for (int64_t item; (item = all.next.fetch_add(1)) < all.count;) all.body(all.context, item);
}

std::mutex use;
Team team = nullptr;
// those of OpenMP do not outlive a fork
long team_of = 0;
Pool* pool = nullptr;
// of the pool, which others may be using
std::atomic<int> size{1};

struct Slot {
  void* memory = nullptr;
  size_t size = 0;
  ~Slot() { std::free(memory); }
};

thread_local Slot slots[6];

bool teamed() { return team && team_of == process(); }

}  // namespace

bool join_openmp() {
  std::lock_guard<std::mutex> lock(use);
  team = reinterpret_cast<Team>(function("GOMP_parallel"));
  team_of = process();
  return team != nullptr;
}

void set_threads(int count) {
  std::lock_guard<std::mutex> lock(use);
  if (teamed()) {
    size.store(count < 1 ? 1 : count);
    return;
  }
  if (pool && pool->alive() && pool->size() == count) return;
  // after a fork the threads of the old pool are gone, and so is any way to end it
  if (pool && pool->alive()) delete pool;
  pool = new Pool(count < 1 ? 1 : count);
  size.store(pool->size());
}

int threads() {
  std::lock_guard<std::mutex> lock(use);
  if (teamed()) return helpers();
  return pool && pool->alive() ? pool->size() : 1;
}

int helpers() { return size.load(std::memory_order_relaxed); }

void run_parallel(int64_t count, Body body, void* context) {
  std::unique_lock<std::mutex> lock(use, std::try_to_lock);
  const int crew = helpers();
  if (lock.owns_lock() && teamed() && crew > 1 && count > 1) {
    Shared all{count, body, context};
    team(drain, &all, static_cast<unsigned>(crew < count ? crew : count), 0);
    return;
  }
  if (lock.owns_lock() && pool && pool->alive() && pool->size() > 1 && count > 1) {
    pool->run(count, body, context);
    return;
  }
  for (int64_t item = 0; item < count; item++) body(context, item);
}

void* scratch(int slot, size_t bytes) {
  Slot& own = slots[slot];
  if (own.size < bytes) {
    std::free(own.memory);
    own.size = (bytes + 65535) / 65536 * 65536;
    own.memory = std::aligned_alloc(64, own.size);
    if (!own.memory) throw std::bad_alloc();
  }
  return own.memory;
}

}  // namespace spikereel
