// The loss kernels on several threads.

#pragma once

#include "../levels.hpp"
#include "job.hpp"

namespace logq::losses {

// All tiles of a sample that all rows share, in float: dot products are made here, and what factors are multiplied with.
struct SharedJob {
    TileJob tile;         // of all rows, without the tile
    const float *input;    // (B, D)
    const float *sampled;  // (S, D)
    std::int64_t width;    // D
    float *input_gradient;  // (B, D), written: factors times sampled rows; or null
    float *row_gradient;    // (S, D), written: transposed factors times inputs; or null
    float *column_sums;     // (S,), written: of factors; or null
};

void row_losses(const RowJob &job, std::int64_t rows, Level level, int threads);
void tile_losses(const TileJob &job, Level level, int threads);

// The losses of all rows with a sample that they share, a tile of rows after the other; see SharedJob.
void shared_losses(const SharedJob &job, Level level, int threads);

// dots[i, t] = <input_i, weight_t>, 0 where there is no class.
void true_dots(const Batch &batch, void *dots, std::int64_t rows, Level level, int threads);

// to[i] += sum over t of factors[i, t] weight_t.
void add_true_rows(const Batch &batch, void *factors, void *to, std::int64_t rows, Level level, int threads);

// Where true classes stand in a sample: those of entry e at places[begin[e] ... end[e]), in order. Torch's own search waits
// for threads that a forked process does not have.
void find_hits(const std::int64_t *targets, std::int64_t num_targets, const std::int64_t *ids, std::int64_t num_sampled,
               std::int64_t *places, std::int64_t *begin, std::int64_t *end);

}  // namespace logq::losses
