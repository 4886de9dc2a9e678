// Samples of distinct classes by repeated draws, and where in a sample a class stands.

#pragma once

#include <cstddef>
#include <cstdint>

#include "draws.hpp"

namespace logq::sampling {

// For each row of a sample: the first `num_sampled` different classes in the row's stream, in order of appearance, and
// how many draws were made of other classes until `num_sampled` of those differed: for each of them (`inside`) and for
// every class that is not among them (`outside`, one per row). More classes than that must have a positive probability.
void draw_distinct(const Distribution &distribution, std::uint64_t seed, std::size_t num_rows, std::size_t num_sampled,
                   std::int64_t *ids, std::int64_t *inside, std::int64_t *outside, int threads);

// Where in its row of `ids` (num_rows, num_sampled), which differ within a row, each of `classes` (num_rows, num_asked)
// stands: -1 for nowhere.
void places_of(const std::int64_t *ids, std::size_t num_rows, std::size_t num_sampled, const std::int64_t *classes,
               std::size_t num_asked, std::int64_t *places);

}  // namespace logq::sampling
