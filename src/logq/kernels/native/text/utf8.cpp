#include "utf8.hpp"

#include <cstdint>

#include "bits.hpp"

namespace logq {
namespace {

inline bool continues(unsigned char byte) { return (byte & 0xC0) == 0x80; }

// The bytes of the character that begins here, or 0 where none does.
inline std::size_t character(const unsigned char *bytes, std::size_t left) {
    const unsigned char lead = bytes[0];
    if (lead < 0x80) return 1;
    if (lead < 0xC2 || lead > 0xF4 || left < 2) return 0;
    const unsigned char second = bytes[1];
    if (lead < 0xE0) return continues(second) ? 2 : 0;
    if (lead < 0xF0) {
        const unsigned char lowest = lead == 0xE0 ? 0xA0 : 0x80, highest = lead == 0xED ? 0x9F : 0xBF;
        return left >= 3 && second >= lowest && second <= highest && continues(bytes[2]) ? 3 : 0;
    }
    const unsigned char lowest = lead == 0xF0 ? 0x90 : 0x80, highest = lead == 0xF4 ? 0x8F : 0xBF;
    return left >= 4 && second >= lowest && second <= highest && continues(bytes[2]) && continues(bytes[3]) ? 4 : 0;
}

}  // namespace

bool is_utf8(const unsigned char *bytes, std::size_t size) {
    for (std::size_t at = 0; at < size;) {
        if (size - at >= 8 && !(load_little_endian(bytes + at) & 0x8080808080808080u)) {
            at += 8;
            continue;
        }
        const std::size_t length = character(bytes + at, size - at);
        if (!length) return false;
        at += length;
    }
    return true;
}

std::string with_replacements(const unsigned char *bytes, std::size_t size) {
    std::string text;
    for (std::size_t at = 0; at < size;) {
        const std::size_t length = character(bytes + at, size - at);
        if (length) {
            text.append(reinterpret_cast<const char *>(bytes + at), length);
            at += length;
        } else {
            text.append("\xEF\xBF\xBD");
            ++at;
        }
    }
    return text;
}

}  // namespace logq
