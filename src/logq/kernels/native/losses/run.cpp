#include "run.hpp"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <vector>

#include "../parallel.hpp"

namespace logq::losses {

LOGQ_DECLARE_LEVELS(row_losses, (const RowJob &, std::int64_t, std::int64_t, void *));
LOGQ_DECLARE_LEVELS(tile_losses, (const TileJob &, std::int64_t, std::int64_t));
LOGQ_DECLARE_LEVELS(true_dots, (const Batch &, void *, std::int64_t, std::int64_t));
LOGQ_DECLARE_LEVELS(add_true_rows, (const Batch &, void *, void *, std::int64_t, std::int64_t));

namespace {

// Calls range(worker, begin, end) for consecutive stretches of rows, each worker below `threads` one after the other. They are
// small, since some rows are quicker than others, and no thread is asked to come for less than some thousand numbers.
template <typename Range> void over_rows(std::int64_t rows, std::int64_t numbers_a_row, int threads, const Range &range) {
    constexpr std::int64_t NUMBERS = 1 << 14;
    const std::int64_t least = NUMBERS / (numbers_a_row > 0 ? numbers_a_row : 1) + 1;
    std::int64_t size = rows / (8 * static_cast<std::int64_t>(threads)) + 1;
    if (size < least) size = least;
    const std::int64_t stretches = (rows + size - 1) / size;
    std::atomic<std::int64_t> next{0};
    parallel(threads, std::min<std::int64_t>(threads > 1 ? threads : 1, stretches), [&](std::int64_t worker) {
        for (std::int64_t i = next++; i < stretches; i = next++) range(worker, i * size, std::min((i + 1) * size, rows));
    });
}

}  // namespace

void row_losses(const RowJob &job, std::int64_t rows, Level level, int threads) {
    const auto run = LOGQ_CHOOSE(level, row_losses);
    const std::int64_t classes = job.batch.num_true + job.num_sampled;
    // Two lists of classes and three of numbers, filled up to whole vectors and lines of the cache.
    const std::size_t numbers = static_cast<std::size_t>(2 * (8 + 4) + 3 * 8) * static_cast<std::size_t>(classes + 32) + 8 * 64;
    const std::size_t size = (numbers + 63) / 64 * 64;
    // All memory is taken before the first thread runs, as an exception in there could not be told to anyone.
    std::vector<char> memory(size * static_cast<std::size_t>(threads > 1 ? threads : 1) + 64);
    char *const aligned = memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64);
    over_rows(rows, classes * job.batch.width, threads, [&](std::int64_t worker, std::int64_t begin, std::int64_t end) {
        run(job, begin, end, aligned + static_cast<std::size_t>(worker) * size);
    });
}

void find_hits(const std::int64_t *targets, std::int64_t num_targets, const std::int64_t *ids, std::int64_t num_sampled,
               std::int64_t *places, std::int64_t *begin, std::int64_t *end) {
    std::iota(places, places + num_sampled, std::int64_t{0});
    std::sort(places, places + num_sampled,
              [&](std::int64_t a, std::int64_t b) { return ids[a] < ids[b] || (ids[a] == ids[b] && a < b); });
    std::vector<std::int64_t> ordered(static_cast<std::size_t>(num_sampled));
    for (std::int64_t s = 0; s < num_sampled; ++s) ordered[static_cast<std::size_t>(s)] = ids[places[s]];
    for (std::int64_t e = 0; e < num_targets; ++e) {
        const auto [first, last] = std::equal_range(ordered.begin(), ordered.end(), targets[e]);
        begin[e] = first - ordered.begin();
        end[e] = last - ordered.begin();
    }
}

void tile_losses(const TileJob &job, Level level, int threads) {
    const auto run = LOGQ_CHOOSE(level, tile_losses);
    over_rows(job.rows, job.columns, threads, [&](std::int64_t, std::int64_t begin, std::int64_t end) { run(job, begin, end); });
}

void true_dots(const Batch &batch, void *dots, std::int64_t rows, Level level, int threads) {
    const auto run = LOGQ_CHOOSE(level, true_dots);
    over_rows(rows, batch.num_true * batch.width, threads,
              [&](std::int64_t, std::int64_t begin, std::int64_t end) { run(batch, dots, begin, end); });
}

void add_true_rows(const Batch &batch, void *factors, void *to, std::int64_t rows, Level level, int threads) {
    const auto run = LOGQ_CHOOSE(level, add_true_rows);
    over_rows(rows, batch.num_true * batch.width, threads,
              [&](std::int64_t, std::int64_t begin, std::int64_t end) { run(batch, factors, to, begin, end); });
}

}  // namespace logq::losses
