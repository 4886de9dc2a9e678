// Vectors of floats as wide as the instructions that this file is compiled for: 16 lanes with AVX-512, 8 with AVX2 and
// FMA, 4 elsewhere. Everything is in an unnamed namespace, and nothing of the standard library is used: the same source is
// compiled several times with different instructions, and the linker must never take one version for another.

#pragma once

#include <math.h>

#include <cstdint>

#include "../prefetch.hpp"

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

// The name of a function of the level that this file is compiled for.
#define LOGQ_JOIN_NAMES(a, b) a##b
#define LOGQ_JOIN(a, b) LOGQ_JOIN_NAMES(a, b)
#define LOGQ_OF_LEVEL(function) LOGQ_JOIN(function##_, LOGQ_LEVEL)

#if defined(LOGQ_SANITIZED)  // with each access checked, loops written out would take a compiler an hour
#define LOGQ_INLINE inline
#define LOGQ_UNROLL
#elif defined(__GNUC__) || defined(__clang__)
#define LOGQ_INLINE inline __attribute__((always_inline))
#if defined(__clang__)
#define LOGQ_UNROLL _Pragma("clang loop unroll(full)")
#else
#define LOGQ_UNROLL _Pragma("GCC unroll 16")
#endif
#else
#define LOGQ_INLINE __forceinline
#define LOGQ_UNROLL
#endif

namespace {

LOGQ_INLINE std::uint32_t bits_of(float a) {
    union {
        float number;
        std::uint32_t bits;
    } both;
    both.number = a;
    return both.bits;
}
LOGQ_INLINE float float_of(std::uint32_t a) {
    union {
        std::uint32_t bits;
        float number;
    } both;
    both.bits = a;
    return both.number;
}

#if defined(__AVX512F__)

constexpr int LANES = 16;

struct Vec {
    __m512 value;
};
LOGQ_INLINE Vec load(const float *from) { return {_mm512_loadu_ps(from)}; }
LOGQ_INLINE void store(float *to, Vec a) { _mm512_storeu_ps(to, a.value); }
// The first `count` floats, the other lanes 0; nothing behind them is touched.
LOGQ_INLINE __mmask16 first_lanes(int count) { return static_cast<__mmask16>((1u << count) - 1u); }
LOGQ_INLINE Vec load_part(const float *from, int count) { return {_mm512_maskz_loadu_ps(first_lanes(count), from)}; }
LOGQ_INLINE void store_part(float *to, Vec a, int count) { _mm512_mask_storeu_ps(to, first_lanes(count), a.value); }
LOGQ_INLINE Vec all(float a) { return {_mm512_set1_ps(a)}; }
LOGQ_INLINE Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.value, b.value)}; }
LOGQ_INLINE Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.value, b.value)}; }
LOGQ_INLINE Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.value, b.value)}; }
LOGQ_INLINE Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.value, b.value)}; }
LOGQ_INLINE Vec multiply_add(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.value, b.value, c.value)}; }
LOGQ_INLINE Vec least(Vec a, Vec b) { return {_mm512_min_ps(a.value, b.value)}; }
LOGQ_INLINE Vec greatest(Vec a, Vec b) { return {_mm512_max_ps(a.value, b.value)}; }
// Where a > 0, b; else c.
LOGQ_INLINE Vec where_positive(Vec a, Vec b, Vec c) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.value, _mm512_setzero_ps(), _CMP_GT_OQ), c.value, b.value)};
}
LOGQ_INLINE Vec square_root(Vec a) { return {_mm512_sqrt_ps(a.value)}; }
// a * 2^n, where `shifted` is n + 1.5 * 2^23 as a float: its lowest bits are n.
LOGQ_INLINE Vec times_power_of_two(Vec a, Vec shifted) {
    const __m512i n = _mm512_slli_epi32(_mm512_castps_si512(shifted.value), 23);
    return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a.value), n))};
}

LOGQ_INLINE __m512 halves(__m512 a, __m512 b) {
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
}
LOGQ_INLINE __m512 quarters(__m512 a, __m512 b) {
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xDD));
}
// The sum of the lanes of each of 16 vectors: lane i of the result is the sum of a[i].
LOGQ_INLINE Vec sums_of_all(const Vec *a) {
    __m512 group[4];
    LOGQ_UNROLL
    for (int t = 0; t < 4; ++t) {  // 128 bits each of a[t], a[t + 4], a[t + 8], a[t + 12]
        group[t] = quarters(halves(a[t].value, a[t + 4].value), halves(a[t + 8].value, a[t + 12].value));
    }
    const __m512 even = _mm512_add_ps(_mm512_unpacklo_ps(group[0], group[1]), _mm512_unpackhi_ps(group[0], group[1]));
    const __m512 odd = _mm512_add_ps(_mm512_unpacklo_ps(group[2], group[3]), _mm512_unpackhi_ps(group[2], group[3]));
    const __m512d e = _mm512_castps_pd(even), o = _mm512_castps_pd(odd);
    return {_mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(e, o)), _mm512_castpd_ps(_mm512_unpackhi_pd(e, o)))};
}

#elif defined(__AVX2__) && defined(__FMA__)

constexpr int LANES = 8;

struct Vec {
    __m256 value;
};
LOGQ_INLINE Vec load(const float *from) { return {_mm256_loadu_ps(from)}; }
LOGQ_INLINE void store(float *to, Vec a) { _mm256_storeu_ps(to, a.value); }
LOGQ_INLINE __m256i first_lanes(int count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
LOGQ_INLINE Vec load_part(const float *from, int count) { return {_mm256_maskload_ps(from, first_lanes(count))}; }
LOGQ_INLINE void store_part(float *to, Vec a, int count) { _mm256_maskstore_ps(to, first_lanes(count), a.value); }
LOGQ_INLINE Vec all(float a) { return {_mm256_set1_ps(a)}; }
LOGQ_INLINE Vec operator+(Vec a, Vec b) { return {_mm256_add_ps(a.value, b.value)}; }
LOGQ_INLINE Vec operator-(Vec a, Vec b) { return {_mm256_sub_ps(a.value, b.value)}; }
LOGQ_INLINE Vec operator*(Vec a, Vec b) { return {_mm256_mul_ps(a.value, b.value)}; }
LOGQ_INLINE Vec operator/(Vec a, Vec b) { return {_mm256_div_ps(a.value, b.value)}; }
LOGQ_INLINE Vec multiply_add(Vec a, Vec b, Vec c) { return {_mm256_fmadd_ps(a.value, b.value, c.value)}; }
LOGQ_INLINE Vec least(Vec a, Vec b) { return {_mm256_min_ps(a.value, b.value)}; }
LOGQ_INLINE Vec greatest(Vec a, Vec b) { return {_mm256_max_ps(a.value, b.value)}; }
LOGQ_INLINE Vec where_positive(Vec a, Vec b, Vec c) {
    return {_mm256_blendv_ps(c.value, b.value, _mm256_cmp_ps(a.value, _mm256_setzero_ps(), _CMP_GT_OQ))};
}
LOGQ_INLINE Vec square_root(Vec a) { return {_mm256_sqrt_ps(a.value)}; }
LOGQ_INLINE Vec times_power_of_two(Vec a, Vec shifted) {
    const __m256i n = _mm256_slli_epi32(_mm256_castps_si256(shifted.value), 23);
    return {_mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a.value), n))};
}
LOGQ_INLINE Vec sums_of_all(const Vec *a) {
    const __m256 low = _mm256_hadd_ps(_mm256_hadd_ps(a[0].value, a[1].value), _mm256_hadd_ps(a[2].value, a[3].value));
    const __m256 high = _mm256_hadd_ps(_mm256_hadd_ps(a[4].value, a[5].value), _mm256_hadd_ps(a[6].value, a[7].value));
    return {_mm256_add_ps(_mm256_permute2f128_ps(low, high, 0x20), _mm256_permute2f128_ps(low, high, 0x31))};
}

#else

// Plain loops over four lanes, which compilers turn into SSE2, NEON or whatever there is.
constexpr int LANES = 4;

struct Vec {
    float lane[LANES];
};
template <typename Function> LOGQ_INLINE Vec each(Function function) {
    Vec result;
    LOGQ_UNROLL
    for (int i = 0; i < LANES; ++i) result.lane[i] = function(i);
    return result;
}
LOGQ_INLINE Vec load(const float *from) {
    return each([=](int i) { return from[i]; });
}
LOGQ_INLINE void store(float *to, Vec a) {
    LOGQ_UNROLL
    for (int i = 0; i < LANES; ++i) to[i] = a.lane[i];
}
LOGQ_INLINE Vec load_part(const float *from, int count) {
    return each([=](int i) { return i < count ? from[i] : 0.0f; });
}
LOGQ_INLINE void store_part(float *to, Vec a, int count) {
    for (int i = 0; i < count; ++i) to[i] = a.lane[i];
}
LOGQ_INLINE Vec all(float a) {
    return each([=](int) { return a; });
}
LOGQ_INLINE Vec operator+(Vec a, Vec b) {
    return each([=](int i) { return a.lane[i] + b.lane[i]; });
}
LOGQ_INLINE Vec operator-(Vec a, Vec b) {
    return each([=](int i) { return a.lane[i] - b.lane[i]; });
}
LOGQ_INLINE Vec operator*(Vec a, Vec b) {
    return each([=](int i) { return a.lane[i] * b.lane[i]; });
}
LOGQ_INLINE Vec operator/(Vec a, Vec b) {
    return each([=](int i) { return a.lane[i] / b.lane[i]; });
}
LOGQ_INLINE Vec multiply_add(Vec a, Vec b, Vec c) {
    return each([=](int i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
}
// As the instructions of x86 do: b where one of them is not a number.
LOGQ_INLINE Vec least(Vec a, Vec b) {
    return each([=](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
LOGQ_INLINE Vec greatest(Vec a, Vec b) {
    return each([=](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
LOGQ_INLINE Vec where_positive(Vec a, Vec b, Vec c) {
    return each([=](int i) { return a.lane[i] > 0.0f ? b.lane[i] : c.lane[i]; });
}
LOGQ_INLINE Vec square_root(Vec a) {
    return each([=](int i) { return sqrtf(a.lane[i]); });
}
LOGQ_INLINE Vec times_power_of_two(Vec a, Vec shifted) {
    return each([=](int i) { return float_of(bits_of(a.lane[i]) + (bits_of(shifted.lane[i]) << 23)); });
}
LOGQ_INLINE Vec sums_of_all(const Vec *a) {
    return each([=](int i) { return (a[i].lane[0] + a[i].lane[2]) + (a[i].lane[1] + a[i].lane[3]); });
}

#endif

LOGQ_INLINE float sum_of(Vec a) {
    float lanes[LANES], total = 0.0f;
    store(lanes, a);
    for (int i = 0; i < LANES; ++i) total += lanes[i];
    return total;
}
// The greatest lane; not a number if one is not.
LOGQ_INLINE float greatest_of(Vec a) {
    float lanes[LANES];
    store(lanes, a);
    float found = lanes[0];
    for (int i = 1; i < LANES; ++i) found = lanes[i] > found || lanes[i] != lanes[i] ? lanes[i] : found;
    return found;
}

// exp(a), relative error below 1.2e-7; a is held to [-87, 87], where neither the result nor 1 / (1 + result) leaves float32.
// What is not a number stays so.
LOGQ_INLINE Vec exponential(Vec a) {
    a = least(all(87.0f), greatest(all(-87.0f), a));
    const Vec to_integer = all(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    const Vec shifted = multiply_add(a, all(1.44269504f), to_integer);
    const Vec n = shifted - to_integer;
    // a - n log 2, in two steps because log 2 is not a float; exp of it by 1 + r + r^2 p(r), with the p of degree 4
    // whose largest error is the smallest, 3e-9 of exp(r).
    const Vec r = multiply_add(n, all(2.12194440e-4f), multiply_add(n, all(-0.693359375f), a));
    Vec sum = multiply_add(r, all(1.38145399e-3f), all(8.36874513e-3f));
    sum = multiply_add(r, sum, all(4.16683908e-2f));
    sum = multiply_add(r, sum, all(1.66665204e-1f));
    sum = multiply_add(r, sum, all(4.99999934e-1f));
    sum = multiply_add(r, sum, all(1.0f));
    sum = multiply_add(r, sum, all(1.0f));
    return times_power_of_two(sum, shifted);
}

// 2 artanh(r) for 0 <= r <= 1/3, relative error below 2e-7.
LOGQ_INLINE Vec twice_artanh(Vec r) {
    const Vec q = r * r;
    Vec series = multiply_add(q, all(1.0f / 13), all(1.0f / 11));
    series = multiply_add(q, series, all(1.0f / 9));
    series = multiply_add(q, series, all(1.0f / 7));
    series = multiply_add(q, series, all(1.0f / 5));
    series = multiply_add(q, series, all(1.0f / 3));
    series = multiply_add(q, series, all(1.0f));
    return all(2.0f) * r * series;
}

// log(1 + e) for 0 <= e <= 1
LOGQ_INLINE Vec log_one_plus(Vec e) { return twice_artanh(e / (all(2.0f) + e)); }

// log(1 + e) and 1 / (1 + e) for 0 <= e <= 1, with one division for both.
struct OnePlus {
    Vec log, inverse;
};
LOGQ_INLINE OnePlus one_plus(Vec e) {
    const Vec one = all(1.0f) + e, two = all(2.0f) + e, inverse = all(1.0f) / (one * two);
    return {twice_artanh(e * one * inverse), two * inverse};
}

}  // namespace
