#include "trie.hpp"

#include <algorithm>
#include <stdexcept>

namespace logq {

Trie::Trie(int order, std::uint64_t highest)
    : packing_(order, highest),
      num_words_(static_cast<std::int64_t>(highest) + 1),
      words_(static_cast<std::size_t>(order), 0),
      position_(static_cast<std::size_t>(order), 0),
      counts_(static_cast<std::size_t>(order), 0),
      sizes_(static_cast<std::size_t>(order), 0) {}

std::vector<OrderPart> Trie::add(const std::uint64_t *rows, std::size_t size, int columns) {
    if (columns != packing_.columns) {
        throw std::invalid_argument("rows: expected as many columns as n-grams of this order take");
    }
    const int order = packing_.order;
    std::vector<OrderPart> parts(static_cast<std::size_t>(order));
    std::vector<std::uint64_t> words(static_cast<std::size_t>(order));
    for (std::size_t i = 0; i < size; ++i, rows += columns) {
        int length = 0;
        while (length < order && (words[length] = packing_.word(rows, length)) != 0) ++length;
        std::fill(words.begin() + length, words.end(), 0);
        int same = 0;
        while (same < order && words[same] == words_[same]) ++same;
        if (length < 2 || same == order || words[same] < words_[same]) {
            throw std::invalid_argument("rows: expected n-grams in increasing order");
        }
        for (int n = same; n < length; ++n) {
            if (words[n] > static_cast<std::uint64_t>(num_words_)) {
                throw std::invalid_argument("rows: expected words of the vocabulary");
            }
        }
        close(parts, same);
        if (same == 0) position_[0] = static_cast<std::int64_t>(words[0]) - 1;
        for (int n = std::max(same, 1); n < length; ++n) {
            parts[n].keys.push_back(position_[n - 1] * num_words_ + static_cast<std::int64_t>(words[n]) - 1);
            position_[n] = sizes_[n]++;
            counts_[n] = 0;
        }
        const auto count = static_cast<std::int64_t>(rows[columns - 1]);
        for (int n = 1; n < length; ++n) counts_[n] += count;
        words_.swap(words);
        length_ = length;
    }
    return parts;
}

std::vector<OrderPart> Trie::finish() {
    std::vector<OrderPart> parts(words_.size());
    close(parts, 0);
    length_ = 0;
    return parts;
}

void Trie::close(std::vector<OrderPart> &parts, int first) {
    for (int n = std::max(first, 1); n < length_; ++n) parts[n].counts.push_back(counts_[n]);
}

void last_not_above(const std::int64_t *keys, std::size_t size, const std::int64_t *wanted, std::size_t count,
                    std::int64_t *found) {
    for (std::size_t i = 0; i < count; ++i) {
        // The answer is below `base + length`, and what is before `base` is not above what is wanted; without branches.
        const std::int64_t *base = keys;
        for (std::size_t length = size; length > 0;) {
            const std::size_t half = (length + 1) / 2;
            base += base[half - 1] <= wanted[i] ? half : 0;
            length -= half;
        }
        found[i] = base - keys - 1;
    }
}

}  // namespace logq
