// The block is read in sections that stay in the first-level cache. Of each, first all places are found where words
// begin, where they end and where lines end, without a branch that depends on the text; then the words are looked up in
// batches, so that the memory of many of them is on its way at the same time.

#include "tokenizer.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

#include "bits.hpp"
#include "utf8.hpp"
#include "white_space.hpp"

namespace logq {
namespace {

constexpr std::size_t kSection = 4096;
constexpr std::size_t kBatch = 128;

struct Places {
    std::uint32_t begins[kSection + 2];
    std::uint32_t ends[kSection + 2];
    std::uint32_t newlines[kSection + 1];
    std::size_t num_begins = 0;
    std::size_t num_ends = 0;
    std::size_t num_newlines = 0;
};

inline std::size_t write_places(std::uint64_t mask, std::size_t at, std::uint32_t *places) {
    std::size_t found = 0;
    for (; mask; mask &= mask - 1) places[found++] = static_cast<std::uint32_t>(at + lowest_bit(mask));
    return found;
}

class Tokenizer {
  public:
    Tokenizer(WordTable &table, const unsigned char *bytes, std::size_t size, const BlockOptions &options)
        : table_(table), bytes_(bytes), size_(size), options_(options) {}

    Block run() {
        block_.ids.reserve(size_ / 5 + 16);
        std::uint64_t spill = 0;
        std::uint64_t before = 1;  // whether the byte before is white space
        for (std::size_t section = 0; section < size_; section += kSection) {
            const std::size_t stop = std::min(size_, section + kSection);
            for (std::size_t at = section; at < stop; at += kGroup) {
                const Masks masks = classify(bytes_, at, size_, spill);
                const std::uint64_t shifted = (masks.space << 1) | before;
                before = masks.space >> 63;
                const std::size_t left = size_ - at;
                const std::uint64_t exists = left >= kGroup ? ~std::uint64_t{0} : (std::uint64_t{1} << left) - 1;
                places_.num_begins += write_places(~masks.space & shifted & exists, at, places_.begins + places_.num_begins);
                places_.num_ends += write_places(masks.space & ~shifted & exists, at, places_.ends + places_.num_ends);
                places_.num_newlines += write_places(masks.newline & exists, at, places_.newlines + places_.num_newlines);
            }
            if (stop == size_ && places_.num_begins > places_.num_ends) {
                places_.ends[places_.num_ends++] = static_cast<std::uint32_t>(size_);
            }
            read_section();
        }
        block_.last_line_invalid = line_invalid_;
        if (!block_.has_newline) block_.first_line_invalid = line_invalid_;
        return std::move(block_);
    }

  private:
    void read_section() {
        std::size_t newline = 0;
        const std::size_t words = places_.num_ends;
        Key keys[kBatch];
        for (std::size_t first = 0; first < words; first += kBatch) {
            const std::size_t count = std::min(kBatch, words - first);
            for (std::size_t i = 0; i < count; ++i) {
                const std::size_t begin = places_.begins[first + i];
                keys[i] = table_.key(bytes_ + begin, places_.ends[first + i] - begin, size_ - begin);
                table_.prefetch_slot(keys[i]);
            }
            for (std::size_t i = 0; i < count; ++i) table_.prefetch_word(keys[i]);
            for (std::size_t i = 0; i < count; ++i) {
                const std::size_t begin = places_.begins[first + i];
                while (newline < places_.num_newlines && places_.newlines[newline] < begin) end_line(), ++newline;
                read_word(keys[i]);
            }
        }
        // A word that goes on in the next section holds no newline, so all that are left stand before it.
        for (; newline < places_.num_newlines; ++newline) end_line();
        if (places_.num_begins > places_.num_ends) places_.begins[0] = places_.begins[places_.num_begins - 1];
        places_.num_begins -= places_.num_ends;
        places_.num_ends = places_.num_newlines = 0;
    }

    void end_line() {
        if (!block_.has_newline) block_.first_line_invalid = line_invalid_;
        block_.has_newline = true;
        line_invalid_ = false;
        if (block_.ids.empty() || block_.ids.back() != kEndOfLine) block_.ids.push_back(kEndOfLine);
    }

    void mark_invalid() {
        block_.invalid_lines += !line_invalid_;
        line_invalid_ = true;
    }

    void read_word(const Key &key) {
        const bool continued = options_.starts_inside && key.bytes == bytes_;
        const bool unfinished = options_.ends_inside && key.bytes + key.length == bytes_ + size_;
        if (continued || unfinished || key.length > options_.longest_word) {
            // A word of several blocks counts where it begins.
            block_.words += !continued;
            block_.long_words += !continued;
            if (!is_utf8(key.bytes, key.length)) mark_invalid();
        } else if (!has_high_bytes(key) || is_utf8(key.bytes, key.length)) {
            keep(key);
        } else {
            mark_invalid();
            const std::string cleaned = with_replacements(key.bytes, key.length);
            const auto *start = reinterpret_cast<const unsigned char *>(cleaned.data());
            keep(table_.key(start, cleaned.size(), cleaned.size()));
        }
    }

    static bool has_high_bytes(const Key &key) {
        constexpr std::uint64_t high = 0x8080808080808080u;
        if (key.length <= 16) return ((key.first | key.second) & high) != 0;
        return true;  // so rare that to look twice is cheaper than to look cleverly
    }

    void keep(const Key &key) {
        ++block_.words;
        if (!options_.frozen) {
            block_.ids.push_back(table_.add(key, 1));
            return;
        }
        const std::int32_t id = table_.find(key);
        if (id == WordTable::kNone) {
            ++block_.unknown_words;
        } else {
            table_.count(id);
            block_.ids.push_back(id);
        }
    }

    WordTable &table_;
    const unsigned char *bytes_;
    std::size_t size_;
    const BlockOptions &options_;
    Places places_;
    Block block_;
    bool line_invalid_ = false;
};

}  // namespace

Block encode_block(WordTable &table, const unsigned char *bytes, std::size_t size, const BlockOptions &options) {
    if (size >= std::numeric_limits<std::uint32_t>::max()) throw std::length_error("a block has less than 4 GiB");
    return Tokenizer(table, bytes, size, options).run();
}

}  // namespace logq
