#include "word_table.hpp"

#include <algorithm>
#include <limits>
#include <random>
#include <stdexcept>

namespace logq {
namespace {

constexpr std::size_t kFirstSlots = std::size_t{1} << 12;

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

std::int32_t WordTable::append(const Key &key, std::int64_t count, std::size_t slot) {
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
    slots_[slot] = Slot{static_cast<std::uint32_t>(key.hash), static_cast<std::uint32_t>(id + 1)};
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
