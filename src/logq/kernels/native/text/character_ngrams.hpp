// The n-grams of characters that a word consists of, as fastText numbers them.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace logq {

struct NgramSizes {
    int shortest, longest;  // in characters
    std::uint32_t buckets;
};

// Appends a bucket for each n-gram of <word>, in the order of fastText: by where they begin, then by their length. A
// character is a byte with those behind it that continue it in UTF-8, whether or not they are valid; '<' and '>' alone are no
// n-grams. An n-gram that is there twice counts twice.
void append_ngrams(const unsigned char *word, std::size_t size, const NgramSizes &sizes, std::vector<std::int32_t> &buckets);

}  // namespace logq
