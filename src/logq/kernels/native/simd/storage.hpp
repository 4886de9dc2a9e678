// Rows of a table as they are stored (float, double, or half precision) and as they are computed with (float or double).

#pragma once

#include "doubles.hpp"

namespace {

struct BFloat16 {
    std::uint16_t bits;
};
struct Float16 {
    std::uint16_t bits;
};

// What a table of `Storage` is computed in, as a number and as a vector.
template <typename Storage> struct Computed {
    using Real = float;
    using Vector = Vec;
    static constexpr int WIDTH = LANES;
};
template <> struct Computed<double> {
    using Real = double;
    using Vector = Doubles;
    static constexpr int WIDTH = DOUBLES;
};

LOGQ_INLINE float number(float a) { return a; }
LOGQ_INLINE double number(double a) { return a; }
LOGQ_INLINE float number(BFloat16 a) { return float_of(static_cast<std::uint32_t>(a.bits) << 16); }
LOGQ_INLINE float number(Float16 a) {
    const std::uint32_t sign = static_cast<std::uint32_t>(a.bits & 0x8000u) << 16, rest = a.bits & 0x7FFFu;
    if (rest >= 0x7C00u) return float_of(sign | 0x7F800000u | (rest & 0x3FFu) << 13);
    if (rest < 0x0400u) {  // zero or subnormal: a multiple of 2^-24
        const float small = static_cast<float>(rest) * 5.9604644775390625e-8f;
        return sign ? -small : small;
    }
    return float_of(sign | ((rest << 13) + 0x38000000u));
}

// Rounded to the nearest, ties to even.
LOGQ_INLINE void put(float *to, float a) { *to = a; }
LOGQ_INLINE void put(double *to, double a) { *to = a; }
LOGQ_INLINE void put(BFloat16 *to, float a) {
    const std::uint32_t bits = bits_of(a);
    const bool nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
    to->bits = static_cast<std::uint16_t>(nan ? bits >> 16 | 0x40u : (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}
LOGQ_INLINE void put(Float16 *to, float a) {
    const std::uint32_t bits = bits_of(a), sign = bits >> 16 & 0x8000u, rest = bits & 0x7FFFFFFFu;
    std::uint32_t half;
    if (rest > 0x7F800000u) {
        half = 0x7E00u;
    } else if (rest >= 0x477FF000u) {  // 65520 and more
        half = 0x7C00u;
    } else if (rest < 0x38800000u) {  // below 2^-14: adding 1/2 leaves multiples of 2^-24 in the last bits, rounded
        half = bits_of(float_of(rest) + 0.5f) - 0x3F000000u;
    } else {
        half = (rest - 0x38000000u + 0xFFFu + (rest >> 13 & 1u)) >> 13;
    }
    to->bits = static_cast<std::uint16_t>(sign | half);
}

LOGQ_INLINE Vec load_as(const float *from) { return load(from); }
LOGQ_INLINE Doubles load_as(const double *from) { return load(from); }
LOGQ_INLINE Vec load_as(const float *from, int count) { return load_part(from, count); }
LOGQ_INLINE Doubles load_as(const double *from, int count) { return load_part(from, count); }
LOGQ_INLINE void store_as(float *to, Vec a) { store(to, a); }
LOGQ_INLINE void store_as(double *to, Doubles a) { store(to, a); }
LOGQ_INLINE void store_as(float *to, Vec a, int count) { store_part(to, a, count); }
LOGQ_INLINE void store_as(double *to, Doubles a, int count) { store_part(to, a, count); }

template <typename Storage> LOGQ_INLINE Vec load_as(const Storage *from, int count) {
    float numbers[LANES] = {};
    for (int i = 0; i < count; ++i) numbers[i] = number(from[i]);
    return load(numbers);
}
template <typename Storage> LOGQ_INLINE void store_as(Storage *to, Vec a, int count) {
    float numbers[LANES];
    store(numbers, a);
    for (int i = 0; i < count; ++i) put(to + i, numbers[i]);
}
#if defined(__AVX512F__)
LOGQ_INLINE Vec load_as(const BFloat16 *from) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
LOGQ_INLINE Vec load_as(const Float16 *from) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)))};
}
#else
LOGQ_INLINE Vec load_as(const BFloat16 *from) { return load_as(from, LANES); }
LOGQ_INLINE Vec load_as(const Float16 *from) { return load_as(from, LANES); }
#endif
LOGQ_INLINE void store_as(BFloat16 *to, Vec a) { store_as(to, a, LANES); }
LOGQ_INLINE void store_as(Float16 *to, Vec a) { store_as(to, a, LANES); }

}  // namespace
