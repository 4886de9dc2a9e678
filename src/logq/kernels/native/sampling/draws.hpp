// Independent draws from a distribution.

#pragma once

#include <cstddef>
#include <cstdint>
#include <variant>

#include "distributions.hpp"

namespace logq::sampling {

using Distribution = std::variant<Uniform, LogUniform, Alias, Learned>;

constexpr std::size_t AHEAD = 32;  // draws whose memory is asked for before it is read

// The draws at the places 0 ... size - 1 of the stream of `seed`.
void draw(const Distribution &distribution, std::uint64_t seed, std::int64_t *ids, std::size_t size, int threads);

// For each class y the numbers at the places y width ... y width + width - 1 of the stream of `seed`, uniform between
// -bound and bound: (num_classes, width).
void uniform_rows(const std::int64_t *classes, std::size_t num_classes, std::size_t width, std::uint64_t seed,
                  double inverse_bound, double *rows, int threads);

}  // namespace logq::sampling
