// Exponentials and logarithms of doubles in straight lines, from which compilers make vectors of any width. No rounding
// depends on the width, so a class has one expected count wherever it stands, at every level.
//
// Real is what a result is rounded to in the end: for float series end where what is left is some 1e-11 of their sum.

#pragma once

#include <cstdint>

#include "../simd/vectors.hpp"

namespace {

LOGQ_INLINE std::uint64_t bits_of(double a) {
    union {
        double number;
        std::uint64_t bits;
    } both;
    both.number = a;
    return both.bits;
}
LOGQ_INLINE double double_of(std::uint64_t a) {
    union {
        std::uint64_t bits;
        double number;
    } both;
    both.bits = a;
    return both.number;
}

// A choice with no branch, which would keep compilers from making vectors.
LOGQ_INLINE double chosen(bool first, double a, double b) {
    const std::uint64_t mask = std::uint64_t{0} - static_cast<std::uint64_t>(first);
    return double_of((bits_of(a) & mask) | (bits_of(b) & ~mask));
}

constexpr double LOG_2_HIGH = 0x1.62e42fefa0000p-1, LOG_2_LOW = 0x1.cf79abc9e3b3ap-40;  // together log 2

constexpr double OF_EXPONENTIAL[] = {  // 1 / 2!, 1 / 3!, ...
    0.5,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5040.0,
    1.0 / 40320.0,
    1.0 / 362880.0,
    1.0 / 3628800.0,
    1.0 / 39916800.0,
    1.0 / 479001600.0,
    1.0 / 6227020800.0,
};
constexpr double OF_LOGARITHM[] = {  // 2 / 3, 2 / 5, ...
    2.0 / 3.0,  2.0 / 5.0,  2.0 / 7.0,  2.0 / 9.0,  2.0 / 11.0, 2.0 / 13.0,
    2.0 / 15.0, 2.0 / 17.0, 2.0 / 19.0, 2.0 / 21.0, 2.0 / 23.0,
};

template <typename Real> struct Terms {
    static constexpr int EXPONENTIAL = 12, LOGARITHM = 11;
};
template <> struct Terms<float> {
    static constexpr int EXPONENTIAL = 8, LOGARITHM = 6;
};

// terms[0] + terms[1] x + ... + terms[COUNT - 1] x^(COUNT - 1)
template <int COUNT> LOGQ_INLINE double series(const double *terms, double x) {
    if constexpr (COUNT == 1) {
        return terms[0];
    } else {
        return series<COUNT - 1>(terms + 1, x) * x + terms[0];
    }
}

struct Power {
    double whole;  // 2^n
    double part;   // exp(r) - 1, so that the exponential is whole + whole part
};

// The parts of exp(a) for -700 <= a < 700.
template <typename Real> LOGQ_INLINE Power parts_of_exponential(double a) {
    const double shifter = 0x1.8p52;  // adding it leaves integers in the last bits
    const double shifted = a * 0x1.71547652b82fep0 + shifter;
    const double n = shifted - shifter;
    const double r = (a - n * LOG_2_HIGH) - n * LOG_2_LOW;  // at most log(2) / 2 far from 0: Taylor's series
    const double sum = series<Terms<Real>::EXPONENTIAL>(OF_EXPONENTIAL, r);
    return {double_of((bits_of(shifted) << 52) + 0x3FF0000000000000u), (sum * r) * r + r};
}

// exp(a) for a < 700, 0 below -700. Relative error of some 1e-16.
template <typename Real> LOGQ_INLINE double exponential(double a) {
    const Power power = parts_of_exponential<Real>(chosen(a < -700.0, -700.0, a));
    return chosen(a < -700.0, 0.0, power.whole * (1.0 + power.part));
}

// log( (1 + s) / (1 - s) ) for s up to 0.2.
template <typename Real> LOGQ_INLINE double twice_artanh(double s) {
    const double z = s * s;
    return 2.0 * s + s * (z * series<Terms<Real>::LOGARITHM>(OF_LOGARITHM, z));
}

// log(1 + a) where `near` is 1 + a rounded: 0 (minus infinity) or a positive normal number. Relative error of some 1e-16.
template <typename Real> LOGQ_INLINE double logarithm(double near, double a) {
    // near = m 2^k with m between the roots of 1/2 and 2, and log m = 2 artanh((m - 1) / (m + 1)) by its series. For
    // k = 0 m - 1 is taken from `a`, which has all its digits; else what `near` lost does not show in the logarithm.
    const std::uint64_t bits = bits_of(near);
    const std::uint64_t k = (bits - 0x3FE6A09E667F3BCDu + (std::uint64_t{1024} << 52)) >> 52;  // k + 1024
    const double m = double_of(bits - (k << 52) + (std::uint64_t{1024} << 52));
    const double power = double_of(k | 0x4330000000000000u) - (0x1p52 + 1024.0);  // k as a double
    const double f = chosen(k == 1024, a, m - 1.0);
    const double log_m = twice_artanh<Real>(f / (2.0 + f));
    return chosen(near == 0.0, -static_cast<double>(INFINITY), power * LOG_2_HIGH + (power * LOG_2_LOW + log_m));
}

// log(1 - p) for 0 <= p <= 1.
template <typename Real> LOGQ_INLINE double log_of_rest(double p) {
    return logarithm<Real>(1.0 - p, -p);
}

// The same for p up to LITTLE, to the bit.
constexpr double LITTLE = 0.29;
template <typename Real> LOGQ_INLINE double log_of_most(double p) {
    return twice_artanh<Real>(-p / (2.0 - p));
}

// log( (y + 2) / (y + 1) ) for whole numbers y from 0.
template <typename Real> LOGQ_INLINE double log_of_ratio(double y) {
    return chosen(y == 0.0, 0x1.62e42fefa39efp-1, twice_artanh<Real>(1.0 / (2.0 * y + 3.0)));
}

// log(1 - exp(a)) for a <= 0: 1 - exp(a) is exact near 0 too, and exp(a) where it is near 1.
template <typename Real> LOGQ_INLINE double log_of_rest_of_exponential(double a) {
    const Power power = parts_of_exponential<Real>(chosen(a < -700.0, -700.0, a));
    const double rest = (1.0 - power.whole) - power.whole * power.part;
    return logarithm<Real>(rest, chosen(a < -700.0, 0.0, -power.whole * (1.0 + power.part)));
}

}  // namespace
