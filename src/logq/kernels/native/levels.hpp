// The sets of instructions that inner loops are compiled for, and those of them that this processor has.

#pragma once

#include <string>
#include <vector>

namespace logq {

enum class Level { GENERIC, AVX2, AVX512 };

const char *name_of(Level level);

// Those that run here, the fastest first; GENERIC is always there and last.
std::vector<Level> levels();

// The level of that name, or the fastest for "auto". Throws std::invalid_argument if it does not run here.
Level level_named(const std::string &name);

}  // namespace logq

// Declares a function that is compiled for each level (LOGQ_OF_LEVEL in simd/vectors.hpp), and chooses that of a level.
#if defined(LOGQ_X86_LEVELS)
#define LOGQ_DECLARE_LEVELS(function, arguments) \
    void function##_generic arguments;           \
    void function##_avx2 arguments;              \
    void function##_avx512 arguments
#define LOGQ_CHOOSE(level, function)              \
    ((level) == ::logq::Level::AVX512  ? function##_avx512 \
     : (level) == ::logq::Level::AVX2 ? function##_avx2   \
                                      : function##_generic)
#else
#define LOGQ_DECLARE_LEVELS(function, arguments) void function##_generic arguments
#define LOGQ_CHOOSE(level, function) (static_cast<void>(level), function##_generic)
#endif
