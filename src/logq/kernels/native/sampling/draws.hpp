// Independent draws from a distribution.

#pragma once

#include <cstddef>
#include <cstdint>
#include <variant>

#include "laws.hpp"

namespace logq::sampling {

using Law = std::variant<Uniform, LogUniform, Alias, Learned>;

constexpr std::size_t AHEAD = 32;  // draws whose memory is asked for before it is read

// The draws at the places 0 ... size - 1 of the stream of `seed`.
void draw(const Law &law, std::uint64_t seed, std::int64_t *ids, std::size_t size, int threads);

}  // namespace logq::sampling
