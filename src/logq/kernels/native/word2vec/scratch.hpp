// The working memory of one thread, cut out of a single piece.

#pragma once

#include "job.hpp"

namespace {

using logq::word2vec::Cell;
using logq::word2vec::Job;
using logq::word2vec::MOST_BLOCK;
using logq::word2vec::Result;
using logq::word2vec::UNIT;

// Hands out 64 bytes aligned pieces of a block; with no block it only adds up how much is needed.
struct Pieces {
    char *base;
    std::size_t used;

    template <typename T> T *take(std::int64_t count) {
        T *piece = reinterpret_cast<T *>(base + used);
        used += (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
        return piece;
    }
};

// The most rows of each table that are trained at once.
inline std::int64_t most_inputs(const Job &job) {
    const std::int64_t window = job.window;
    return 2 * window + (job.block > 1 ? job.block : 0);
}
inline std::int64_t most_outputs(const Job &job) {
    if (!job.cells) return job.longest_path + 1;
    const std::int64_t negatives = job.negatives;
    return job.skip_gram ? job.block + negatives : job.block * (1 + negatives);
}

// CBOW in blocks: the most windows that are trained at once, in whole groups of ABREAST.
constexpr int ABREAST = 4;
inline std::int64_t most_windows(const Job &job) {
    return job.skip_gram || job.block == 1 ? 0 : (job.block + ABREAST - 1) / ABREAST * ABREAST;
}

// Subwords: the most words that one block's windows can reach.
inline std::int64_t most_copies(const Job &job) { return job.parts ? 2 * static_cast<std::int64_t>(job.window) + job.block : 0; }

// Vectors are stored over the end of a row, where the next row will be.
constexpr std::int64_t SLACK = 64;

struct Scratch {
    // The plan: words that stay, with up to `window` before and behind the unit, and for each center its window.
    std::int32_t *words;      // (UNIT + 2 window)
    std::int64_t *places;     // (UNIT + 2 window) where each stands in the job's ids
    std::int32_t *sentences;  // (UNIT + 2 window) equal for words of the same sentence
    std::int32_t *reaches;    // (UNIT + 2 window) how far the window of each reaches, where it is a center
    std::int32_t *repeats;    // (UNIT + 2 window) latest place of a word that stands again soon after
    float **rows;             // (UNIT + 2 window) the input row of each
    std::int32_t *firsts;     // (UNIT) first of the window
    std::int32_t *lasts;      // (UNIT) behind the last of the window
    std::int32_t *blocks;     // (UNIT + 1) first center of each block
    std::int32_t *pool;       // (job.pool) negatives that the unit's blocks choose from
    std::int32_t *negatives;  // (UNIT, negatives) for each block; (2 window, negatives) where each pair has its own
    std::int32_t *input_rows;   // (UNIT + 2 window) of the words that stay, in the partitions that are here; -1 elsewhere
    std::int32_t *output_rows;  // (UNIT + 2 window)
    // Subwords, see there.
    float *word_copies;    // (most copies, stride)
    float *word_starts;    // (most copies, stride) what they were at first
    std::int32_t *copied;  // (most copies) the word of each
    std::int32_t *latest;  // (most copies) its latest place
    float **parts;         // (most parts) rows of one word
    // What is trained at once.
    float **inputs;            // (most inputs) rows of the input table
    float **outputs;           // (most outputs) rows of the output table
    std::int32_t *input_ids;   // (most inputs)
    std::int32_t *output_ids;  // (most outputs)
    float *copies;             // (most inputs)
    float *labels;             // (most inputs, most outputs), see Window
    float *weights;            // (most inputs, most outputs)
    float *errors;             // (most inputs, most outputs)
    float *nobody;             // (stride) zeros
    float *hidden;             // (stride)
    float *gradient;           // (most inputs or windows, stride)
    float *queries;            // (most windows, stride)
    float *has;                // (most windows, 2 window + ABREAST)

    Scratch(const Job &job, Pieces &pieces) {
        const std::int64_t inputs_size = most_inputs(job), outputs_size = most_outputs(job);
        const std::int64_t kept = UNIT + 2 * static_cast<std::int64_t>(job.window);
        const std::int64_t tile = (job.skip_gram ? inputs_size : 1) * outputs_size + SLACK;
        words = pieces.take<std::int32_t>(kept);
        places = pieces.take<std::int64_t>(kept);
        sentences = pieces.take<std::int32_t>(kept);
        reaches = pieces.take<std::int32_t>(kept);
        repeats = pieces.take<std::int32_t>(kept);
        rows = pieces.take<float *>(kept);
        firsts = pieces.take<std::int32_t>(UNIT);
        lasts = pieces.take<std::int32_t>(UNIT);
        blocks = pieces.take<std::int32_t>(UNIT + 1);
        pool = pieces.take<std::int32_t>(job.pool);
        negatives = pieces.take<std::int32_t>(job.cells ? (UNIT > inputs_size ? UNIT : inputs_size) * job.negatives + 1 : 0);
        input_rows = pieces.take<std::int32_t>(job.partitions > 1 ? kept : 0);
        output_rows = pieces.take<std::int32_t>(job.partitions > 1 ? kept : 0);
        const std::int64_t copies_size = most_copies(job);
        word_copies = pieces.take<float>(copies_size * job.stride);
        word_starts = pieces.take<float>(copies_size * job.stride);
        copied = pieces.take<std::int32_t>(copies_size);
        latest = pieces.take<std::int32_t>(copies_size);
        parts = pieces.take<float *>(job.parts ? job.most_parts : 0);
        inputs = pieces.take<float *>(inputs_size);
        outputs = pieces.take<float *>(outputs_size);
        input_ids = pieces.take<std::int32_t>(inputs_size);
        output_ids = pieces.take<std::int32_t>(outputs_size);
        copies = pieces.take<float>(inputs_size);
        labels = pieces.take<float>(tile);
        weights = pieces.take<float>(tile);
        errors = pieces.take<float>(tile);
        nobody = pieces.take<float>(job.stride);
        hidden = pieces.take<float>(job.stride);
        const std::int64_t windows = most_windows(job);
        gradient = pieces.take<float>((inputs_size > windows ? inputs_size : windows) * job.stride);
        queries = pieces.take<float>(windows * job.stride);
        has = pieces.take<float>(windows * (2 * static_cast<std::int64_t>(job.window) + ABREAST));
    }
};

}  // namespace
