// What is trained at once: rows of the input table, each once, with rows of the output table, each once. A row that took
// part twice would be updated from an old value, so equal words are one row that counts more.

#pragma once

#include "../simd/vectors.hpp"
#include "plan.hpp"

namespace {

// The loss of input i with output o is
//     labels[i * n + o] * -log sigmoid(dot) + (weights[i * n + o] - labels[i * n + o]) * -log sigmoid(-dot)
// so that weights is how many pairs there are, and labels how many of them are true.
struct Window {
    int m = 0;               // rows of the input table
    int n = 0;               // rows of the output table
    std::int32_t pairs = 0;  // of a word and one to predict
};

inline float *input_row(const Job &job, std::int32_t word) { return job.inputs + word * job.stride; }
inline float *output_row(const Job &job, std::int32_t row) { return job.outputs + row * job.stride; }

// Rows of labels and weights for the words around a block, by which of its centers they are a neighbor of: bit g of the
// row's number. They depend on the number of centers only, and are made when it changes.
class Rows {
  public:
    static constexpr int WIDTH = 128;     // floats in a row: centers and negatives
    static constexpr int MOST_CENTERS = 4;

    // Whether blocks of this job are small enough.
    static bool fit(const Job &job) { return job.block <= MOST_CENTERS && job.block + job.negatives <= WIDTH; }

    void make(int centers, int negatives) {
        if (centers == made_for) return;
        made_for = centers;
        ready = 0;
        for (int pattern = 0; pattern < (1 << centers); ++pattern) {
            int neighbors = 0;
            for (int g = 0; g < centers; ++g) {
                const int is_one = (pattern >> g) & 1;
                neighbors += is_one;
                labels[pattern][g] = weights[pattern][g] = static_cast<float>(is_one);
            }
            for (int j = centers; j < WIDTH; ++j) {
                labels[pattern][j] = 0.0f;
                weights[pattern][j] = j < centers + negatives ? static_cast<float>(neighbors) : 0.0f;
            }
        }
    }

    // Stored up to the end of the last vector, over what follows.
    void store_row(int pattern, int n, float *label, float *weight) const {
        store(label, load(labels[pattern]));
        store(weight, load(weights[pattern]));
        for (int at = LANES; at < n; at += LANES) {
            store(label + at, load(labels[pattern] + at));
            store(weight + at, load(weights[pattern] + at));
        }
    }

    // With one center all rows are alike, and stay what they are until something is merged into them.
    void store_equal_rows(int m, int n, float *label, float *weight) {
        for (; ready < m; ++ready) store_row(1, n, label + ready * n, weight + ready * n);
    }
    void are_spoilt() { ready = 0; }

  private:
    int made_for = 0;
    int ready = 0;
    alignas(64) float labels[1 << MOST_CENTERS][WIDTH];
    alignas(64) float weights[1 << MOST_CENTERS][WIDTH];
};

struct Block {
    std::int32_t begin, end;   // its centers
    std::int32_t first, last;  // the words in any of its windows, and between
};

inline Block block_at(const Plan &plan, const Scratch &s, std::int32_t b) {
    Block block{s.blocks[b], s.blocks[b + 1], s.blocks[b], s.blocks[b] + 1};
    for (std::int32_t i = block.begin; i < block.end; ++i) {
        const std::int32_t first = s.firsts[i - plan.first_center], last = s.lasts[i - plan.first_center];
        if (first < block.first) block.first = first;
        if (last > block.last) block.last = last;
    }
    return block;
}

// Which of a block's centers word j is a neighbor of, as bits.
inline std::uint32_t neighbor_of(const Plan &plan, const Scratch &s, const Block &block, std::int32_t j) {
    std::uint32_t bits = 0;
    for (std::int32_t i = block.begin; i < block.end; ++i) {
        const std::int32_t c = i - plan.first_center;
        const std::uint32_t is_one = s.firsts[c] <= j && j < s.lasts[c] && j != i;
        bits |= is_one << (i - block.begin);
    }
    return bits;
}

// The centers of a block and its negatives, with rows for the words around it. Each word and negative has a row of its own
// even if it stands there twice: see merge_outputs and merge_inputs.
inline Window take_rows(const Job &job, const Plan &plan, const Scratch &s, const Block &block,
                        const std::int32_t *negatives, Rows &rows) {
    Window w;
    const std::int32_t count = block.end - block.begin;
    for (std::int32_t g = 0; g < count; ++g) s.outputs[w.n++] = output_row(job, s.words[block.begin + g]);
    for (std::int32_t j = 0; j < job.negatives; ++j) s.outputs[w.n++] = output_row(job, negatives[j]);
    rows.make(count, job.negatives);
    if (count == 1) {
        for (std::int32_t j = block.first; j < block.begin; ++j) s.inputs[w.m++] = s.rows[j];
        for (std::int32_t j = block.end; j < block.last; ++j) s.inputs[w.m++] = s.rows[j];
        rows.store_equal_rows(w.m, w.n, s.labels, s.weights);
        w.pairs = w.m;
        return w;
    }
    for (std::int32_t j = block.first; j < block.last; ++j) {
        const std::uint32_t pattern = neighbor_of(plan, s, block, j);
        if (pattern == 0) continue;
        s.inputs[w.m] = s.rows[j];
        rows.store_row(static_cast<int>(pattern), w.n, s.labels + w.m * w.n, s.weights + w.m * w.n);
        ++w.m;
    }
    for (std::int32_t i = block.begin; i < block.end; ++i) {
        const std::int32_t c = i - plan.first_center;
        w.pairs += s.lasts[c] - s.firsts[c] - 1;
    }
    rows.are_spoilt();
    return w;
}

inline bool has_repeats(const Job &job, const Scratch &s, const Block &block, const std::int32_t *negatives) {
    bool repeated = false;
    for (std::int32_t j = 0; j < job.negatives; ++j) {
        for (std::int32_t i = block.begin; i < block.end; ++i) repeated |= negatives[j] == s.words[i];
        for (std::int32_t earlier = 0; earlier < j; ++earlier) repeated |= negatives[earlier] == negatives[j];
    }
    return repeated;
}

inline bool centers_repeat(const Scratch &s, const Block &block) {
    bool repeated = false;
    for (std::int32_t i = block.begin; i < block.end; ++i) {
        for (std::int32_t earlier = block.begin; earlier < i; ++earlier) repeated |= s.words[earlier] == s.words[i];
    }
    return repeated;
}

// A negative drawn twice becomes one that weighs double, and one that is the word to predict is dropped. Its own place is
// left to `s.nobody`, a row of zeros that nothing counts for, so that the shape of the window stays the usual one.
inline void merge_outputs(const Job &job, const Scratch &s, const Block &block, const std::int32_t *negatives,
                          const Window &w) {
    const int count = block.end - block.begin;
    for (std::int32_t j = 0; j < job.negatives; ++j) {
        const int column = count + j;
        int same = 0;
        while (same < column && s.outputs[same] != output_row(job, negatives[j])) ++same;
        if (same == column) continue;
        for (int row = 0; row < w.m * w.n; row += w.n) {
            float more = s.weights[row + column];
            if (same < count) more -= s.labels[row + same];  // pairs of that center drop it
            s.weights[row + same] += more;
            s.weights[row + column] = 0.0f;
        }
        s.outputs[column] = s.nobody;
    }
}

// A word that stands there twice becomes one whose labels and weights are those of both.
inline void merge_inputs(const Scratch &s, const Window &w) {
    for (int later = 1; later < w.m; ++later) {
        int same = 0;
        while (same < later && s.inputs[same] != s.inputs[later]) ++same;
        if (same == later) continue;
        for (int o = 0; o < w.n; ++o) {
            s.labels[same * w.n + o] += s.labels[later * w.n + o];
            s.weights[same * w.n + o] += s.weights[later * w.n + o];
            s.labels[later * w.n + o] = s.weights[later * w.n + o] = 0.0f;
        }
        s.inputs[later] = s.nobody;
    }
}

// The place of an id in a list, to which it is appended if it is new.
inline int place_of(std::int32_t id, std::int32_t *ids, int &count) {
    int place = 0;
    while (place < count && ids[place] != id) ++place;
    if (place == count) ids[count++] = id;
    return place;
}

// Any block, pair by pair: equal words share a row, and a negative that is the word to predict is dropped.
inline Window take_any(const Job &job, const Plan &plan, const Scratch &s, const Block &block, const std::int32_t *negatives) {
    Window w;
    for (std::int32_t i = block.begin; i < block.end; ++i) place_of(s.words[i], s.output_ids, w.n);
    for (std::int32_t j = 0; j < job.negatives; ++j) place_of(negatives[j], s.output_ids, w.n);
    for (std::int32_t j = block.first; j < block.last; ++j) {
        if (neighbor_of(plan, s, block, j)) s.inputs[place_of(s.words[j], s.input_ids, w.m)] = s.rows[j];
    }
    for (int at = 0; at < w.m * w.n; ++at) s.labels[at] = s.weights[at] = 0.0f;
    for (std::int32_t i = block.begin; i < block.end; ++i) {
        const std::int32_t c = i - plan.first_center, center = s.words[i];
        const int target = place_of(center, s.output_ids, w.n);
        for (std::int32_t j = s.firsts[c]; j < s.lasts[c]; ++j) {
            if (j == i) continue;
            const int row = place_of(s.words[j], s.input_ids, w.m) * w.n;
            s.labels[row + target] += 1.0f;
            s.weights[row + target] += 1.0f;
            for (std::int32_t k = 0; k < job.negatives; ++k) {
                if (negatives[k] == center) continue;
                s.weights[row + place_of(negatives[k], s.output_ids, w.n)] += 1.0f;
            }
            ++w.pairs;
        }
    }
    for (int o = 0; o < w.n; ++o) s.outputs[o] = output_row(job, s.output_ids[o]);
    return w;
}

// The words around a center, its negatives and itself, as far as their rows are here.
inline Window take_partitions(const Job &job, const Plan &plan, const Scratch &s, std::int32_t center,
                         const std::int32_t *negatives) {
    Window w;
    const std::int32_t target = s.output_rows[center], c = center - plan.first_center;
    if (target >= 0) s.output_ids[w.n++] = target;
    for (std::int32_t k = 0; k < job.negatives; ++k) {
        if (negatives[k] >= 0 && negatives[k] != target) place_of(negatives[k], s.output_ids, w.n);
    }
    if (w.n == 0) return w;
    for (std::int32_t j = s.firsts[c]; j < s.lasts[c]; ++j) {
        if (j != center && s.input_rows[j] >= 0) place_of(s.input_rows[j], s.input_ids, w.m);
    }
    for (int at = 0; at < w.m * w.n; ++at) s.labels[at] = s.weights[at] = 0.0f;
    for (std::int32_t j = s.firsts[c]; j < s.lasts[c]; ++j) {
        if (j == center || s.input_rows[j] < 0) continue;
        const int row = place_of(s.input_rows[j], s.input_ids, w.m) * w.n;
        if (target >= 0) {
            s.labels[row] += 1.0f;
            s.weights[row] += 1.0f;
            ++w.pairs;
        }
        for (std::int32_t k = 0; k < job.negatives; ++k) {
            if (negatives[k] < 0 || negatives[k] == target) continue;
            s.weights[row + place_of(negatives[k], s.output_ids, w.n)] += 1.0f;
        }
    }
    for (int i = 0; i < w.m; ++i) s.inputs[i] = input_row(job, s.input_ids[i]);
    for (int o = 0; o < w.n; ++o) s.outputs[o] = output_row(job, s.output_ids[o]);
    return w;
}

// The outputs of one query in the order of word2vec.c: from number `next` on, 0 being the center and the others its
// negatives, as many as are different. Returns the number of the next one.
inline std::int32_t take_in_order(const Job &job, const Scratch &s, std::int32_t center, const std::int32_t *negatives,
                                  std::int32_t next, Window &w) {
    for (; next <= job.negatives; ++next) {
        const std::int32_t word = next == 0 ? center : negatives[next - 1];
        if (next > 0 && word == center) continue;
        const int before = w.n;
        if (place_of(word, s.output_ids, w.n) < before) break;
        s.outputs[before] = output_row(job, word);
        s.labels[before] = next == 0 ? 1.0f : 0.0f;
        s.weights[before] = 1.0f;
    }
    return next;
}

// The inner nodes on the way to a word, for m queries that count copies[i] times each; the label of a step is 1 - its code.
inline void take_path(const Job &job, const Scratch &s, std::int32_t center, const float *copies, Window &w) {
    const std::int64_t start = job.offsets[center];
    w.n = static_cast<int>(job.offsets[center + 1] - start);
    for (int o = 0; o < w.n; ++o) {
        s.outputs[o] = output_row(job, job.points[start + o]);
        for (int i = 0; i < w.m; ++i) {
            s.labels[i * w.n + o] = job.codes[start + o] ? 0.0f : copies[i];
            s.weights[i * w.n + o] = copies[i];
        }
    }
}

}  // namespace
