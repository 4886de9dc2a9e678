// Samples of distinct classes by repeated draws, and where in a sample a class stands.

#pragma once

#include <cstddef>
#include <cstdint>

#include "draws.hpp"
#include "inclusion.hpp"

namespace logq::sampling {

// For each row of a sample: the first `num_sampled` different classes in the row's stream, in order of appearance, and
// how many draws were made of other classes until `num_sampled` of those differed: for each of them (`inside`) and for
// every class that is not among them (`outside`, one per row). More classes than that must have a positive probability.
void draw_distinct(const Distribution &distribution, std::uint64_t seed, std::size_t num_rows, std::size_t num_sampled,
                   std::int64_t *ids, std::int64_t *inside, std::int64_t *outside, int threads);

// Draws for a batch, and the logs of the expected counts of what was drawn and of targets.
struct Counted {
    std::size_t num_rows, num_sampled, num_targets;  // targets of a row
    std::int64_t *ids;                               // (num_rows, num_sampled), written as above
    void *log_q;                                     // of the ids, written; doubles or floats
    const std::int64_t *targets;                     // (num_rows, num_targets)
    void *true_log_q;                                // of the targets, written; 0 where they are `ignored`
    std::int64_t ignored;
    Inclusion law;                                   // log p of classes: all but GIVEN, with no classes and tries yet
    decltype(&log_inclusion_generic) log_inclusion;
};
void draw_counted(const Distribution &distribution, std::uint64_t seed, const Counted &batch, int threads);

// Where in its row of `ids` (num_rows, num_sampled), which differ within a row, each of `classes` (num_rows, num_asked)
// stands: -1 for nowhere.
void places_of(const std::int64_t *ids, std::size_t num_rows, std::size_t num_sampled, const std::int64_t *classes,
               std::size_t num_asked, std::int64_t *places);

}  // namespace logq::sampling
