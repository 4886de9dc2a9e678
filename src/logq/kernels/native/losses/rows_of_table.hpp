// Dot products of one input with rows of the class table, and sums of such rows: what is read of a table is read once
// from memory, and a group of rows is fetched while the one before is computed with.

#pragma once

#include "../simd/storage.hpp"

namespace {

template <typename Storage> struct TableRows {
    using Real = typename Computed<Storage>::Real;
    using Vector = typename Computed<Storage>::Vector;
    static constexpr int WIDTH = Computed<Storage>::WIDTH;
    static constexpr int STRIP = 8;  // vectors of a row that are held in registers while rows pass by

    const std::int64_t width;
    const std::int64_t whole = width / WIDTH * WIDTH;
    const int rest = static_cast<int>(width - whole);

    LOGQ_INLINE void fetch(const Storage *row) const {
        const char *at = reinterpret_cast<const char *>(row);
        const char *const end = reinterpret_cast<const char *>(row + width);
        for (; at < end; at += 64) LOGQ_PREFETCH_READ(at);
        LOGQ_PREFETCH_READ(end - 1);
    }

    void fetch_group(const Storage *const *rows, int count) const {
        for (int j = 0; j < count && j < WIDTH; ++j) fetch(rows[j]);
    }

    // <x, row> of WIDTH rows.
    LOGQ_INLINE Vector dots(const Real *x, const Storage *const *rows) const {
        Vector sum[WIDTH];
        LOGQ_UNROLL
        for (int j = 0; j < WIDTH; ++j) sum[j] = all(Real(0));
        for (std::int64_t at = 0; at < whole; at += WIDTH) {
            const Vector a = load(x + at);
            LOGQ_UNROLL
            for (int j = 0; j < WIDTH; ++j) sum[j] = multiply_add(a, load_as(rows[j] + at), sum[j]);
        }
        if (rest != 0) {
            const Vector a = load_part(x + whole, rest);
            LOGQ_UNROLL
            for (int j = 0; j < WIDTH; ++j) sum[j] = multiply_add(a, load_as(rows[j] + whole, rest), sum[j]);
        }
        return sums_of_all(sum);
    }

    // 1 / max(|row|, 1e-12) of WIDTH rows.
    LOGQ_INLINE Vector inverse_norms(const Storage *const *rows) const {
        Vector sum[WIDTH];
        LOGQ_UNROLL
        for (int j = 0; j < WIDTH; ++j) sum[j] = all(Real(0));
        for (std::int64_t at = 0; at < whole; at += WIDTH) {
            LOGQ_UNROLL
            for (int j = 0; j < WIDTH; ++j) {
                const Vector a = load_as(rows[j] + at);
                sum[j] = multiply_add(a, a, sum[j]);
            }
        }
        if (rest != 0) {
            LOGQ_UNROLL
            for (int j = 0; j < WIDTH; ++j) {
                const Vector a = load_as(rows[j] + whole, rest);
                sum[j] = multiply_add(a, a, sum[j]);
            }
        }
        return all(Real(1)) / greatest(all(Real(1e-12)), square_root(sums_of_all(sum)));
    }

    // The same of one row.
    Real inverse_norm(const Storage *row) const {
        Vector sum = all(Real(0));
        for (std::int64_t at = 0; at < whole; at += WIDTH) {
            const Vector a = load_as(row + at);
            sum = multiply_add(a, a, sum);
        }
        if (rest != 0) {
            const Vector a = load_as(row + whole, rest);
            sum = multiply_add(a, a, sum);
        }
        const double norm = sqrt(static_cast<double>(sum_of(sum)));
        return static_cast<Real>(1.0 / (norm < 1e-12 ? 1e-12 : norm));
    }

    template <int N>
    LOGQ_INLINE void add_strip(const Storage *const *rows, const Real *factors, int count, bool more, std::int64_t at, Real *to) const {
        Vector sum[N];
        LOGQ_UNROLL
        for (int v = 0; v < N; ++v) sum[v] = more ? load(to + at + v * WIDTH) : all(Real(0));
        for (int j = 0; j < count; ++j) {
            const Vector factor = all(factors[j]);
            LOGQ_UNROLL
            for (int v = 0; v < N; ++v) sum[v] = multiply_add(factor, load_as(rows[j] + at + v * WIDTH), sum[v]);
        }
        LOGQ_UNROLL
        for (int v = 0; v < N; ++v) store(to + at + v * WIDTH, sum[v]);
    }

    // to = sum_j factors[j] rows[j], or to += that sum.
    void add(const Storage *const *rows, const Real *factors, int count, bool more, Real *to) const {
        std::int64_t at = 0;
        for (; at + STRIP * WIDTH <= whole; at += STRIP * WIDTH) add_strip<STRIP>(rows, factors, count, more, at, to);
        for (; at + 4 * WIDTH <= whole; at += 4 * WIDTH) add_strip<4>(rows, factors, count, more, at, to);
        for (; at + 2 * WIDTH <= whole; at += 2 * WIDTH) add_strip<2>(rows, factors, count, more, at, to);
        for (; at < whole; at += WIDTH) add_strip<1>(rows, factors, count, more, at, to);
        if (rest == 0) return;
        Vector sum = more ? load_part(to + whole, rest) : all(Real(0));
        for (int j = 0; j < count; ++j) sum = multiply_add(all(factors[j]), load_as(rows[j] + whole, rest), sum);
        store_part(to + whole, sum, rest);
    }
};

}  // namespace
