#include <memory>
#include <vector>

#include "../parallel.hpp"
#include "means.hpp"
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

void run(Additions job, std::int64_t num_classes, Level level, int threads) {
    const auto add = LOGQ_CHOOSE(level, add_columns);
    const auto finish = LOGQ_CHOOSE(level, finish_classes);
    std::vector<Ids> lists;
    std::int64_t entries = 0;
    for (const Additions::List &list : job.lists) {
        lists.push_back({list.ids, static_cast<std::size_t>(list.size)});
        entries += list.size;
    }
    check_ids(lists, num_classes);
    // Threads share the columns, a line of the cache at least to each, so that entries add up in order.
    const std::int64_t line = job.doubles ? 8 : 16, lines = (job.dim + line - 1) / line;
    const std::int64_t most = threads <= 1 || entries * job.dim < 2 * WORTH_A_THREAD ? 1 : threads;
    const std::int64_t pieces = most < lines ? most : lines;
    parallel(threads, pieces, [&](std::int64_t piece) {
        const std::int64_t begin = lines * piece / pieces * line, end = lines * (piece + 1) / pieces * line;
        add(job, begin, end < job.dim ? end : job.dim);
    });
    if (!job.cosine && job.scale == 1.0) return;
    const std::unique_ptr<bool[]> named(new bool[static_cast<std::size_t>(num_classes)]());
    for (const Ids &list : lists) {
        for (std::size_t e = 0; e < list.size; ++e) {
            if (list.ids[e] >= 0) named[static_cast<std::size_t>(list.ids[e])] = true;
        }
    }
    job.named = named.get();
    parallel(threads, most, [&](std::int64_t piece) {
        finish(job, num_classes * piece / most, num_classes * (piece + 1) / most);
    });
}

void run(const Means &job, std::int64_t rows, Level level, int threads) {
    const auto function = LOGQ_CHOOSE(level, row_means);
    const std::int64_t pieces = threads <= 1 || rows * job.codes_a_row * job.dim < 2 * WORTH_A_THREAD ? 1 : threads;
    parallel(threads, pieces, [&](std::int64_t piece) { function(job, rows * piece / pieces, rows * (piece + 1) / pieces); });
}

}  // namespace logq::rows
