// Words and their counts: a hash table of byte strings whose ids run in the order in which the words came.
//
// Open addressing with linear probing. A slot has 32 bits of the hash and an id; the words themselves lie densely, 32
// bytes each with their count, and those of more than 16 bytes have their bytes in an arena. The hash is seeded again for
// each table, so that no text can be made on purpose whose words all meet in one slot. Ids do not depend on the seed.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace logq {

// A word made ready to be looked up. Up to 16 bytes are in `first` and `second`, padded with zeros.
struct Key {
    std::uint64_t first;
    std::uint64_t second;
    std::uint64_t hash;
    const unsigned char *bytes;
    std::uint32_t length;
};

class WordTable {
  public:
    static constexpr std::int32_t kNone = -1;

    WordTable();

    // `readable` says how many bytes from `bytes` on may be read, beyond the word or not.
    Key key(const unsigned char *bytes, std::size_t length, std::size_t readable) const;

    // Two steps of fetching memory before it is needed; of no other effect.
    void prefetch_slot(const Key &key) const;
    void prefetch_word(const Key &key) const;

    // The id of a word, or kNone.
    std::int32_t find(const Key &key) const;

    // The id of a word, which gets the next one if it is new, and `count` added to its count.
    // Throws std::length_error when there are more words than an int32 can number.
    std::int32_t add(const Key &key, std::int64_t count);

    void count(std::int32_t id) { ++words_[static_cast<std::size_t>(id)].count; }

    std::size_t size() const { return words_.size(); }
    std::int64_t count_of(std::size_t id) const { return words_[id].count; }

    // The bytes of a word. Those of a short one are written into `short_word`, which must outlive the view.
    std::string_view bytes_of(std::size_t id, unsigned char (&short_word)[16]) const;

  private:
    struct Slot {
        std::uint32_t hash;
        std::uint32_t id_plus_one;  // 0: empty
    };
    struct Word {
        std::uint64_t first;   // of more than 16 bytes: where it lies in the arena
        std::uint64_t second;  // of more than 16 bytes: its hash
        std::int64_t count;
        std::uint32_t length;
    };

    bool is(const Word &word, const Key &key) const;
    std::size_t slot_of(const Key &key) const;  // the one that has the word, or the empty one where it belongs
    void grow();

    std::uint64_t seed_[3];
    std::size_t mask_;
    std::vector<Slot> slots_;
    std::vector<Word> words_;
    std::vector<unsigned char> arena_;
};

}  // namespace logq
