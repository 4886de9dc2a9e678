// The sets of instructions that the unit function is compiled for, and the best of them that this processor has.

#pragma once

#include <string>
#include <vector>

#include "job.hpp"

namespace logq::word2vec {

struct Level {
    const char *name;
    TrainUnit train;
};

// Those that run here, the fastest first; "generic" is always there and last.
std::vector<Level> levels();

// The level of that name, or the fastest for "auto". Throws std::invalid_argument if it does not run here.
Level level_named(const std::string &name);

}  // namespace logq::word2vec
