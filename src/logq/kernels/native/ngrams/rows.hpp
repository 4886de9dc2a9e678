// N-grams as rows of 64-bit numbers: N words, packed so that rows sort like the words, and a count.

#pragma once

#include <cstddef>
#include <cstdint>

namespace logq {

// Most numbers in a row, its count included.
constexpr int MOST_COLUMNS = 9;

// How words are packed: each as its id plus 1, in as many bits as the highest takes, the first word in the highest
// bits; 0 stands for no word, after the end of a line. No word is divided between two numbers.
struct Packing {
    int order;    // N
    int bits;     // of a word
    int each;     // words in a number
    int columns;  // of a row

    Packing(int order, std::uint64_t highest);

    int column(int word) const { return word / each; }
    int shift(int word) const { return 64 - bits * (word % each + 1); }
    std::uint64_t word(const std::uint64_t *row, int number) const {
        return row[column(number)] >> shift(number) & ((std::uint64_t{1} << bits) - 1);
    }
};

// A text: ids of words, of which n-grams begin at the first `starts`; `end` closes a line, `begin` stands before it.
struct Text {
    const std::int32_t *ids;
    std::size_t size;
    std::size_t starts;
    std::int32_t end;
    std::int32_t begin;
    bool at_line_start;
};

// Write a row with count 1 for each place where an n-gram of two words or more begins, cut at the end of its line, and
// for the beginning of each line. At most two for each place. Returns how many.
std::size_t make_rows(const Text &text, const Packing &packing, std::uint64_t *rows);

// Sort rows in place, replace equal ones by one with the sum of their counts, and return how many are left.
std::size_t sort_rows(std::uint64_t *rows, std::size_t size, int columns);

}  // namespace logq
