// What a training job consists of: plain numbers and pointers into arrays that Python owns.

#pragma once

#include <cstddef>
#include <cstdint>

namespace logq::word2vec {

// A cell of Walker's alias table: drawn uniformly, it gives itself if 32 random bits are below `accept`, else `alias`.
struct Cell {
    std::uint32_t accept;
    std::int32_t alias;
};

struct Job {
    // The two tables: rows of `stride` floats, 64 bytes aligned and a multiple of 16, zero beyond the width of a vector.
    float *inputs;   // (V, stride), what becomes the word vectors; (R, stride) where words consist of several rows
    float *outputs;  // (V, stride) for negative sampling, (V - 1, stride) for hierarchical softmax
    std::int64_t stride;

    // Subwords: the vector of word w is the mean of the rows parts[part_offsets[w]] ... parts[part_offsets[w + 1] - 1] of the
    // inputs, at least one. Null where each word is a row of its own.
    const std::int64_t *part_offsets;
    const std::int32_t *parts;
    std::int32_t most_parts;  // of a word

    // Where the tables are cut in partitions, those that are here: word w is in row w / partitions of partition
    // w % partitions, and is trained only in pairs of a word and a center or negative whose rows are both here. 1 is all of it.
    std::int32_t partitions, input_partition, output_partition;
    std::uint64_t reciprocal;     // 2**64 / partitions, rounded up; 0 for 1
    const std::uint64_t *shares;  // (partitions,) negatives of a window come from the first part whose share is above 64 random bits

    // The text: ids of words, negative at the end of a sentence. Words at [begin, end) are predicted; those around them
    // are only looked at. `position` is the place of ids[0] in the whole corpus: randomness and rate depend on it.
    const std::int32_t *ids;
    std::int64_t size, begin, end;
    std::int64_t position;

    std::uint64_t seed;         // of this epoch
    const std::uint32_t *keep;  // (V,) a word stays if 32 random bits are <= this
    std::int32_t window;
    bool shrink;  // whether the reach of each window is drawn from 1 .. window
    bool skip_gram;
    bool mean;    // CBOW: mean of the context, or its sum
    bool shared;  // the pairs of a window share negatives and are trained at once; else one after the other
    // Shared only: this many neighboring centers are trained at once, for skip-gram with the same `negatives`.
    std::int32_t block;

    // Negative sampling: a cell for each row of the output part. Hierarchical softmax: cells is null, and the path of word w
    // from the root is points[offsets[w]] ... points[offsets[w + 1] - 1], at each of which it goes to the side that codes has.
    const Cell *cells;
    std::int32_t num_cells;
    std::int32_t negatives;
    // Shared only: each unit of text draws this many negatives beforehand, and its blocks choose theirs among them, so that
    // rows are still in the cache when they are met again. 0 draws new ones each time.
    std::int32_t pool;
    const std::int64_t *offsets;
    const std::int32_t *points;
    const std::uint8_t *codes;
    std::int32_t longest_path;

    // The loss of one block in this many is computed, a power of two.
    std::int32_t loss_every;

    // The rate at place p of the whole corpus is max(rate_floor, rate_start - p * rate_slope).
    double rate_start, rate_slope, rate_floor;
};

struct Result {
    std::int64_t pairs = 0;       // (context word, center) for skip-gram; centers for CBOW
    std::int64_t loss_pairs = 0;  // those whose loss was computed, about one in loss_every
    double loss_sum = 0.0;        // of these, in nats
};

// The largest block.
constexpr int MOST_BLOCK = 64;

// How many words are predicted by one call of a unit function.
constexpr std::int64_t UNIT = 1024;

// How much memory of its own a thread needs, in bytes.
std::size_t scratch_size(const Job &job);

}  // namespace logq::word2vec
