// A block of c stays in registers while k goes by. Compiled once for each set of instructions; see simd/vectors.hpp for what
// that forbids here.

#include "products.hpp"

#include "../rows/extents.hpp"

namespace {

using logq::losses::Product;

// Of a block of c: 24 of the 32 registers of AVX-512, or 12 of 16.
#if defined(__AVX512F__)
constexpr int ROWS = 6, VECTORS = 4;
#else
constexpr int ROWS = 6, VECTORS = 2;
#endif

template <int M, int N, typename Extent>
LOGQ_INLINE void multiply_block(const Product &job, std::int64_t first, std::int64_t at, Extent part) {
    Vec sum[M][N];
    LOGQ_UNROLL
    for (int i = 0; i < M; ++i) {
        LOGQ_UNROLL
        for (int v = 0; v < N; ++v) sum[i][v] = all(0.0f);
    }
    const float *factors = job.a + first * job.a_row, *row = job.b + at;
    for (std::int64_t k = 0; k < job.depth; ++k, factors += job.a_column, row += job.b_row) {
        Vec numbers[N];
        LOGQ_UNROLL
        for (int v = 0; v < N; ++v) numbers[v] = get(row + v * LANES, part);
        LOGQ_UNROLL
        for (int i = 0; i < M; ++i) {
            const Vec factor = all(factors[i * job.a_row]);
            LOGQ_UNROLL
            for (int v = 0; v < N; ++v) sum[i][v] = multiply_add(factor, numbers[v], sum[i][v]);
        }
    }
    LOGQ_UNROLL
    for (int i = 0; i < M; ++i) {
        float *const to = job.c + (first + i) * job.c_row + at;
        LOGQ_UNROLL
        for (int v = 0; v < N; ++v) set(to + v * LANES, job.add ? get(to + v * LANES, part) + sum[i][v] : sum[i][v], part);
    }
}

template <int N, typename Extent> void multiply_columns(const Product &job, std::int64_t at, Extent part) {
    std::int64_t i = 0;
    for (; i + ROWS <= job.rows; i += ROWS) multiply_block<ROWS, N>(job, i, at, part);
    for (; i < job.rows; ++i) multiply_block<1, N>(job, i, at, part);
}

}  // namespace

namespace logq::losses {

void LOGQ_OF_LEVEL(multiply)(const Product &job) {
    std::int64_t at = 0;
    for (; at + VECTORS * LANES <= job.columns; at += VECTORS * LANES) multiply_columns<VECTORS>(job, at, Whole{});
    for (; at + LANES <= job.columns; at += LANES) multiply_columns<1>(job, at, Whole{});
    if (at < job.columns) multiply_columns<1>(job, at, Part{static_cast<int>(job.columns - at)});
}

}  // namespace logq::losses
