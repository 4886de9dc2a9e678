// torch's threads are those of OpenMP. After each product they wait in a loop for some milliseconds, in case there is more
// to do, and threads of our own would have to share the processor with them. So we ask OpenMP itself for its threads,
// by the function that compiled `#pragma omp parallel` calls. It is looked up while running: torch brings its own copy of
// the library, and the core is not to depend on torch.
//
// After a fork the pool of OpenMP is gone and asking for it waits for ever: a forked process works on the thread it has.

#include "parallel.hpp"

#include <atomic>
#include <exception>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <dlfcn.h>
#include <pthread.h>
#endif

namespace logq {
namespace {

std::atomic<bool> forked{false};

#if defined(__linux__)
[[maybe_unused]] const int watches_forks = pthread_atfork(nullptr, nullptr, [] { forked = true; });

// GOMP_parallel(function, data, number of threads, flags) of libgomp 4.0 and later.
using OpenMP = void (*)(void (*)(void *), void *, unsigned, unsigned);

OpenMP find_openmp() {
    static std::atomic<OpenMP> found{nullptr};
    OpenMP openmp = found.load(std::memory_order_relaxed);
    if (openmp == nullptr) {
        openmp = reinterpret_cast<OpenMP>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
        found.store(openmp, std::memory_order_relaxed);
    }
    return openmp;
}
#endif

struct Team {
    Piece piece;
    const void *work;
    std::int64_t pieces;
    std::atomic<std::int64_t> next{0};

    void help() {
        for (std::int64_t i = next++; i < pieces; i = next++) piece(work, i);
    }
};

}  // namespace

void parallel(int threads, std::int64_t pieces, Piece piece, const void *work) {
    Team team{piece, work, pieces};
    if (threads > pieces) threads = static_cast<int>(pieces);
    if (threads <= 1 || forked) {
        team.help();
        return;
    }
#if defined(__linux__)
    if (const OpenMP openmp = find_openmp()) {
        openmp([](void *data) { static_cast<Team *>(data)->help(); }, &team, static_cast<unsigned>(threads), 0);
        return;
    }
#endif
    std::vector<std::thread> others;
    try {
        others.reserve(static_cast<std::size_t>(threads) - 1);
        for (int i = 1; i < threads; ++i) others.emplace_back([&team] { team.help(); });
    } catch (const std::exception &) {
        // The machine gives no more threads, or no memory for one: those that run do the work.
    }
    team.help();
    for (std::thread &other : others) other.join();
}

}  // namespace logq
