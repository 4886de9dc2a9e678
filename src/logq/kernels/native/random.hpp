// Random numbers as a function of where they are used, so that neither the number of threads nor an interruption changes
// them: no state has to be carried or saved.

#pragma once

#include <cstdint>

namespace {

// The finalizer of splitmix64 (Steele, Lea, Flood, OOPSLA 2014): each bit of the result depends on each bit of `a`.
inline std::uint64_t mix(std::uint64_t a) {
    a = (a ^ (a >> 30)) * 0xBF58476D1CE4E5B9u;
    a = (a ^ (a >> 27)) * 0x94D049BB133111EBu;
    return a ^ (a >> 31);
}

// 64 random bits for one position of a stream.
inline std::uint64_t hash_of(std::uint64_t seed, std::uint64_t position) {
    return mix(seed + (position + 1) * 0x9E3779B97F4A7C15u);
}

struct Product {
    std::uint64_t high;
    std::uint64_t low;
};

inline Product multiply(std::uint64_t a, std::uint64_t b) {
#if defined(__SIZEOF_INT128__)
    __extension__ typedef unsigned __int128 Wide;
    const Wide product = static_cast<Wide>(a) * b;
    return {static_cast<std::uint64_t>(product >> 64), static_cast<std::uint64_t>(product)};
#else
    const std::uint64_t a0 = a & 0xFFFFFFFFu, a1 = a >> 32, b0 = b & 0xFFFFFFFFu, b1 = b >> 32;
    const std::uint64_t middle = a1 * b0 + ((a0 * b0) >> 32);
    const std::uint64_t other = a0 * b1 + (middle & 0xFFFFFFFFu);
    return {a1 * b1 + (middle >> 32) + (other >> 32), a * b};
#endif
}

// A stream of 64 random bits a call, with one multiplication (Wang Yi's wyrand, which passes BigCrush).
inline std::uint64_t next_random(std::uint64_t &state) {
    state += 0xA0761D6478BD642Fu;
    const Product product = multiply(state, state ^ 0xE7037ED1A0B428DBu);
    return product.high ^ product.low;
}

}  // namespace
