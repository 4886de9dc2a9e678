#include "white_space.hpp"

#include <cstring>

#include "bits.hpp"

namespace logq {
namespace {

constexpr std::uint64_t kOnes = 0x0101010101010101u;
constexpr std::uint64_t kHigh = 0x8080808080808080u;

// The highest bit of each of eight bytes, in eight bits.
inline std::uint64_t gather(std::uint64_t high_bits) { return ((high_bits >> 7) * 0x0102040810204080u) >> 56; }

// The highest bit of each byte that is at least `limit` once its own highest bit is gone.
inline std::uint64_t at_least(std::uint64_t low_seven, std::uint64_t limit) { return low_seven + kOnes * (0x80 - limit); }

// The highest bit of each byte that is 0.
inline std::uint64_t is_zero(std::uint64_t x) { return ~(((x & ~kHigh) + ~kHigh) | x) & kHigh; }

// The length of the white space of several bytes that begins here, or 0.
inline std::size_t long_space(const unsigned char *bytes, std::size_t left) {
    if (left < 2) return 0;
    const unsigned char second = bytes[1];
    if (bytes[0] == 0xC2) return second == 0x85 || second == 0xA0 ? 2 : 0;
    if (left < 3) return 0;
    const unsigned char third = bytes[2];
    switch (bytes[0]) {
        case 0xE1: return second == 0x9A && third == 0x80 ? 3 : 0;
        case 0xE2:
            if (second == 0x81) return third == 0x9F ? 3 : 0;
            if (second != 0x80) return 0;
            return (third >= 0x80 && third <= 0x8A) || third == 0xA8 || third == 0xA9 || third == 0xAF ? 3 : 0;
        case 0xE3: return second == 0x80 && third == 0x80 ? 3 : 0;
        default: return 0;
    }
}

inline bool is_short_space(unsigned char byte) { return (byte >= 0x09 && byte <= 0x0D) || (byte >= 0x1C && byte <= 0x20); }

}  // namespace

Masks classify(const unsigned char *bytes, std::size_t at, std::size_t size, std::uint64_t &spill) {
    const std::size_t left = size - at;
    unsigned char padded[kGroup];
    const unsigned char *group = bytes + at;
    if (left < kGroup) {
        std::memset(padded, 'x', kGroup);
        std::memcpy(padded, group, left);
        group = padded;
    }
    Masks masks{spill, 0};
    spill = 0;
    std::uint64_t leads = 0;
    for (unsigned i = 0; i < kGroup; i += 8) {
        const std::uint64_t word = load_little_endian(group + i);
        const std::uint64_t low = word & ~kHigh;
        const std::uint64_t space = ((at_least(low, 0x09) & ~at_least(low, 0x0E)) | (at_least(low, 0x1C) & ~at_least(low, 0x21))) & ~word & kHigh;
        masks.space |= gather(space) << i;
        masks.newline |= gather(is_zero(word ^ (kOnes * 0x0A))) << i;
        if (word & kHigh) {
            const std::uint64_t found = is_zero(word ^ (kOnes * 0xC2)) | is_zero(word ^ (kOnes * 0xE1)) |
                                        is_zero(word ^ (kOnes * 0xE2)) | is_zero(word ^ (kOnes * 0xE3));
            leads |= gather(found) << i;
        }
    }
    for (; leads; leads &= leads - 1) {
        const unsigned place = lowest_bit(leads);
        const std::size_t length = long_space(bytes + at + place, left - place);
        const std::uint64_t run = (std::uint64_t{1} << length) - 1;
        masks.space |= run << place;
        if (place + length > kGroup) spill |= run >> (kGroup - place);
    }
    return masks;
}

std::size_t last_break(const unsigned char *bytes, std::size_t size) {
    for (std::size_t at = size; at-- > 0;) {
        if (is_short_space(bytes[at])) return at + 1;
        if (bytes[at] >= 0xC2) {
            const std::size_t length = long_space(bytes + at, size - at);
            if (length) return at + length;
        }
    }
    return 0;
}

}  // namespace logq
