#include "character_ngrams.hpp"

#include <cstring>

namespace logq {

namespace {

constexpr std::uint32_t kFirst = 2166136261u, kPrime = 16777619u;  // of FNV-1a, 32 bits

// The end of a sentence, which fastText keeps as a word without n-grams.
constexpr char kEndOfSentence[] = "</s>";

bool continues(unsigned char byte) { return (byte & 0xC0) == 0x80; }

}  // namespace

void append_ngrams(const unsigned char *word, std::size_t size, const NgramSizes &sizes, std::vector<std::int32_t> &buckets) {
    if (sizes.buckets == 0 || (size == 4 && std::memcmp(word, kEndOfSentence, 4) == 0)) return;
    const std::size_t end = size + 2;
    const auto byte_at = [&](std::size_t i) -> unsigned char {
        return i == 0 ? '<' : i == end - 1 ? '>' : word[i - 1];
    };
    for (std::size_t i = 0; i < end; ++i) {
        if (continues(byte_at(i))) continue;
        std::uint32_t hash = kFirst;
        std::size_t j = i;
        for (int n = 1; j < end && n <= sizes.longest; ++n) {
            do {
                // fastText hashes signed characters: bytes from 128 on are extended by their sign.
                const unsigned char byte = byte_at(j++);
                hash = (hash ^ (byte < 128 ? byte : 0xFFFFFF00u | byte)) * kPrime;
            } while (j < end && continues(byte_at(j)));
            if (n < sizes.shortest || (n == 1 && (i == 0 || j == end))) continue;
            buckets.push_back(static_cast<std::int32_t>(hash % sizes.buckets));
        }
    }
}

}  // namespace logq
