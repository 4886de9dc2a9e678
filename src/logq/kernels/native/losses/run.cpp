#include "run.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <numeric>
#include <vector>

#include "../parallel.hpp"
#include "products.hpp"

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

namespace {

constexpr std::int64_t ROWS_OF_TILE = 48;  // of a thread: with the sample and what is made of it they stay in its cache
constexpr std::int64_t PANEL = 64;         // columns of the sample that are laid side by side
constexpr std::int64_t DEPTH = 128;        // sampled rows that are multiplied at a time
constexpr std::int64_t ADDED = 16;         // factors of a column that are added up at a time: sums of sums round less

template <typename T> T *at(T *numbers, std::int64_t place) { return numbers ? numbers + place : nullptr; }
const float *floats(const void *numbers, std::int64_t place) { return at(static_cast<const float *>(numbers), place); }
float *floats(void *numbers, std::int64_t place) { return at(static_cast<float *>(numbers), place); }

// The tiles of a job, each of `height` rows, in the same memory.
class SharedTiles {
    const SharedJob &job;
    const Level level;
    const std::int64_t columns = job.tile.columns, width = job.width, num_true = job.tile.num_true;
    const std::int64_t panels = (columns + PANEL - 1) / PANEL;
    const std::unique_ptr<float[]> turned, tile;

    void product(const Product &product) const { LOGQ_CHOOSE(level, multiply)(product); }

  public:
    SharedTiles(const SharedJob &job, Level level, std::int64_t height)
        : job(job), level(level), turned(new float[static_cast<std::size_t>(panels * PANEL * width)]),
          tile(new float[static_cast<std::size_t>(height * columns)]) {}

    // The sample with its columns as rows: number d of column j is that of panel j / PANEL, row d.
    void turn() {
        for (std::int64_t j = 0; j < panels * PANEL; ++j) {
            float *const to = turned.get() + j / PANEL * PANEL * width + j % PANEL;
            for (std::int64_t d = 0; d < width; ++d) to[d * PANEL] = j < columns ? job.sampled[j * width + d] : 0.0f;
        }
    }

    // Logits, losses and factors of rows from `begin` to `end`, which are in a tile that begins with row `first`.
    void rows(std::int64_t first, std::int64_t begin, std::int64_t end) const {
        float *const here = tile.get() + (begin - first) * columns;
        for (std::int64_t j = 0; j < columns; j += PANEL) {
            product({job.input + begin * width, width, 1, turned.get() + j * width, PANEL, here + j, columns, end - begin,
                     std::min(PANEL, columns - j), width, false});
        }
        TileJob some = job.tile;
        some.tile = here;
        some.rows = end - begin;
        some.offsets = floats(some.offsets, begin * some.offset_stride);
        some.excluded = at(some.excluded, begin * some.excluded_stride);
        some.hits_begin = at(some.hits_begin, begin * num_true);
        some.hits_end = at(some.hits_end, begin * num_true);
        some.targets = at(some.targets, begin * num_true);
        some.true_logits = floats(some.true_logits, begin * num_true);
        some.row_scale = floats(some.row_scale, begin);
        some.losses = floats(some.losses, begin);
        some.true_factors = floats(some.true_factors, begin * num_true);
        LOGQ_CHOOSE(level, tile_losses)(some, 0, some.rows);
        for (std::int64_t j = 0; job.input_gradient && j < columns; j += DEPTH) {
            product({here + j, columns, 1, job.sampled + j * width, width, job.input_gradient + begin * width, width, end - begin,
                     width, std::min(DEPTH, columns - j), j > 0});
        }
    }

    // What columns from `begin` to `end` of the tile with rows from `first` to `last` add to the gradients of their classes.
    void classes(std::int64_t first, std::int64_t last, std::int64_t begin, std::int64_t end) const {
        for (std::int64_t i = first; job.row_gradient && i < last; i += ROWS_OF_TILE) {
            product({tile.get() + (i - first) * columns + begin, 1, columns, job.input + i * width, width,
                     job.row_gradient + begin * width, width, end - begin, width, std::min(ROWS_OF_TILE, last - i), i > 0});
        }
        const float one = 1.0f;
        for (std::int64_t i = first; job.column_sums && i < last; i += ADDED) {
            product({&one, 0, 0, tile.get() + (i - first) * columns + begin, columns, job.column_sums + begin, columns, 1,
                     end - begin, std::min(ADDED, last - i), i > 0});
        }
    }
};

}  // namespace

void shared_losses(const SharedJob &job, Level level, int threads) {
    const std::int64_t workers = threads > 1 ? threads : 1, height = std::min(ROWS_OF_TILE * workers, job.tile.rows);
    SharedTiles tiles(job, level, height);
    tiles.turn();
    for (std::int64_t first = 0; first < job.tile.rows; first += height) {
        const std::int64_t last = std::min(first + height, job.tile.rows);
        const std::int64_t parts = (last - first + ROWS_OF_TILE - 1) / ROWS_OF_TILE;
        parallel(threads, parts, [&](std::int64_t part) {
            const std::int64_t begin = first + part * ROWS_OF_TILE;
            tiles.rows(first, begin, std::min(begin + ROWS_OF_TILE, last));
        });
        if (!job.row_gradient && !job.column_sums) continue;
        parallel(threads, workers, [&](std::int64_t part) {
            tiles.classes(first, last, job.tile.columns * part / workers, job.tile.columns * (part + 1) / workers);
        });
    }
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
