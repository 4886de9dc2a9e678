// What the loss kernels are asked to do. Letters as in logq.shapes. `Real` is double for a table of doubles, else float.

#pragma once

#include <cstdint>

namespace logq::losses {

// How a class table is stored.
enum class Stored { FLOAT32, FLOAT64, BFLOAT16, FLOAT16 };

// The class table, and the inputs of a batch with their true classes.
struct Batch {
    const void *weight;  // (C, D) as `stored`
    Stored stored;
    bool cosine;  // <input, weight_c / |weight_c|>
    const void *input;            // (B, D) Real
    const std::int64_t *targets;  // (B, T), negative where there is no class
    std::int64_t width;           // D
    std::int64_t num_true;        // T
};

// Losses and gradients of rows that have sampled classes of their own.
struct RowJob {
    Batch batch;
    std::int64_t num_sampled;    // S
    const std::int64_t *ids;     // (B, S)
    const void *true_offsets;    // (B, T) Real, added to the logits, or null
    const void *offsets;         // (B, S) Real or null
    const bool *excluded;        // (B, S) or null
    const void *row_scale;       // (B,) Real or null
    double inverse_temperature;
    bool softmax;
    bool remove_hits;
    void *losses;        // (B,) Real
    void *input_gradient;  // (B, D) Real, or null: no gradients are wanted
    void *true_factors;  // (B, T) Real: of each row's loss times its scale by <input, weight_t>
    void *factors;       // (B, S) Real
};

// Of a tile of logits of a few rows with some of the classes that all rows share.
enum class Pass {
    WHOLE,    // losses and factors; for softmax the tile has all columns
    REDUCE,   // softmax: only the maximum and the sum of exponentials, carried on
    FACTORS,  // softmax: the factors, with the maximum and the sum of all columns
};

struct TileJob {
    Pass pass;
    bool softmax;
    bool doubles;        // Real
    bool gradients;
    bool first;          // the tile with the first columns: the true classes take part in it
    std::int64_t rows, columns, num_true;
    void *tile;          // (rows, columns) Real: dot products, then factors
    const void *offsets;  // (columns,) or rows of them, Real, or null
    std::int64_t offset_stride;  // 0 for one row of offsets
    const bool *excluded;        // rows of (columns,), or null
    std::int64_t excluded_stride;
    // Where the true class (row, t) stands in the sample: at places[hits_begin[row, t] ... hits_end[row, t]).
    const std::int64_t *places;
    const std::int64_t *hits_begin, *hits_end;  // (rows, T), or null if hits stay
    std::int64_t first_column;
    const std::int64_t *targets;  // (rows, T)
    const void *true_logits;      // (rows, T) Real, offsets added
    const void *row_scale;        // (rows,) Real or null
    double inverse_temperature;
    void *losses;        // (rows,) Real
    void *true_factors;  // (rows, T) Real
    void *maxima, *sums;  // (rows,) Real
};

}  // namespace logq::losses
