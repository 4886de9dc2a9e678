#include <memory>

#include "../parallel.hpp"
#include "sum.hpp"

namespace logq::rows {
namespace {

constexpr std::int64_t WORTH_A_THREAD = std::int64_t{1} << 15;  // numbers that are added
constexpr std::int64_t PIECES_EACH = 8;  // a class cannot be split, and some have many entries

// The class at which piece `i` begins, when the entries are cut into pieces alike.
std::int64_t piece_begin(const Job &job, std::int64_t pieces, std::int64_t i) {
    if (i == pieces) return job.classes;
    const std::int64_t entry = static_cast<std::int64_t>(static_cast<double>(job.num_entries) * static_cast<double>(i) /
                                                         static_cast<double>(pieces));
    if (job.entries == nullptr) return entry;
    std::int64_t low = 0, high = job.classes;
    while (low < high) {
        const std::int64_t middle = low + (high - low) / 2;
        if (job.starts[middle] < entry) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

}  // namespace

void run(const Job &job, Level level, int threads) {
    if (job.classes == 0 || job.dim == 0) return;
    const auto function = LOGQ_CHOOSE(level, sum_classes);
    const bool small = threads <= 1 || job.num_entries * job.dim < 2 * WORTH_A_THREAD;
    const std::int64_t pieces = small ? 1 : threads * PIECES_EACH;
    // Room for a row and the vector that its end is a part of.
    const std::size_t row = (static_cast<std::size_t>(job.dim) * sizeof(double) + 2 * 64) / 64 * 64;
    const Block scratch(row * static_cast<std::size_t>(pieces));
    parallel(threads, pieces, [&](std::int64_t piece) {
        const std::int64_t begin = piece_begin(job, pieces, piece), end = piece_begin(job, pieces, piece + 1);
        if (begin < end) function(job, begin, end, scratch.as<char>() + static_cast<std::size_t>(piece) * row);
    });
}

}  // namespace logq::rows
