// Training on a stretch of text with several threads.

#pragma once

#include "../levels.hpp"
#include "job.hpp"

namespace logq::word2vec {

// Trains on the words at [job.begin, job.end). With one thread the result depends on the job only, bit for bit.
Result train(const Job &job, Level level, int threads);

}  // namespace logq::word2vec
