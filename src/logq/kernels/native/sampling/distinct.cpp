#include "distinct.hpp"

#include <algorithm>
#include <vector>

#include "../parallel.hpp"

namespace logq::sampling {
namespace {

constexpr std::size_t PIECE = std::size_t{1} << 14;  // sampled classes that are worth another thread
constexpr std::size_t BLOCK = 256;                   // targets that are counted together
constexpr std::size_t FEW = 8;                       // for up to this many classes of a row no table is made

// Which classes are in a row, by open addressing: a table of places in the row, counted from 1, so that 0 is nothing.
class Places {
  public:
    explicit Places(std::size_t most) {
        std::size_t size = 16;
        for (; size < 4 * most; size *= 2) --shift_;
        slots_.resize(size);
    }

    void clear() { std::fill(slots_.begin(), slots_.end(), 0); }

    // The slot where the place of a class in ids[1], ids[2], ... is, or belongs. Whether a draw is new nobody can guess,
    // so it makes no branch here: ids[0] is what an empty slot is compared with. Few slots belong to another class.
    std::uint32_t &find(std::int64_t *ids, std::int64_t id) {
        ids[0] = id;
        std::size_t slot = static_cast<std::size_t>((static_cast<std::uint64_t>(id) * 0x9E3779B97F4A7C15u) >> shift_);
        while (ids[slots_[slot]] != id) slot = (slot + 1) & (slots_.size() - 1);
        return slots_[slot];
    }

  private:
    int shift_ = 60;                    // 64 - log2 of the number of slots, of which at most a quarter are taken
    std::vector<std::uint32_t> slots_;
};

// What it takes to draw one row.
struct Row {
    explicit Row(std::size_t num_sampled) : places(num_sampled + 1), ids(num_sampled + 3), copies(num_sampled + 3) {}

    void clear() {
        places.clear();
        std::fill(copies.begin(), copies.end(), 0);
    }

    Places places;
    std::vector<std::int64_t> ids;     // from 1
    std::vector<std::int64_t> copies;  // how often each was drawn, from 1
    std::int64_t reached = 0;          // the number of draws until num_sampled classes differed
    std::int64_t end = 0;              // until one more did
};

template <typename Kind>
void draw_row(const Kind &distribution, std::uint64_t seed, std::size_t num_sampled, Row &row) {
    typename Kind::Place places[AHEAD];
    std::size_t count = 0;
    std::uint64_t drawn = 0;
    row.reached = 1;
    while (count <= num_sampled) {
        const std::size_t block = std::min(AHEAD, num_sampled + 1 - count);  // never one too many
        for (std::size_t j = 0; j < block; ++j) places[j] = distribution.look(seed, drawn + j);
        distribution.ready(places, block);
        for (std::size_t j = 0; j < block; ++j) {
            const std::int64_t id = distribution.take(places[j]);
            std::uint32_t &place = row.places.find(row.ids.data(), id);
            const std::uint32_t is_new = place == 0;
            row.ids[count + 1] = id;  // if it is not new, the next one that is takes this place
            count += is_new;
            place |= static_cast<std::uint32_t>(count) & (0u - is_new);
            ++row.copies[place];
            ++drawn;
            if (count < num_sampled) row.reached = static_cast<std::int64_t>(drawn + 1);
        }
    }
    row.end = static_cast<std::int64_t>(drawn);
}

// Draws rows on some threads, each of which goes to `finish` with its number.
template <typename Finish>
void for_rows(const Distribution &distribution, std::uint64_t seed, std::size_t num_rows, std::size_t num_sampled,
              int threads, const Finish &finish) {
    if (num_rows == 0) return;
    const std::size_t worth = std::max<std::size_t>(1, num_rows * num_sampled / PIECE);
    const std::size_t pieces = std::min({num_rows, worth, static_cast<std::size_t>(std::max(1, threads))});
    // All memory is taken before the first thread runs, as an exception in there could not be told to anyone.
    std::vector<Row> workers;
    workers.reserve(pieces);
    for (std::size_t i = 0; i < pieces; ++i) workers.emplace_back(num_sampled);
    std::visit(
        [&](const auto &one) {
            parallel(threads, static_cast<std::int64_t>(pieces), [&](std::int64_t piece) {
                const auto number = static_cast<std::size_t>(piece);
                Row &row = workers[number];
                const std::size_t first = num_rows * number / pieces;
                for (std::size_t r = first; r < num_rows * (number + 1) / pieces; ++r) {
                    if (r > first) row.clear();
                    draw_row(one, hash_of(seed, r), num_sampled, row);
                    finish(row, r);
                }
            });
        },
        distribution);
}

}  // namespace

void draw_distinct(const Distribution &distribution, std::uint64_t seed, std::size_t num_rows, std::size_t num_sampled,
                   std::int64_t *ids, std::int64_t *inside, std::int64_t *outside, int threads) {
    for_rows(distribution, seed, num_rows, num_sampled, threads, [&](Row &row, std::size_t r) {
        for (std::size_t s = 0; s < num_sampled; ++s) {
            ids[r * num_sampled + s] = row.ids[s + 1];
            inside[r * num_sampled + s] = row.end - row.copies[s + 1];
        }
        outside[r] = row.reached;
    });
}

void draw_counted(const Distribution &distribution, std::uint64_t seed, const Counted &batch, int threads) {
    for_rows(distribution, seed, batch.num_rows, batch.num_sampled, threads, [&](Row &row, std::size_t r) {
        const std::size_t size = batch.num_sampled, num_targets = batch.num_targets;
        // From here on tries instead of copies, also of what is not in the sample: place 0, and the class that ended it.
        for (std::size_t s = 1; s <= size; ++s) row.copies[s] = row.end - row.copies[s];
        row.copies[0] = row.copies[size + 1] = row.reached;
        std::int64_t *const ids = batch.ids + r * size;
        std::copy_n(row.ids.data() + 1, size, ids);
        const auto count = [&](const std::int64_t *classes, const std::int64_t *tries, void *log_q, std::size_t first,
                               std::size_t number) {
            Inclusion job = batch.law;
            job.classes = classes;
            job.tries = tries;
            job.log_q = static_cast<char *>(log_q) + first * (job.in_double ? sizeof(double) : sizeof(float));
            batch.log_inclusion(job, 0, static_cast<std::int64_t>(number));
        };
        count(ids, row.copies.data() + 1, batch.log_q, r * size, size);
        std::int64_t classes[BLOCK], tries[BLOCK];
        for (std::size_t begin = 0; begin < num_targets; begin += BLOCK) {
            const std::size_t first = r * num_targets + begin, number = std::min(BLOCK, num_targets - begin);
            for (std::size_t n = 0; n < number; ++n) {
                const std::int64_t target = batch.targets[first + n];
                classes[n] = target == batch.ignored ? 0 : target;
                tries[n] = row.copies[row.places.find(row.ids.data(), classes[n])];
            }
            count(classes, tries, batch.true_log_q, first, number);
            for (std::size_t n = 0; n < number; ++n) {
                if (batch.targets[first + n] != batch.ignored) continue;
                if (batch.law.in_double) static_cast<double *>(batch.true_log_q)[first + n] = 0;
                else static_cast<float *>(batch.true_log_q)[first + n] = 0;
            }
        }
    });
}

void places_of(const std::int64_t *ids, std::size_t num_rows, std::size_t num_sampled, const std::int64_t *classes,
               std::size_t num_asked, std::int64_t *places) {
    // The table is one of the classes that are asked for: there are fewer of them, and a sample has each class once.
    const std::size_t most = num_asked > FEW ? num_asked : 0;
    Places found(4 * most);  // much room, so that most of a sample falls on empty slots
    std::vector<std::int64_t> different(most + 1), at(most + 1);  // from 1: the classes in the table, their places
    std::vector<std::uint32_t> number(most);                      // which of them was asked for
    for (std::size_t r = 0; r < num_rows; ++r) {
        const std::int64_t *row = ids + r * num_sampled, *asked = classes + r * num_asked;
        std::int64_t *answers = places + r * num_asked;
        if (num_asked <= FEW) {
            for (std::size_t n = 0; n < num_asked; ++n) {
                const std::int64_t *const there = std::find(row, row + num_sampled, asked[n]);
                answers[n] = there == row + num_sampled ? -1 : there - row;
            }
            continue;
        }
        if (r) found.clear();
        std::fill(at.begin(), at.end(), -1);
        std::uint32_t count = 0;
        for (std::size_t n = 0; n < num_asked; ++n) {
            std::uint32_t &slot = found.find(different.data(), asked[n]);
            if (slot == 0) {
                slot = ++count;
                different[slot] = asked[n];
            }
            number[n] = slot;
        }
        // What nobody asked for goes to at[0].
        for (std::size_t s = 0; s < num_sampled; ++s) at[found.find(different.data(), row[s])] = static_cast<std::int64_t>(s);
        for (std::size_t n = 0; n < num_asked; ++n) answers[n] = at[number[n]];
    }
}

}  // namespace logq::sampling
