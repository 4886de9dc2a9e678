// The vectors that a row is made of.

#pragma once

#include "../simd/storage.hpp"

namespace {

// A whole vector of a row, or the few numbers at its end.
struct Whole {};
struct Part {
    int count;
};
template <typename T> LOGQ_INLINE auto get(const T *from, Whole) { return load_as(from); }
template <typename T> LOGQ_INLINE auto get(const T *from, Part part) { return load_as(from, part.count); }
template <typename T, typename Vector> LOGQ_INLINE void set(T *to, Vector a, Whole) { store_as(to, a); }
template <typename T, typename Vector> LOGQ_INLINE void set(T *to, Vector a, Part part) { store_as(to, a, part.count); }

// function(column, Whole or Part) for all vectors of a row.
template <int WIDTH, typename Function> LOGQ_INLINE void over_columns(std::int64_t dim, const Function &function) {
    std::int64_t at = 0;
    for (; at + WIDTH <= dim; at += WIDTH) function(at, Whole{});
    if (at < dim) function(at, Part{static_cast<int>(dim - at)});
}

}  // namespace
