// CBOW, a few neighboring windows at once, so that none has to wait for what the one before it does to their words:
//
//     the query of each window is the mean of its words, and its errors are those with its center and its own negatives,
//     all of it from the tables as they were before the block;
//     window after window, its outputs are updated, and its gradient is summed over them as they are by then;
//     in the end each word gains the gradients of all windows that it is in.

#pragma once

#include "tiles.hpp"
#include "window.hpp"

namespace {

constexpr int STRIPE = LANES == 16 ? 4 : 2;  // columns of ABREAST windows that are held in registers while rows pass by

// Up to ABREAST neighboring windows, and the words in any of them: word j is in window g if has[j * ABREAST + g] is 1.
struct Group {
    float *const *rows;
    const float *has;
    int size;  // words
};

// to[g] = shares[g] * the sum of the rows of window g, over C columns.
template <int C>
LOGQ_INLINE void sum_stripe(const Group &group, const float *shares, int at, float *to, std::int64_t stride) {
    Vec sum[ABREAST * C];
    LOGQ_UNROLL
    for (int i = 0; i < ABREAST * C; ++i) sum[i] = all(0.0f);
    for (int j = 0; j < group.size; ++j) {
        const float *const row = group.rows[j] + at * LANES;
        Vec has[ABREAST];
        LOGQ_UNROLL
        for (int g = 0; g < ABREAST; ++g) has[g] = all(group.has[j * ABREAST + g]);
        LOGQ_UNROLL
        for (int c = 0; c < C; ++c) {
            const Vec x = load(row + c * LANES);
            LOGQ_UNROLL
            for (int g = 0; g < ABREAST; ++g) sum[g * C + c] = multiply_add(has[g], x, sum[g * C + c]);
        }
    }
    LOGQ_UNROLL
    for (int g = 0; g < ABREAST; ++g) {
        const Vec share = all(shares[g]);
        LOGQ_UNROLL
        for (int c = 0; c < C; ++c) store(to + g * stride + (at + c) * LANES, sum[g * C + c] * share);
    }
}

// Each row += the sum of gradients[g] of the windows g that it is in, over C columns.
template <int C> LOGQ_INLINE void gain_stripe(const Group &group, const float *gradients, int at, std::int64_t stride) {
    Vec gain[ABREAST * C];
    LOGQ_UNROLL
    for (int g = 0; g < ABREAST; ++g) {
        LOGQ_UNROLL
        for (int c = 0; c < C; ++c) gain[g * C + c] = load(gradients + g * stride + (at + c) * LANES);
    }
    for (int j = 0; j < group.size; ++j) {
        float *const row = group.rows[j] + at * LANES;
        Vec has[ABREAST];
        LOGQ_UNROLL
        for (int g = 0; g < ABREAST; ++g) has[g] = all(group.has[j * ABREAST + g]);
        LOGQ_UNROLL
        for (int c = 0; c < C; ++c) {
            Vec x = load(row + c * LANES);
            LOGQ_UNROLL
            for (int g = 0; g < ABREAST; ++g) x = multiply_add(has[g], gain[g * C + c], x);
            store(row + c * LANES, x);
        }
    }
}

// Calls stripe<C>(at) for stripes of C of the columns.
#define LOGQ_FOR_STRIPES(columns, stripe)                                                          \
    {                                                                                              \
        int at = 0;                                                                                \
        for (; at + STRIPE <= (columns); at += STRIPE) stripe(STRIPE);                             \
        switch ((columns) - at) {                                                                  \
            case 3: stripe(3); break;                                                              \
            case 2: stripe(2); break;                                                              \
            case 1: stripe(1); break;                                                              \
            default: break;                                                                        \
        }                                                                                          \
    }

inline void sum_windows(const Group &group, const float *shares, int columns, float *to, std::int64_t stride) {
#define LOGQ_STRIPE(C) sum_stripe<C>(group, shares, at, to, stride)
    LOGQ_FOR_STRIPES(columns, LOGQ_STRIPE)
#undef LOGQ_STRIPE
}

inline void gain_windows(const Group &group, const float *gradients, int columns, std::int64_t stride) {
#define LOGQ_STRIPE(C) gain_stripe<C>(group, gradients, at, stride)
    LOGQ_FOR_STRIPES(columns, LOGQ_STRIPE)
#undef LOGQ_STRIPE
}

// The errors of two queries, each with O outputs of its own. Writes up to LANES - 1 floats too many.
template <int O>
LOGQ_INLINE void errors_of_two(const float *queries, std::int64_t stride, float *const *outputs, int columns,
                               const float *labels, const float *weights, float rate, float *errors) {
    constexpr int PARTS = (2 * O + LANES - 1) / LANES;
    Vec sum[PARTS * LANES];
    LOGQ_UNROLL
    for (int i = 0; i < PARTS * LANES; ++i) sum[i] = all(0.0f);
    for (int c = 0; c < columns; ++c) {
        LOGQ_UNROLL
        for (int g = 0; g < 2; ++g) {
            const Vec x = load(queries + g * stride + c * LANES);
            LOGQ_UNROLL
            for (int o = g * O; o < (g + 1) * O; ++o) sum[o] = multiply_add(x, load(outputs[o] + c * LANES), sum[o]);
        }
    }
    LOGQ_UNROLL
    for (int p = 0; p < PARTS; ++p) {
        const Vec label = load(labels + p * LANES), weight = load(weights + p * LANES);
        store(errors + p * LANES, error_of(label, weight, sums_of_all(sum + p * LANES), all(rate)));
    }
}

// gradient = sum_o errors[o] outputs[o], with the outputs as they were; outputs[o] += errors[o] query.
template <int O>
LOGQ_INLINE void gradient_of_one(const float *query, float *const *outputs, const float *errors, int columns, float *gradient) {
    Vec error[O];
    float *rows[O];
    LOGQ_UNROLL
    for (int o = 0; o < O; ++o) {
        error[o] = all(errors[o]);
        rows[o] = outputs[o];
    }
    for (int c = 0; c < columns; ++c) {
        const Vec x = load(query + c * LANES);
        Vec dx = all(0.0f);
        LOGQ_UNROLL
        for (int o = 0; o < O; ++o) {
            float *const at = rows[o] + c * LANES;
            const Vec y = load(at);
            dx = multiply_add(error[o], y, dx);
            store(at, multiply_add(error[o], x, y));
        }
        store(gradient + c * LANES, dx);
    }
}

class CbowBlock {
  public:
    CbowBlock(const Job &job, const Scratch &scratch, int columns)
        : job(job), s(scratch), columns(columns), outputs(1 + job.negatives) {
        if (most_windows(job) == 0) return;
        make_usual_labels();
        for (std::int64_t at = 0; at < most_windows(job) * job.stride; ++at) s.gradient[at] = 0.0f;
    }

    // Finds what takes part in a block, and its queries. Returns in how many of its windows there are words.
    int take(const Plan &plan, std::int32_t begin, std::int32_t end) {
        size = end - begin;
        int trained = 0;
        float *has = s.has;
        for (int first = 0; first < size; first += ABREAST) {
            const std::int32_t next = begin + first + ABREAST;
            trained += take_group(plan, begin + first, next < end ? next : end, first, has);
        }
        if (trained == 0) return 0;
        for (int g = 0; g < size; ++g) take_outputs(plan, begin + g, g * outputs);
        if (trained < size) {
            for (int g = 0; g < size; ++g) {
                const std::int32_t c = begin + g - plan.first_center;
                if (s.lasts[c] - s.firsts[c] == 1) drop(g * outputs);
            }
        }
        return trained;
    }

    double loss() {
        double total = 0.0;
        for (int g = 0; g < size; ++g) {
            float *query[1] = {query_of(g)};
            dots_of(query, 1, s.outputs + g * outputs, outputs, columns, s.errors);
            total += loss_of(s.labels + g * outputs, s.weights + g * outputs, s.errors, outputs);
        }
        return total;
    }

    void train(float rate) {
        int g = 0;
        if (outputs == TILE_OUTPUTS) {
            for (; g + 2 <= size; g += 2) {
                const int at = g * outputs;
                errors_of_two<TILE_OUTPUTS>(query_of(g), job.stride, s.outputs + at, columns, s.labels + at, s.weights + at,
                                            rate, s.errors + at);
            }
        }
        for (; g < size; ++g) {
            float *query[1] = {query_of(g)};
            const int at = g * outputs;
            errors_of(query, 1, s.outputs + at, outputs, columns, s.labels + at, s.weights + at, rate, s.errors + at);
        }
        for (g = 0; g < size; ++g) {
            float *query[1] = {query_of(g)};
            const int at = g * outputs;
            if (outputs == TILE_OUTPUTS) {
                gradient_of_one<TILE_OUTPUTS>(query_of(g), s.outputs + at, s.errors + at, columns, gradient_of(g));
            } else {
                gradient_rows(query, 1, s.outputs + at, outputs, s.errors + at, columns, gradient_of(g), job.stride);
            }
        }
        for (int first = 0; first < size; first += ABREAST) {
            gain_windows(groups[first / ABREAST], gradient_of(first), columns, job.stride);
        }
        if (!usual) make_usual_labels();
    }

  private:
    const Job &job;
    const Scratch &s;
    const int columns;
    const int outputs;  // of a window
    int size = 0;       // windows
    bool usual = false;
    Group groups[MOST_BLOCK / ABREAST];

    float *query_of(int g) const { return s.queries + g * job.stride; }
    float *gradient_of(int g) const { return s.gradient + g * job.stride; }

    // The centers in [begin, end) are windows first, first + 1, ... of the block; those up to ABREAST that are none are empty.
    int take_group(const Plan &plan, std::int32_t begin, std::int32_t end, int first, float *&has) {
        std::int32_t firsts[ABREAST], lasts[ABREAST], from = begin, to = begin;
        float shares[ABREAST];
        int trained = 0;
        for (int g = 0; g < ABREAST; ++g) {
            const std::int32_t i = begin + g, c = i - plan.first_center;
            firsts[g] = i < end ? s.firsts[c] : begin;
            lasts[g] = i < end ? s.lasts[c] : begin;
            from = firsts[g] < from ? firsts[g] : from;
            to = lasts[g] > to ? lasts[g] : to;
            const int words = lasts[g] - firsts[g] - 1;
            shares[g] = words > 0 && job.mean ? 1.0f / static_cast<float>(words) : 1.0f;
            trained += words > 0;
        }
        const int words = to - from;
        for (int j = 0; j < words; ++j) {
            const std::int32_t place = from + j;
            for (int g = 0; g < ABREAST; ++g) {
                has[j * ABREAST + g] = static_cast<float>((firsts[g] <= place) & (place < lasts[g]) & (place != begin + g));
            }
        }
        groups[first / ABREAST] = Group{s.rows + from, has, words};
        has += words * ABREAST;
        sum_windows(groups[first / ABREAST], shares, columns, query_of(first), job.stride);
        return trained;
    }

    void take_outputs(const Plan &plan, std::int32_t center, int at) {
        const std::int32_t word = s.words[center];
        const std::int32_t *negatives = s.negatives + static_cast<std::int64_t>(center - plan.first_center) * job.negatives;
        bool repeated = false;
        s.outputs[at] = output_row(job, word);
        for (std::int32_t j = 0; j < job.negatives; ++j) {
            s.outputs[at + 1 + j] = output_row(job, negatives[j]);
            repeated |= negatives[j] == word;
            for (std::int32_t earlier = 0; earlier < j; ++earlier) repeated |= negatives[earlier] == negatives[j];
        }
        if (repeated) merge(at);
    }

    // A negative drawn twice becomes one that weighs double, and one that is the center is dropped.
    void merge(int at) {
        usual = false;
        for (int later = 1; later < outputs; ++later) {
            int same = 0;
            while (s.outputs[at + same] != s.outputs[at + later]) ++same;
            if (same == later) continue;
            if (same > 0) s.weights[at + same] += 1.0f;
            s.weights[at + later] = 0.0f;
            s.outputs[at + later] = s.nobody;
        }
    }

    void drop(int at) {
        usual = false;
        for (int o = at; o < at + outputs; ++o) s.labels[o] = s.weights[o] = 0.0f;
    }

    void make_usual_labels() {
        for (int at = 0; at < job.block * outputs; ++at) {
            s.labels[at] = at % outputs == 0 ? 1.0f : 0.0f;
            s.weights[at] = 1.0f;
        }
        usual = true;
    }
};

}  // namespace
