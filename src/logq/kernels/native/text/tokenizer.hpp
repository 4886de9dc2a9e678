// One block of a text: its words as ids, its lines, and what was wrong with them.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "word_table.hpp"

namespace logq {

constexpr std::int32_t kEndOfLine = -1;

struct BlockOptions {
    std::size_t longest_word;  // in bytes; longer ones are left out and counted
    bool frozen;               // no new words: those that the table does not have are left out and counted
    bool starts_inside;        // the block begins inside of a word that is left out
    bool ends_inside;          // and ends inside of one, which the next block goes on with
};

struct Block {
    std::vector<std::int32_t> ids;  // kEndOfLine where lines end, never twice in a row
    std::int64_t words = 0;         // all of them, also those left out
    std::int64_t long_words = 0;
    std::int64_t unknown_words = 0;
    std::int64_t invalid_lines = 0;  // lines that have bytes here that are not UTF-8
    bool has_newline = false;
    bool first_line_invalid = false;
    bool last_line_invalid = false;  // the one that goes on in the next block
};

// Splits a block at white space, counts its words in the table and numbers them. Unless the options say otherwise the
// block begins and ends between words, or where the text does. Takes blocks of less than 4 GiB.
Block encode_block(WordTable &table, const unsigned char *bytes, std::size_t size, const BlockOptions &options);

}  // namespace logq
