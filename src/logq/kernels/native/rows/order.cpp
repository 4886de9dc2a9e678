// A radix sort from the last digit: each pass counts the digits of its chunk of entries, one chunk a thread, turns the
// counts into places and moves the entries there. Digits are as wide as keeps the counts in the first cache, and as many as
// the number of classes has: one pass below 4,096 classes, two up to 16 million. The entries of a batch, 8 bytes each, fit
// into the second cache, which makes a pass about a nanosecond an entry.

#include "order.hpp"

#include <limits>
#include <memory>
#include <stdexcept>
#include <string>

#include "../parallel.hpp"

namespace logq::rows {
namespace {

constexpr int WIDEST_DIGIT = 12;
constexpr std::size_t CHUNK = 8192;  // entries that are worth waking a thread for
constexpr std::uint64_t LIMIT = std::uint64_t{1} << 32;

int bits_of_number(std::uint64_t number) {
    int bits = 0;
    for (; number > 0; number >>= 1) ++bits;
    return bits;
}

// Chunk `i` of `size` things cut into `pieces`.
struct Range {
    std::size_t begin, end;
    Range(std::size_t size, std::size_t pieces, std::size_t i) : begin(size * i / pieces), end(size * (i + 1) / pieces) {}
};

// The lists, read as one list of entries, without those that are not classes.
struct FromLists {
    const std::vector<Ids> &lists;

    template <typename Function> void each(const Range &range, const Function &function) const {
        std::size_t first = 0;
        for (const Ids &list : lists) {
            const std::size_t begin = range.begin > first ? range.begin : first;
            const std::size_t end = range.end < first + list.size ? range.end : first + list.size;
            for (std::size_t i = begin; i < end; ++i) {
                const std::int64_t id = list.ids[i - first];
                if (id >= 0) function(Entry{static_cast<std::uint32_t>(id), static_cast<std::uint32_t>(i)});
            }
            first += list.size;
        }
    }
};

struct FromEntries {
    const Entry *entries;

    template <typename Function> void each(const Range &range, const Function &function) const {
        for (std::size_t i = range.begin; i < range.end; ++i) function(entries[i]);
    }
};

struct Digit {
    int shift;
    std::uint32_t mask;
    std::uint32_t of(std::uint32_t id) const { return id >> shift & mask; }
};

// Sorts `size` entries by one digit, keeping the order of equals; returns how many were no gaps.
template <typename From>
std::size_t pass(const From &from, std::size_t size, Digit digit, std::size_t chunks, int threads, std::uint32_t *counts,
                 Entry *to) {
    const std::size_t values = std::size_t{digit.mask} + 1;
    parallel(threads, static_cast<std::int64_t>(chunks), [&](std::int64_t chunk) {
        std::uint32_t *const mine = counts + static_cast<std::size_t>(chunk) * values;
        for (std::size_t value = 0; value < values; ++value) mine[value] = 0;
        from.each(Range(size, chunks, static_cast<std::size_t>(chunk)), [=](Entry entry) { ++mine[digit.of(entry.id)]; });
    });
    std::uint32_t place = 0;
    for (std::size_t value = 0; value < values; ++value) {
        for (std::size_t chunk = 0; chunk < chunks; ++chunk) {
            const std::uint32_t count = counts[chunk * values + value];
            counts[chunk * values + value] = place;
            place += count;
        }
    }
    parallel(threads, static_cast<std::int64_t>(chunks), [&](std::int64_t chunk) {
        std::uint32_t *const mine = counts + static_cast<std::size_t>(chunk) * values;
        from.each(Range(size, chunks, static_cast<std::size_t>(chunk)),
                  [=](Entry entry) { to[mine[digit.of(entry.id)]++] = entry; });
    });
    return place;
}

}  // namespace

void check_ids(const std::vector<Ids> &lists, std::int64_t num_classes) {
    std::size_t first = 0;
    for (const Ids &list : lists) {
        std::int64_t largest = -1;
        for (std::size_t i = 0; i < list.size; ++i) largest = list.ids[i] > largest ? list.ids[i] : largest;
        if (largest >= num_classes) {
            std::size_t i = 0;
            while (list.ids[i] < num_classes) ++i;
            throw std::invalid_argument("ids: expected class ids below " + std::to_string(num_classes) + ", got " +
                                        std::to_string(list.ids[i]) + " at entry " + std::to_string(first + i));
        }
        first += list.size;
    }
}

Order::Order(const std::vector<Ids> &lists, std::int64_t num_classes, int threads) {
    std::size_t size = 0;
    for (const Ids &list : lists) size += list.size;
    if (size >= LIMIT) throw std::invalid_argument("ids: expected fewer than 2**32 entries, got " + std::to_string(size));
    if (num_classes < 0 || static_cast<std::uint64_t>(num_classes) > LIMIT) {
        throw std::invalid_argument("num_classes: expected 0 to 2**32, got " + std::to_string(num_classes));
    }
    check_ids(lists, num_classes);

    const int bits = bits_of_number(num_classes > 1 ? static_cast<std::uint64_t>(num_classes) - 1 : 1);
    const int passes = (bits + WIDEST_DIGIT - 1) / WIDEST_DIGIT;
    const int width = (bits + passes - 1) / passes;
    const std::uint32_t mask = (std::uint32_t{1} << width) - 1;
    std::size_t chunks = size / CHUNK < 1 ? 1 : size / CHUNK;
    if (chunks > static_cast<std::size_t>(threads < 1 ? 1 : threads)) chunks = static_cast<std::size_t>(threads);

    const std::unique_ptr<std::uint32_t[]> counts(new std::uint32_t[chunks << width]);
    Block other;
    sorted_ = Block(size * sizeof(Entry));
    entries_ = pass(FromLists{lists}, size, Digit{0, mask}, chunks, threads, counts.get(), sorted_.as<Entry>());
    for (int i = 1; i < passes; ++i) {
        if (i == 1) other = Block(size * sizeof(Entry));
        pass(FromEntries{sorted_.as<Entry>()}, entries_, Digit{i * width, mask}, chunks, threads, counts.get(),
             other.as<Entry>());
        sorted_ = static_cast<Block &&>(other);  // they change places
    }
    find_starts(threads);
}

void Order::find_starts(int threads) {
    const Entry *const entries = sorted();
    const std::size_t chunks = entries_ / CHUNK < 1 ? 1 : entries_ / CHUNK;
    const auto begins = [=](std::size_t i) { return i == 0 || entries[i].id != entries[i - 1].id; };
    const std::unique_ptr<std::size_t[]> first(new std::size_t[chunks + 1]);
    first[0] = 0;
    parallel(threads, static_cast<std::int64_t>(chunks), [&](std::int64_t chunk) {
        const Range range(entries_, chunks, static_cast<std::size_t>(chunk));
        std::size_t count = 0;
        for (std::size_t i = range.begin; i < range.end; ++i) count += begins(i);
        first[static_cast<std::size_t>(chunk) + 1] = count;
    });
    for (std::size_t chunk = 0; chunk < chunks; ++chunk) first[chunk + 1] += first[chunk];
    classes_ = first[chunks];
    starts_ = Block((classes_ + 1) * sizeof(std::uint32_t));
    std::uint32_t *const starts = starts_.as<std::uint32_t>();
    parallel(threads, static_cast<std::int64_t>(chunks), [&](std::int64_t chunk) {
        const Range range(entries_, chunks, static_cast<std::size_t>(chunk));
        std::size_t next = first[static_cast<std::size_t>(chunk)];
        for (std::size_t i = range.begin; i < range.end; ++i) {
            if (begins(i)) starts[next++] = static_cast<std::uint32_t>(i);
        }
    });
    starts[classes_] = static_cast<std::uint32_t>(entries_);
}

void Order::write_ids(std::int64_t *to, int threads) const {
    const Entry *const entries = sorted();
    const std::uint32_t *const begin = starts();
    const std::size_t chunks = classes_ / CHUNK < 1 ? 1 : classes_ / CHUNK;
    parallel(threads, static_cast<std::int64_t>(chunks), [&](std::int64_t chunk) {
        const Range range(classes_, chunks, static_cast<std::size_t>(chunk));
        for (std::size_t i = range.begin; i < range.end; ++i) to[i] = entries[begin[i]].id;
    });
}

}  // namespace logq::rows
