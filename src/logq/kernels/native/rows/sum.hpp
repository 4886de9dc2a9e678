// Sums of rows by class, on several threads.

#pragma once

#include "../levels.hpp"
#include "job.hpp"

namespace logq::rows {

LOGQ_DECLARE_LEVELS(sum_classes, (const Job &job, std::int64_t begin, std::int64_t end, void *scratch));

LOGQ_DECLARE_LEVELS(add_columns, (const Additions &job, std::int64_t begin, std::int64_t end));
LOGQ_DECLARE_LEVELS(finish_classes, (const Additions &job, std::int64_t begin, std::int64_t end));

// The result depends on the job only, not on the number of threads. Throws std::bad_alloc.
void run(const Job &job, Level level, int threads);

// Throws std::invalid_argument for an id that is not below `num_classes`, std::bad_alloc. Likewise.
void run(Additions job, std::int64_t num_classes, Level level, int threads);

}  // namespace logq::rows
