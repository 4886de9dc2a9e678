// Vectors of doubles with the operations of `Vec`, as plain loops that compilers turn into what the level has. Float64 is
// here to be exact: its exponential is the one of the C library.

#pragma once

#include <math.h>

#include "vectors.hpp"

namespace {

constexpr int DOUBLES = LANES / 2;

struct Doubles {
    double lane[DOUBLES];
};
template <typename Function> LOGQ_INLINE Doubles each_double(Function function) {
    Doubles result;
    LOGQ_UNROLL
    for (int i = 0; i < DOUBLES; ++i) result.lane[i] = function(i);
    return result;
}
LOGQ_INLINE Doubles load(const double *from) {
    return each_double([=](int i) { return from[i]; });
}
LOGQ_INLINE Doubles load_part(const double *from, int count) {
    return each_double([=](int i) { return i < count ? from[i] : 0.0; });
}
LOGQ_INLINE void store(double *to, Doubles a) {
    LOGQ_UNROLL
    for (int i = 0; i < DOUBLES; ++i) to[i] = a.lane[i];
}
LOGQ_INLINE void store_part(double *to, Doubles a, int count) {
    for (int i = 0; i < count; ++i) to[i] = a.lane[i];
}
LOGQ_INLINE Doubles all(double a) {
    return each_double([=](int) { return a; });
}
LOGQ_INLINE Doubles operator+(Doubles a, Doubles b) {
    return each_double([=](int i) { return a.lane[i] + b.lane[i]; });
}
LOGQ_INLINE Doubles operator-(Doubles a, Doubles b) {
    return each_double([=](int i) { return a.lane[i] - b.lane[i]; });
}
LOGQ_INLINE Doubles operator*(Doubles a, Doubles b) {
    return each_double([=](int i) { return a.lane[i] * b.lane[i]; });
}
LOGQ_INLINE Doubles operator/(Doubles a, Doubles b) {
    return each_double([=](int i) { return a.lane[i] / b.lane[i]; });
}
LOGQ_INLINE Doubles multiply_add(Doubles a, Doubles b, Doubles c) {
    return each_double([=](int i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
}
LOGQ_INLINE Doubles least(Doubles a, Doubles b) {
    return each_double([=](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
LOGQ_INLINE Doubles greatest(Doubles a, Doubles b) {
    return each_double([=](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
// Where a > 0, b; else c.
LOGQ_INLINE Doubles where_positive(Doubles a, Doubles b, Doubles c) {
    return each_double([=](int i) { return a.lane[i] > 0.0 ? b.lane[i] : c.lane[i]; });
}
LOGQ_INLINE Doubles square_root(Doubles a) {
    return each_double([=](int i) { return sqrt(a.lane[i]); });
}
// Lane i of the result is the sum of a[i].
LOGQ_INLINE Doubles sums_of_all(const Doubles *a) {
    return each_double([=](int i) {
        double total = 0.0;
        for (int j = 0; j < DOUBLES; ++j) total += a[i].lane[j];
        return total;
    });
}
LOGQ_INLINE double sum_of(Doubles a) {
    double total = 0.0;
    for (int i = 0; i < DOUBLES; ++i) total += a.lane[i];
    return total;
}
LOGQ_INLINE double greatest_of(Doubles a) {
    double found = a.lane[0];
    for (int i = 1; i < DOUBLES; ++i) found = a.lane[i] > found || a.lane[i] != a.lane[i] ? a.lane[i] : found;
    return found;
}
LOGQ_INLINE Doubles exponential(Doubles a) {
    return each_double([=](int i) { return exp(a.lane[i]); });
}
struct DoublesOnePlus {
    Doubles log, inverse;
};
LOGQ_INLINE DoublesOnePlus one_plus(Doubles e) {
    return {each_double([=](int i) { return log1p(e.lane[i]); }), all(1.0) / (all(1.0) + e)};
}

}  // namespace
