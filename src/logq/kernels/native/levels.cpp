#include "levels.hpp"

#include <stdexcept>

namespace logq {

const char *name_of(Level level) {
    return level == Level::AVX512 ? "avx512" : level == Level::AVX2 ? "avx2" : "generic";
}

std::vector<Level> levels() {
    std::vector<Level> found;
#if defined(LOGQ_X86_LEVELS)
    // These ask the operating system too, whether it saves the wide registers.
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma")) found.push_back(Level::AVX512);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(Level::AVX2);
#endif
    found.push_back(Level::GENERIC);
    return found;
}

Level level_named(const std::string &name) {
    std::string names;
    for (const Level level : levels()) {
        if (name == "auto" || name == name_of(level)) return level;
        names += std::string(names.empty() ? "" : ", ") + name_of(level);
    }
    throw std::invalid_argument("simd: expected auto or one of " + names + ", which run here, got '" + name + "'");
}

}  // namespace logq
