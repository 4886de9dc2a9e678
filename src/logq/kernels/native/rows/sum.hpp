// Sums of rows by class, on several threads.

#pragma once

#include "../levels.hpp"
#include "job.hpp"

namespace logq::rows {

LOGQ_DECLARE_LEVELS(sum_classes, (const Job &job, std::int64_t begin, std::int64_t end, void *scratch));

// The result depends on the job only, not on the number of threads. Throws std::bad_alloc.
void run(const Job &job, Level level, int threads);

}  // namespace logq::rows
