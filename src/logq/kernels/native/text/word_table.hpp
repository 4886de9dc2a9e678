// Words and their counts: a hash table of byte strings whose ids run in the order in which the words came.
//
// Open addressing with linear probing. A slot has 32 bits of the hash and an id; the words themselves lie densely, 32
// bytes each with their count, and those of more than 16 bytes have their bytes in an arena. The hash is seeded again for
// each table, so that no text can be made on purpose whose words all meet in one slot. Ids do not depend on the seed.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "../prefetch.hpp"
#include "bits.hpp"

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
    static constexpr std::size_t kShort = 16;  // bytes of a word that lie beside its count

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
    std::int32_t append(const Key &key, std::int64_t count, std::size_t slot);
    void grow();

    std::uint64_t seed_[3];
    std::size_t mask_;
    std::vector<Slot> slots_;
    std::vector<Word> words_;
    std::vector<unsigned char> arena_;
};

// Below stands what runs once a word, so that it becomes part of the loops that call it.

inline Key WordTable::key(const unsigned char *bytes, std::size_t length, std::size_t readable) const {
    Key key{0, 0, 0, bytes, static_cast<std::uint32_t>(length)};
    if (length <= kShort) {
        if (readable >= kShort) {
            key.first = lowest_bytes(load_little_endian(bytes), length);
            key.second = length > 8 ? lowest_bytes(load_little_endian(bytes + 8), length - 8) : 0;
        } else {
            unsigned char padded[kShort] = {};
            std::memcpy(padded, bytes, length);
            key.first = load_little_endian(padded);
            key.second = load_little_endian(padded + 8);
        }
        key.hash = fold_product(key.first ^ seed_[0], key.second ^ seed_[1] ^ (length << 56));
        key.hash = fold_product(key.hash ^ seed_[2], 0x9E3779B97F4A7C15u);
        return key;
    }
    std::uint64_t hash = seed_[2] ^ length;
    for (std::size_t at = 0; at + kShort < length; at += kShort) {
        hash = fold_product(load_little_endian(bytes + at) ^ seed_[0], load_little_endian(bytes + at + 8) ^ seed_[1] ^ hash);
    }
    const unsigned char *last = bytes + length - kShort;
    hash = fold_product(load_little_endian(last) ^ seed_[0], load_little_endian(last + 8) ^ seed_[1] ^ hash);
    key.hash = fold_product(hash ^ seed_[2], 0x9E3779B97F4A7C15u);
    return key;
}

inline void WordTable::prefetch_slot(const Key &key) const {
    LOGQ_PREFETCH_READ(&slots_[static_cast<std::uint32_t>(key.hash) & mask_]);
}

inline void WordTable::prefetch_word(const Key &key) const {
    const Slot slot = slots_[static_cast<std::uint32_t>(key.hash) & mask_];
    if (slot.id_plus_one) LOGQ_PREFETCH(&words_[slot.id_plus_one - 1]);
}

inline bool WordTable::is(const Word &word, const Key &key) const {
    if (word.length != key.length) return false;
    if (key.length <= kShort) return word.first == key.first && word.second == key.second;
    return word.second == key.hash && std::memcmp(arena_.data() + word.first, key.bytes, key.length) == 0;
}

inline std::size_t WordTable::slot_of(const Key &key) const {
    const std::uint32_t hash = static_cast<std::uint32_t>(key.hash);
    for (std::size_t at = hash & mask_;; at = (at + 1) & mask_) {
        const Slot slot = slots_[at];
        if (!slot.id_plus_one || (slot.hash == hash && is(words_[slot.id_plus_one - 1], key))) return at;
    }
}

inline std::int32_t WordTable::find(const Key &key) const {
    return static_cast<std::int32_t>(slots_[slot_of(key)].id_plus_one) - 1;
}

inline std::int32_t WordTable::add(const Key &key, std::int64_t count) {
    const std::size_t slot = slot_of(key);
    if (!slots_[slot].id_plus_one) return append(key, count, slot);
    const std::size_t id = slots_[slot].id_plus_one - 1;
    words_[id].count += count;
    return static_cast<std::int32_t>(id);
}

}  // namespace logq
