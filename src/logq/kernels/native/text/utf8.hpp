// UTF-8 as the Unicode standard has it (table 3-7): no surrogates, no long forms, nothing above 10FFFF.

#pragma once

#include <cstddef>
#include <string>

namespace logq {

bool is_utf8(const unsigned char *bytes, std::size_t size);

// The same text with U+FFFD instead of each byte that is not part of a character.
std::string with_replacements(const unsigned char *bytes, std::size_t size);

}  // namespace logq
