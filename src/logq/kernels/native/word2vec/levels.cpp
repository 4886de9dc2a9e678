#include "levels.hpp"

#include <stdexcept>

namespace logq::word2vec {

void train_unit_generic(const Job &, std::int64_t, std::int64_t, void *, Result &);
#if defined(LOGQ_X86_LEVELS)
void train_unit_avx2(const Job &, std::int64_t, std::int64_t, void *, Result &);
void train_unit_avx512(const Job &, std::int64_t, std::int64_t, void *, Result &);
#endif

std::vector<Level> levels() {
    std::vector<Level> found;
#if defined(LOGQ_X86_LEVELS)
    // These ask the operating system too, whether it saves the wide registers.
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma")) found.push_back({"avx512", train_unit_avx512});
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back({"avx2", train_unit_avx2});
#endif
    found.push_back({"generic", train_unit_generic});
    return found;
}

Level level_named(const std::string &name) {
    const std::vector<Level> found = levels();
    std::string names;
    for (const Level &level : found) {
        if (name == "auto" || name == level.name) return level;
        names += std::string(names.empty() ? "" : ", ") + level.name;
    }
    throw std::invalid_argument("simd: expected auto or one of " + names + ", which run here, got '" + name + "'");
}

}  // namespace logq::word2vec
