// Sorted rows of n-grams, taken apart into the n-grams of each order.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "rows.hpp"

namespace logq {

// What is new of one order; the count of its last n-gram is known when the next one comes.
struct OrderPart {
    std::vector<std::int64_t> keys;
    std::vector<std::int64_t> counts;
};

// Takes increasing rows, block by block, and gives keys and counts of orders 2 .. N as logq.language_models.ngram has
// them: a key is the position of the first n - 1 words among their order, times (V + 1), plus the last word.
class Trie {
  public:
    // `highest` is V, the id of the word that lines begin with.
    Trie(int order, std::uint64_t highest);

    // Throws std::invalid_argument where rows do not increase, or hold a word above V.
    std::vector<OrderPart> add(const std::uint64_t *rows, std::size_t size, int columns);

    // The counts that were still open.
    std::vector<OrderPart> finish();

  private:
    void close(std::vector<OrderPart> &parts, int first);

    Packing packing_;
    std::int64_t num_words_;
    std::vector<std::uint64_t> words_;    // of the row before, each plus 1
    std::vector<std::int64_t> position_;  // of its first 1 .. N words
    std::vector<std::int64_t> counts_;
    std::vector<std::int64_t> sizes_;
    int length_ = 0;  // words of the row before
};

// For each number wanted, the position of the last of the sorted keys that is not above it, -1 where all are.
void last_not_above(const std::int64_t *keys, std::size_t size, const std::int64_t *wanted, std::size_t count,
                    std::int64_t *found);

}  // namespace logq
