// log( 1 - (1 - p)^tries ), the probability that a class is among the tries.

#pragma once

#include <cstdint>

#include "../levels.hpp"

namespace logq::sampling {

struct Inclusion {
    const void *log_p;          // doubles or floats; minus infinity for p = 0
    const std::int64_t *tries;  // 1 at least, below 2^52
    void *log_q;                // written, of the type of log_p
    bool in_double;
};

LOGQ_DECLARE_LEVELS(log_inclusion, (const Inclusion &job, std::int64_t begin, std::int64_t end));

// Each value becomes its exponential.
LOGQ_DECLARE_LEVELS(exponentials, (double *values, std::int64_t size));

}  // namespace logq::sampling
