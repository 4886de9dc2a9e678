// White space in UTF-8 text: what Python's str.split() takes for it, found 64 bytes at a time.
//
//     one byte     09 to 0D, 1C to 20
//     two          C2 85, C2 A0
//     three        E1 9A 80, E2 80 80 to 8A, E2 80 A8, E2 80 A9, E2 80 AF, E2 81 9F, E3 80 80
//
// Each of the longer ones begins with a byte that begins a character wherever it stands, so they are what they look
// like even between bytes that are not UTF-8.

#pragma once

#include <cstddef>
#include <cstdint>

namespace logq {

// Bit i of a mask speaks of byte i of a group.
struct Masks {
    std::uint64_t space;    // bytes of white space of any length
    std::uint64_t newline;  // 0A
};

constexpr std::size_t kGroup = 64;

// Classifies the group of 64 bytes that begins at `bytes[at]`, of which `bytes[size]` is the first that does not exist.
// A group that reaches past the end has bits only for what exists. `spill` has the bits of the next group that belong to
// a white space begun in this one; it is 0 before the first group, and handed from call to call.
Masks classify(const unsigned char *bytes, std::size_t at, std::size_t size, std::uint64_t &spill);

// How many of the bytes stand before the end of their last white space: where they can be cut between words. 0 if there
// is none.
std::size_t last_break(const unsigned char *bytes, std::size_t size);

}  // namespace logq
