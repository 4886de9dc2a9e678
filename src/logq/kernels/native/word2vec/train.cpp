#include "train.hpp"

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include "scratch.hpp"

namespace logq::word2vec {

// Trains on the words at [begin, end) of the job's ids, at most UNIT of them. `memory` has scratch_size(job) bytes, 64 bytes
// aligned. Reads and writes the tables without locks (Recht et al., Hogwild!, NeurIPS 2011, arXiv:1106.5730).
LOGQ_DECLARE_LEVELS(train_unit, (const Job &, std::int64_t, std::int64_t, void *, Result &));

namespace {

constexpr std::align_val_t ALIGNED{64};

struct FreeAligned {
    void operator()(void *memory) const { ::operator delete(memory, ALIGNED); }
};

}  // namespace

std::size_t scratch_size(const Job &job) {
    Pieces pieces{nullptr, 0};
    const Scratch sized(job, pieces);
    return pieces.used;
}

Result train(const Job &job, Level level, int threads) {
    const auto train_here = LOGQ_CHOOSE(level, train_unit);
    const std::int64_t units = (job.end - job.begin + UNIT - 1) / UNIT;
    if (units <= 0) return Result();
    if (threads > units) threads = static_cast<int>(units);
    struct Worker {
        Result result;
        std::unique_ptr<void, FreeAligned> memory;
    };
    // All memory is taken before the first thread runs, as an exception in there could not be told to anyone.
    std::vector<Worker> workers(static_cast<std::size_t>(threads));
    for (Worker &worker : workers) worker.memory.reset(::operator new(scratch_size(job), ALIGNED));

    std::atomic<std::int64_t> next{0};
    const auto work = [&](Worker &worker) {
        Result result;  // of its own until the end, so that threads do not write into one line of the cache
        for (std::int64_t unit = next++; unit < units; unit = next++) {
            const std::int64_t begin = job.begin + unit * UNIT;
            train_here(job, begin, begin + UNIT < job.end ? begin + UNIT : job.end, worker.memory.get(), result);
        }
        worker.result = result;
    };
    std::vector<std::thread> others;
    others.reserve(workers.size());
    try {
        for (std::size_t i = 1; i < workers.size(); ++i) others.emplace_back(work, std::ref(workers[i]));
    } catch (const std::exception &) {
        // The machine gives no more threads, or no memory for one: those that run do the work.
    }
    work(workers[0]);
    for (std::thread &other : others) other.join();
    Result total;
    for (const Worker &worker : workers) {
        total.pairs += worker.result.pairs;
        total.loss_pairs += worker.result.loss_pairs;
        total.loss_sum += worker.result.loss_sum;
    }
    return total;
}

}  // namespace logq::word2vec
