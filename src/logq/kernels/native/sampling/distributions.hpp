// The distributions that draws follow. What is drawn at a place of a stream is a function of (seed, place): neither the
// number of threads nor how a draw is cut into pieces changes it. logq.kernels.distributions says the same in plain torch.
//
// A draw has two steps, so that the memory which the second one needs is fetched while others are in their first:
// `look` turns random bits into a Place and asks for its memory, `take` reads the class there. Between the two `ready`
// may work on many places at once.

#pragma once

#include <cstddef>
#include <cstdint>

#include "../prefetch.hpp"
#include "../random.hpp"

namespace logq::sampling {

// All classes alike.
struct Uniform {
    std::uint64_t num_classes;

    struct Place {
        std::int64_t id;
    };
    Place look(std::uint64_t seed, std::uint64_t place) const {
        return {static_cast<std::int64_t>(multiply(hash_of(seed, place), num_classes).high)};
    }
    void ready(Place *, std::size_t) const {}
    std::int64_t take(const Place &place) const { return place.id; }
};

// Class y with probability log((y + 2) / (y + 1)) / log(num_classes + 1).
struct LogUniform {
    std::int64_t num_classes;
    double log_range;  // log(num_classes + 1)
    void (*exponentials)(double *values, std::int64_t size);

    struct Place {
        double value;  // the logarithm of id + 1, then id + 1
    };
    Place look(std::uint64_t seed, std::uint64_t place) const {
        return {static_cast<double>(hash_of(seed, place) >> 11) * 0x1p-53 * log_range};
    }
    void ready(Place *places, std::size_t size) const {
        static_assert(sizeof(Place) == sizeof(double), "an array of places is one of doubles");
        exponentials(&places->value, static_cast<std::int64_t>(size));
    }
    std::int64_t take(const Place &place) const {
        const std::int64_t id = static_cast<std::int64_t>(place.value) - 1;
        return id < num_classes ? id : num_classes - 1;  // rounding may reach it
    }
};

// A cell of Walker's alias table: drawn uniformly, it gives itself if 31 random bits are below `threshold`, else `alias`.
struct Cell {
    std::int32_t threshold;
    std::int32_t alias;
};

struct Alias {
    const Cell *cells;
    std::uint64_t num_classes;

    struct Place {
        std::int32_t cell;
        std::int32_t bits;
    };
    Place look(std::uint64_t seed, std::uint64_t place) const {
        // The product's high half is uniform over the cells, its low half uniform within the cell.
        const Product product = multiply(hash_of(seed, place), num_classes);
        LOGQ_PREFETCH_READ(cells + product.high);
        return {static_cast<std::int32_t>(product.high), static_cast<std::int32_t>(product.low >> 33)};
    }
    void ready(Place *, std::size_t) const {}
    std::int64_t take(const Place &place) const {
        const Cell cell = cells[place.cell];
        // Chosen by a mask, as nobody can guess a branch that falls either way at random.
        return cell.alias ^ ((cell.alias ^ place.cell) & -static_cast<std::int32_t>(place.bits < cell.threshold));
    }
};

// A table for `in_table` targets, and the list of the `num_recent` since.
struct Learned {
    Alias table;
    const std::int64_t *recent;
    std::uint64_t num_recent, in_table;

    static constexpr std::uint64_t OF_TABLE = 0xD1342543DE82EF95u;  // makes the stream of draws from the table another

    struct Place {
        std::int64_t recent;  // negative: from the table
        Alias::Place cell;
    };
    Place look(std::uint64_t seed, std::uint64_t place) const {
        const std::uint64_t at = multiply(hash_of(seed, place), num_recent + in_table).high;
        if (at >= num_recent) return {-1, table.look(seed ^ OF_TABLE, place)};
        LOGQ_PREFETCH_READ(recent + at);
        return {static_cast<std::int64_t>(at), {0, 0}};
    }
    void ready(Place *, std::size_t) const {}
    std::int64_t take(const Place &place) const {
        return place.recent < 0 ? table.take(place.cell) : recent[place.recent];
    }
};

}  // namespace logq::sampling
