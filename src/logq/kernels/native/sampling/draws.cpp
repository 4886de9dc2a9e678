#include "draws.hpp"

#include <algorithm>

#include "../huge_pages.hpp"
#include "../parallel.hpp"

namespace logq::sampling {
namespace {

constexpr std::size_t PIECE = std::size_t{1} << 16;  // draws that are worth another thread
constexpr std::size_t LARGE = std::size_t{1} << 25;  // bytes: what allocators take from the operating system each time

// The draws at the places [begin, end) of a stream: while those of one block are taken, the next ones' memory comes.
template <typename Kind>
void fill(const Kind &distribution, std::uint64_t seed, std::size_t begin, std::size_t end, std::int64_t *ids) {
    typename Kind::Place places[2][AHEAD];
    const std::size_t blocks = (end - begin) / AHEAD;
    const auto look = [&](std::size_t block) {
        const std::size_t first = begin + block * AHEAD;
        for (std::size_t j = 0; j < AHEAD; ++j) places[block & 1][j] = distribution.look(seed, first + j);
        distribution.ready(places[block & 1], AHEAD);
    };
    if (blocks) look(0);
    for (std::size_t block = 0; block < blocks; ++block) {
        if (block + 1 < blocks) look(block + 1);
        std::int64_t *out = ids + begin + block * AHEAD;
        for (std::size_t j = 0; j < AHEAD; ++j) out[j] = distribution.take(places[block & 1][j]);
    }
    const std::size_t left = begin + blocks * AHEAD;
    for (std::size_t i = left; i < end; ++i) places[0][i - left] = distribution.look(seed, i);
    distribution.ready(places[0], end - left);
    for (std::size_t i = left; i < end; ++i) ids[i] = distribution.take(places[0][i - left]);
}

}  // namespace

void draw(const Distribution &distribution, std::uint64_t seed, std::int64_t *ids, std::size_t size, int threads) {
    // Getting memory in small pages takes as long as the draws that go there.
    if (size * sizeof *ids >= LARGE) prefer_huge_pages(ids, size * sizeof *ids);
    const auto pieces = static_cast<std::int64_t>((size + PIECE - 1) / PIECE);
    std::visit(
        [&](const auto &one) {
            parallel(threads, pieces, [&](std::int64_t piece) {
                const std::size_t begin = static_cast<std::size_t>(piece) * PIECE;
                fill(one, seed, begin, std::min(size, begin + PIECE), ids);
            });
        },
        distribution);
}

void uniform_rows(const std::int64_t *classes, std::size_t num_classes, std::size_t width, std::uint64_t seed,
                  double inverse_bound, double *rows, int threads) {
    const std::size_t of_piece = std::max<std::size_t>(1, PIECE / std::max<std::size_t>(1, width));
    parallel(threads, static_cast<std::int64_t>((num_classes + of_piece - 1) / of_piece), [&](std::int64_t piece) {
        const std::size_t begin = static_cast<std::size_t>(piece) * of_piece;
        for (std::size_t i = begin; i < std::min(num_classes, begin + of_piece); ++i) {
            const std::uint64_t first = static_cast<std::uint64_t>(classes[i]) * width;
            for (std::size_t j = 0; j < width; ++j) {
                const auto bits = static_cast<std::int64_t>(hash_of(seed, first + j) >> 11);
                const double number = static_cast<double>(bits) * 0x1p-53;
                rows[i * width + j] = (2.0 * number - 1.0) / inverse_bound;
            }
        }
    });
}

}  // namespace logq::sampling
