// Products of matrices that the caches hold, for the losses of a sample that all rows share.

#pragma once

#include <cstdint>

#include "../levels.hpp"

namespace logq::losses {

// c (+)= a b. Each number of a b is added up in the order of k, however rows and columns are divided, and then to c.
struct Product {
    const float *a;  // a_ik at i * a_row + k * a_column
    std::int64_t a_row, a_column;
    const float *b;  // b_kj at k * b_row + j
    std::int64_t b_row;
    float *c;  // c_ij at i * c_row + j
    std::int64_t c_row;
    std::int64_t rows, columns, depth;
    bool add;  // to what c is
};

LOGQ_DECLARE_LEVELS(multiply, (const Product &product));

}  // namespace logq::losses
