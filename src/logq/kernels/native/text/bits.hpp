// The few operations on bits and bytes that C++17 has no names for, on every compiler.

#pragma once

#include <cstdint>
#include <cstring>

#if defined(_MSC_VER)
#include <intrin.h>
#endif

namespace logq {

// Eight bytes, the first of them lowest.
inline std::uint64_t load_little_endian(const unsigned char *bytes) {
    std::uint64_t word;
    std::memcpy(&word, bytes, sizeof word);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

// The lowest `length` bytes, 0 to 8 of them.
inline std::uint64_t lowest_bytes(std::uint64_t word, std::size_t length) {
    return length >= 8 ? word : word & ((std::uint64_t{1} << (8 * length)) - 1);
}

// The place of the lowest bit that is set; there must be one.
inline unsigned lowest_bit(std::uint64_t mask) {
#if defined(_MSC_VER) && !defined(__clang__)
#if defined(_WIN64)
    unsigned long place;
    _BitScanForward64(&place, mask);
    return static_cast<unsigned>(place);
#else
    unsigned place = 0;
    while (!(mask >> place & 1)) ++place;
    return place;
#endif
#else
    return static_cast<unsigned>(__builtin_ctzll(mask));
#endif
}

// Both halves of the product of two 64-bit numbers, joined by exclusive or.
inline std::uint64_t fold_product(std::uint64_t a, std::uint64_t b) {
#if defined(__SIZEOF_INT128__)
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
#elif defined(_MSC_VER) && defined(_M_X64)
    std::uint64_t high;
    const std::uint64_t low = _umul128(a, b, &high);
    return low ^ high;
#else
    const std::uint64_t a_low = a & 0xFFFFFFFFu, a_high = a >> 32, b_low = b & 0xFFFFFFFFu, b_high = b >> 32;
    const std::uint64_t low = a_low * b_low, cross = a_high * b_low, other = a_low * b_high;
    const std::uint64_t middle = (low >> 32) + (cross & 0xFFFFFFFFu) + other;
    return (a * b) ^ (a_high * b_high + (cross >> 32) + (middle >> 32));
#endif
}

}  // namespace logq
