// Products of a few rows with a few rows, held in registers: the arithmetic of word2vec.
//
// Rows are `columns` vectors of LANES floats. A tile of inputs x outputs is so small that its sums stay in registers, and
// each float that is read takes part in several multiply-adds.

#pragma once

#include "../simd/vectors.hpp"

namespace {

constexpr int TILE_OUTPUTS = 6;  // the center and five negatives, the usual setting, are one tile
constexpr int TILE_INPUTS = LANES == 16 ? 4 : 2;  // 24 sums of the 32 registers there are, 12 of 16

// The dot products of I x O rows, row by row, as vectors of LANES of them; then(number, vector) takes each.
template <int I, int O, typename Then>
LOGQ_INLINE void dot_tile(float *const *inputs, float *const *outputs, int columns, Then then) {
    constexpr int GROUPS = (I * O + LANES - 1) / LANES;
    Vec sum[GROUPS * LANES];
    LOGQ_UNROLL
    for (int i = 0; i < GROUPS * LANES; ++i) sum[i] = all(0.0f);
    for (int c = 0; c < columns; ++c) {
        Vec y[O];
        LOGQ_UNROLL
        for (int o = 0; o < O; ++o) y[o] = load(outputs[o] + c * LANES);
        LOGQ_UNROLL
        for (int i = 0; i < I; ++i) {
            const Vec x = load(inputs[i] + c * LANES);
            LOGQ_UNROLL
            for (int o = 0; o < O; ++o) sum[i * O + o] = multiply_add(x, y[o], sum[i * O + o]);
        }
    }
    LOGQ_UNROLL
    for (int g = 0; g < GROUPS; ++g) then(g, sums_of_all(sum + g * LANES));
}

// dots[i * row + o] = <inputs[i], outputs[o]>.
template <int I, int O>
LOGQ_INLINE void store_dots(float *const *inputs, float *const *outputs, int columns, float *dots, int row) {
    float flat[(I * O + LANES - 1) / LANES * LANES];
    dot_tile<I, O>(inputs, outputs, columns, [&](int g, Vec sums) { store(flat + g * LANES, sums); });
    LOGQ_UNROLL
    for (int i = 0; i < I; ++i) {
        LOGQ_UNROLL
        for (int o = 0; o < O; ++o) dots[i * row + o] = flat[i * O + o];
    }
}

// rate * (label - weight * sigmoid(dot))
LOGQ_INLINE Vec error_of(Vec label, Vec weight, Vec dot, Vec rate) {
    return rate * (label - weight / (all(1.0f) + exponential(all(0.0f) - dot)));
}

// errors[i * O + o] from the dot products, without a stop in memory between. Writes up to LANES - 1 floats too many.
template <int I, int O>
LOGQ_INLINE void store_errors(float *const *inputs, float *const *outputs, int columns, const float *labels, const float *weights,
                              float rate, float *errors) {
    dot_tile<I, O>(inputs, outputs, columns, [&](int g, Vec sums) {
        store(errors + g * LANES, error_of(load(labels + g * LANES), load(weights + g * LANES), sums, all(rate)));
    });
}

// Calls do_tile<I>(i) for tiles of I of the m inputs.
#define LOGQ_FOR_INPUTS(m, do_tile)                                                                \
    {                                                                                              \
        int i = 0;                                                                                 \
        for (; i + TILE_INPUTS <= (m); i += TILE_INPUTS) do_tile(TILE_INPUTS);                     \
        switch ((m) - i) {                                                                         \
            case 3: do_tile(3); break;                                                             \
            case 2: do_tile(2); break;                                                             \
            case 1: do_tile(1); break;                                                             \
            default: break;                                                                        \
        }                                                                                          \
    }

template <int O>
inline void dots_of_tile(float *const *inputs, int m, float *const *outputs, int columns, float *dots, int row) {
#define LOGQ_TILE(I) store_dots<I, O>(inputs + i, outputs, columns, dots + i * row, row)
    LOGQ_FOR_INPUTS(m, LOGQ_TILE)
#undef LOGQ_TILE
}

template <int O>
inline void errors_of_tile(float *const *inputs, int m, float *const *outputs, int columns, const float *labels, const float *weights,
                           float rate, float *errors) {
#define LOGQ_TILE(I) store_errors<I, O>(inputs + i, outputs, columns, labels + i * O, weights + i * O, rate, errors + i * O)
    LOGQ_FOR_INPUTS(m, LOGQ_TILE)
#undef LOGQ_TILE
}

// dots[i * n + o] = <inputs[i], outputs[o]> for m x n rows.
inline void dots_of(float *const *inputs, int m, float *const *outputs, int n, int columns, float *dots) {
    for (int o = 0; o < n; o += TILE_OUTPUTS) {
        switch (n - o) {
            case 1: dots_of_tile<1>(inputs, m, outputs + o, columns, dots + o, n); break;
            case 2: dots_of_tile<2>(inputs, m, outputs + o, columns, dots + o, n); break;
            case 3: dots_of_tile<3>(inputs, m, outputs + o, columns, dots + o, n); break;
            case 4: dots_of_tile<4>(inputs, m, outputs + o, columns, dots + o, n); break;
            case 5: dots_of_tile<5>(inputs, m, outputs + o, columns, dots + o, n); break;
            default: dots_of_tile<TILE_OUTPUTS>(inputs, m, outputs + o, columns, dots + o, n); break;
        }
    }
}

// errors[i * n + o] = error_of(labels, weights, <inputs[i], outputs[o]>, rate) for m x n rows.
inline void errors_of(float *const *inputs, int m, float *const *outputs, int n, int columns, const float *labels,
                      const float *weights, float rate, float *errors) {
    switch (n) {
#define LOGQ_CASE(N) \
    case N: errors_of_tile<N>(inputs, m, outputs, columns, labels, weights, rate, errors); return;
        LOGQ_CASE(1)
        LOGQ_CASE(2)
        LOGQ_CASE(3)
        LOGQ_CASE(4)
        LOGQ_CASE(5)
        LOGQ_CASE(6)
#undef LOGQ_CASE
        default: break;
    }
    dots_of(inputs, m, outputs, n, columns, errors);
    for (int at = 0; at < m * n; at += LANES) {
        store(errors + at, error_of(load(labels + at), load(weights + at), load(errors + at), all(rate)));
    }
}

// The sum of label * softplus(-dot) + (weight - label) * softplus(dot).
inline double loss_of(const float *labels, const float *weights, const float *dots, int size) {
    double total = 0.0;
    for (int at = 0; at < size; at += LANES) {
        const Vec dot = load(dots + at), label = load(labels + at), weight = load(weights + at);
        // softplus(dot) = max(dot, 0) + softplus(-|dot|), and softplus(-dot) = softplus(dot) - dot
        const Vec positive = greatest(dot, all(0.0f)) + log_one_plus(exponential(least(dot, all(0.0f) - dot)));
        float losses[LANES];
        store(losses, weight * positive - label * dot);
        for (int i = 0; i < LANES && at + i < size; ++i) total += losses[i];
    }
    return total;
}

// outputs[o] += sum_i errors[i * row + o] inputs[i], and the gradient of the inputs:
//     ONLY    there is no other tile: inputs[i] += sum_o errors[i * row + o] outputs[o], with the outputs as they were
//     FIRST   gradient[i] = that sum
//     MORE    gradient[i] += that sum
enum class Tile { ONLY, FIRST, MORE };

template <int O, Tile TILE>
LOGQ_INLINE void update_tile(float *const *inputs, int m, float *const *outputs, const float *errors, int row, int columns,
                             float *gradient, std::int64_t stride) {
    for (int c = 0; c < columns; ++c) {
        Vec y[O], change[O];
        LOGQ_UNROLL
        for (int o = 0; o < O; ++o) {
            y[o] = load(outputs[o] + c * LANES);
            change[o] = y[o];
        }
        for (int i = 0; i < m; ++i) {
            const Vec x = load(inputs[i] + c * LANES);
            float *const sum = TILE == Tile::ONLY ? inputs[i] + c * LANES : gradient + i * stride + c * LANES;
            Vec dx = TILE == Tile::ONLY ? x : TILE == Tile::FIRST ? all(0.0f) : load(sum);
            LOGQ_UNROLL
            for (int o = 0; o < O; ++o) {
                const Vec e = all(errors[i * row + o]);
                dx = multiply_add(e, y[o], dx);
                change[o] = multiply_add(e, x, change[o]);
            }
            store(sum, dx);
        }
        LOGQ_UNROLL
        for (int o = 0; o < O; ++o) store(outputs[o] + c * LANES, change[o]);
    }
}

template <Tile TILE>
inline void update_outputs(float *const *inputs, int m, float *const *outputs, int n, const float *errors, int row,
                           int columns, float *gradient, std::int64_t stride) {
    switch (n) {
        case 6: update_tile<6, TILE>(inputs, m, outputs, errors, row, columns, gradient, stride); break;
        case 5: update_tile<5, TILE>(inputs, m, outputs, errors, row, columns, gradient, stride); break;
        case 4: update_tile<4, TILE>(inputs, m, outputs, errors, row, columns, gradient, stride); break;
        case 3: update_tile<3, TILE>(inputs, m, outputs, errors, row, columns, gradient, stride); break;
        case 2: update_tile<2, TILE>(inputs, m, outputs, errors, row, columns, gradient, stride); break;
        case 1: update_tile<1, TILE>(inputs, m, outputs, errors, row, columns, gradient, stride); break;
        default: break;
    }
}

// gradient[i] = sum_o e_io outputs[o], with the outputs as they were; outputs[o] += sum_i e_io inputs[i].
inline void gradient_rows(float *const *inputs, int m, float *const *outputs, int n, const float *errors, int columns,
                          float *gradient, std::int64_t stride, bool first = true) {
    for (int o = 0; o < n; o += TILE_OUTPUTS) {
        const int width = n - o < TILE_OUTPUTS ? n - o : TILE_OUTPUTS;
        if (first && o == 0) {
            update_outputs<Tile::FIRST>(inputs, m, outputs, width, errors, n, columns, gradient, stride);
        } else {
            update_outputs<Tile::MORE>(inputs, m, outputs + o, width, errors + o, n, columns, gradient, stride);
        }
    }
}

inline void add_rows(float *const *inputs, int m, const float *gradient, std::int64_t stride, int columns) {
    for (int i = 0; i < m; ++i) {
        for (int c = 0; c < columns; ++c) {
            float *const x = inputs[i] + c * LANES;
            store(x, load(x) + load(gradient + i * stride + c * LANES));
        }
    }
}

// Both tables at once, each with the other as it was: inputs[i] += sum_o e_io outputs[o], outputs[o] += sum_i e_io inputs[i].
inline void update_rows(float *const *inputs, int m, float *const *outputs, int n, const float *errors, int columns,
                        float *gradient, std::int64_t stride) {
    if (n <= TILE_OUTPUTS) {
        update_outputs<Tile::ONLY>(inputs, m, outputs, n, errors, n, columns, gradient, stride);
        return;
    }
    gradient_rows(inputs, m, outputs, n, errors, columns, gradient, stride);
    add_rows(inputs, m, gradient, stride, columns);
}

constexpr int STRIP = 8;  // columns that are held in registers while rows pass by

// to[c] = share * sum_i inputs[i][c], over C columns.
template <int C> LOGQ_INLINE void mean_strip(float *const *inputs, int m, Vec share, int at, float *to) {
    Vec sum[C];
    LOGQ_UNROLL
    for (int c = 0; c < C; ++c) sum[c] = load(inputs[0] + (at + c) * LANES);
    for (int i = 1; i < m; ++i) {
        LOGQ_UNROLL
        for (int c = 0; c < C; ++c) sum[c] = sum[c] + load(inputs[i] + (at + c) * LANES);
    }
    LOGQ_UNROLL
    for (int c = 0; c < C; ++c) store(to + (at + c) * LANES, sum[c] * share);
}

// inputs[i][c] += change[c], over C columns; an input that is there twice is changed twice.
template <int C> LOGQ_INLINE void spread_strip(float *const *inputs, int m, const float *change, int at) {
    Vec add[C];
    LOGQ_UNROLL
    for (int c = 0; c < C; ++c) add[c] = load(change + (at + c) * LANES);
    for (int i = 0; i < m; ++i) {
        LOGQ_UNROLL
        for (int c = 0; c < C; ++c) {
            float *const x = inputs[i] + (at + c) * LANES;
            store(x, load(x) + add[c]);
        }
    }
}

// Calls strip<C>(at) for strips of C of the columns.
#define LOGQ_FOR_COLUMNS(columns, strip)                                                           \
    for (int at = 0; at < (columns); at += STRIP) {                                                \
        switch ((columns) - at) {                                                                  \
            case 1: strip(1); break;                                                               \
            case 2: strip(2); break;                                                               \
            case 3: strip(3); break;                                                               \
            case 4: strip(4); break;                                                               \
            case 5: strip(5); break;                                                               \
            case 6: strip(6); break;                                                               \
            case 7: strip(7); break;                                                               \
            default: strip(STRIP); break;                                                          \
        }                                                                                          \
    }

// to = share * the sum of m rows.
inline void mean_of_rows(float *const *inputs, int m, float share, int columns, float *to) {
    const Vec factor = all(share);
#define LOGQ_STRIP(C) mean_strip<C>(inputs, m, factor, at, to)
    LOGQ_FOR_COLUMNS(columns, LOGQ_STRIP)
#undef LOGQ_STRIP
}

// Each of m rows += change.
inline void spread_over_rows(float *const *inputs, int m, const float *change, int columns) {
#define LOGQ_STRIP(C) spread_strip<C>(inputs, m, change, at)
    LOGQ_FOR_COLUMNS(columns, LOGQ_STRIP)
#undef LOGQ_STRIP
}

}  // namespace
