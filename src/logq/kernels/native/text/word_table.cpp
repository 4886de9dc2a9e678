#include "word_table.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>

#include "bits.hpp"

namespace logq {
namespace {

constexpr std::size_t kShort = 16;
constexpr std::size_t kFirstSlots = std::size_t{1} << 12;

// The lowest `length` bytes, 0 to 8 of them.
inline std::uint64_t lowest_bytes(std::uint64_t word, std::size_t length) {
    return length >= 8 ? word : word & ((std::uint64_t{1} << (8 * length)) - 1);
}

inline void store_little_endian(std::uint64_t word, unsigned char *bytes) {
    for (int i = 0; i < 8; ++i) bytes[i] = static_cast<unsigned char>(word >> (8 * i));
}

}  // namespace

WordTable::WordTable() : mask_(kFirstSlots - 1), slots_(kFirstSlots, Slot{0, 0}) {
    std::random_device random;
    for (std::uint64_t &part : seed_) {
        part = (static_cast<std::uint64_t>(random()) << 32) ^ random();
        part |= 1;
    }
}

Key WordTable::key(const unsigned char *bytes, std::size_t length, std::size_t readable) const {
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

void WordTable::prefetch_slot(const Key &key) const { prefetch(&slots_[static_cast<std::uint32_t>(key.hash) & mask_]); }

void WordTable::prefetch_word(const Key &key) const {
    const Slot slot = slots_[static_cast<std::uint32_t>(key.hash) & mask_];
    if (slot.id_plus_one) prefetch(&words_[slot.id_plus_one - 1]);
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

std::int32_t WordTable::find(const Key &key) const {
    return static_cast<std::int32_t>(slots_[slot_of(key)].id_plus_one) - 1;
}

std::int32_t WordTable::add(const Key &key, std::int64_t count) {
    const std::size_t at = slot_of(key);
    if (slots_[at].id_plus_one) {
        const std::size_t id = slots_[at].id_plus_one - 1;
        words_[id].count += count;
        return static_cast<std::int32_t>(id);
    }
    const std::size_t id = words_.size();
    if (id >= static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
        throw std::length_error("more different words than 2**31 - 1");
    }
    Word word{key.first, key.second, count, key.length};
    if (key.length > kShort) {
        word.first = arena_.size();
        word.second = key.hash;
        arena_.insert(arena_.end(), key.bytes, key.bytes + key.length);
    }
    words_.push_back(word);
    slots_[at] = Slot{static_cast<std::uint32_t>(key.hash), static_cast<std::uint32_t>(id + 1)};
    if (2 * words_.size() > slots_.size()) grow();
    return static_cast<std::int32_t>(id);
}

std::string_view WordTable::bytes_of(std::size_t id, unsigned char (&short_word)[16]) const {
    const Word &word = words_[id];
    if (word.length > kShort) return {reinterpret_cast<const char *>(arena_.data() + word.first), word.length};
    store_little_endian(word.first, short_word);
    store_little_endian(word.second, short_word + 8);
    return {reinterpret_cast<const char *>(short_word), word.length};
}

void WordTable::grow() {
    std::vector<Slot> larger(2 * slots_.size(), Slot{0, 0});
    const std::size_t mask = larger.size() - 1;
    for (const Slot slot : slots_) {
        if (!slot.id_plus_one) continue;
        std::size_t at = slot.hash & mask;
        while (larger[at].id_plus_one) at = (at + 1) & mask;
        larger[at] = slot;
    }
    slots_.swap(larger);
    mask_ = mask;
}

}  // namespace logq
