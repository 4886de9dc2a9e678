// Means of the rows of a table that rows of codes name, by weights that fall from each code to the one before.

#pragma once

#include "../levels.hpp"
#include "job.hpp"

namespace logq::rows {

struct Means {
    Type type;                  // of the table
    Rows table;                 // contiguous
    const std::int64_t *codes;  // (B, W), in the table or below 0
    std::int64_t codes_a_row;   // W
    std::int64_t dim;
    double decay;  // what a code counts relative to the next one of its row
    void *means;   // (B, D), in what the table is computed in
    void *shares;  // (B, W) likewise: what each code counts, 0 where there is none; of a row they add up to 1
};

LOGQ_DECLARE_LEVELS(row_means, (const Means &job, std::int64_t begin, std::int64_t end));

void run(const Means &job, std::int64_t rows, Level level, int threads);

}  // namespace logq::rows
