// Walker's alias table: a draw from any distribution over C classes at the price of one cell and one coin.

#pragma once

#include <cstddef>
#include <cstdint>

namespace logq {

// Fills `accept` and `alias`, both of length `size`, from `weights`. Cell i is drawn with probability 1/size; it gives
// class i with probability accept[i], otherwise class alias[i]. Takes O(size) time and no memory of its own.
//
// Throws std::invalid_argument when a weight is negative or not finite, when all are zero, when there is none, or when
// there are more than an int32 can number.
void alias_table(const double *weights, std::size_t size, double *accept, std::int32_t *alias);

}  // namespace logq
