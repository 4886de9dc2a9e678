// log( 1 - (1 - p)^tries ), the probability that a class is among the tries.

#pragma once

#include <cstdint>

#include "../levels.hpp"

namespace logq::sampling {

// Where the log p of classes comes from.
enum class Counts {
    GIVEN,        // one for each of them
    EQUAL,        // one for all: the shift
    TABLE,        // looked up by class, plus the shift
    LOG_UNIFORM,  // log log( (y + 2) / (y + 1) ), plus the shift, for classes y below 2^51
};

struct Inclusion {
    Counts counts;
    const void *log_p;            // GIVEN or TABLE: doubles or floats; minus infinity for p = 0
    double shift;
    const std::int64_t *classes;  // for all but GIVEN and EQUAL
    const std::int64_t *tries;    // 1 at least, below 2^52
    void *log_q;                  // written, of the type of log_p
    bool in_double;
};

LOGQ_DECLARE_LEVELS(log_inclusion, (const Inclusion &job, std::int64_t begin, std::int64_t end));

// Each value becomes its exponential.
LOGQ_DECLARE_LEVELS(exponentials, (double *values, std::int64_t size));

}  // namespace logq::sampling
