// The plan of a unit of text: which words stay, how far each window reaches, and which negatives are drawn.

#pragma once

#include "../random.hpp"
#include "scratch.hpp"

namespace {

struct Plan {
    std::int32_t kept = 0;           // words in scratch.words
    std::int32_t first_center = 0;   // those in [first_center, behind_centers) are predicted
    std::int32_t behind_centers = 0;
    std::int32_t blocks = 0;         // block b is the centers in [scratch.blocks[b], scratch.blocks[b + 1])
};

inline std::uint64_t bits_at(const Job &job, std::int64_t place) {
    return hash_of(job.seed, static_cast<std::uint64_t>(job.position + place));
}

// A word stays with its probability, by the upper half of its bits; how far its window reaches, 1..window, is in the lower.
inline bool stays(const Job &job, std::int64_t place, std::uint64_t bits) { return (bits >> 32) <= job.keep[job.ids[place]]; }

inline std::int32_t reach(const Job &job, std::uint64_t bits) {
    if (!job.shrink) return job.window;
    return 1 + static_cast<std::int32_t>(((bits & 0xFFFFFFFFu) * static_cast<std::uint64_t>(job.window)) >> 32);
}

// The words of the unit that stay, and on both sides as many of the same sentence as a window can reach.
inline Plan keep_words(const Job &job, std::int64_t begin, std::int64_t end, const Scratch &s) {
    Plan plan;
    std::int32_t before = 0;
    for (std::int64_t place = begin - 1; place >= 0 && job.ids[place] >= 0 && before < job.window; --place) {
        if (stays(job, place, bits_at(job, place))) s.places[before++] = place;
    }
    for (std::int32_t i = 0, j = before - 1; i < j; ++i, --j) {
        const std::int64_t place = s.places[i];
        s.places[i] = s.places[j];
        s.places[j] = place;
    }
    std::int32_t sentence = 0, kept = 0;
    for (; kept < before; ++kept) {
        s.words[kept] = job.ids[s.places[kept]];
        s.sentences[kept] = sentence;
    }
    plan.first_center = kept;
    for (std::int64_t place = begin; place < end; ++place) {
        const std::int32_t word = job.ids[place];
        if (word < 0) {
            ++sentence;
            continue;
        }
        const std::uint64_t bits = bits_at(job, place);
        // Written in any case and counted if it stays, so that no branch has to be guessed.
        s.words[kept] = word;
        s.places[kept] = place;
        s.sentences[kept] = sentence;
        s.reaches[kept] = reach(job, bits);
        kept += stays(job, place, bits);
    }
    plan.behind_centers = kept;
    for (std::int64_t place = end; place < job.size && job.ids[place] >= 0; ++place) {
        if (kept == plan.behind_centers + job.window) break;
        if (!stays(job, place, bits_at(job, place))) continue;
        s.words[kept] = job.ids[place];
        s.places[kept] = place;
        s.sentences[kept++] = sentence;
    }
    plan.kept = kept;
    return plan;
}

inline void reach_windows(const Job &job, const Plan &plan, const Scratch &s) {
    std::int32_t start = 0, stop = 0;
    for (std::int32_t i = plan.first_center; i < plan.behind_centers; ++i) {
        const std::int32_t wide = s.reaches[i];
        while (s.sentences[start] != s.sentences[i]) ++start;
        if (stop < i) stop = i;
        while (stop < plan.kept && s.sentences[stop] == s.sentences[i] && stop <= i + job.window) ++stop;
        const std::int32_t first = i - wide, last = i + wide + 1, c = i - plan.first_center;
        s.firsts[c] = first > start ? first : start;
        s.lasts[c] = last < stop ? last : stop;
    }
}

// repeats[j]: the latest place up to j whose word stands again close behind it, up to j. So the words in [first, last), as
// far apart as those of a block can be, hold some word twice only if repeats[last - 1] >= first.
inline void find_repeats(const Job &job, const Plan &plan, const Scratch &s) {
    const std::int32_t far = 2 * job.window + job.block;
    std::int32_t latest = -1;
    for (std::int32_t j = 0; j < plan.kept; ++j) {
        std::int32_t back = j > far ? j - far : 0;
        if (back <= latest) back = latest + 1;
        for (std::int32_t i = j - 1; i >= back; --i) {
            if (s.words[i] == s.words[j]) {
                latest = i;
                break;
            }
        }
        s.repeats[j] = latest;
    }
}

// Up to job.block neighboring centers of one sentence.
inline std::int32_t find_blocks(const Job &job, const Plan &plan, const Scratch &s) {
    std::int32_t blocks = 0, i = plan.first_center;
    while (i < plan.behind_centers) {
        s.blocks[blocks++] = i;
        const std::int32_t start = i++;
        while (i < plan.behind_centers && i < start + job.block && s.sentences[i] == s.sentences[start]) ++i;
    }
    s.blocks[blocks] = i;
    return blocks;
}

inline std::int32_t draw(const Cell *cells, std::int32_t num_words, std::uint64_t bits) {
    // The product's high half is uniform over the cells, its low half uniform within the cell.
    const Product cell = multiply(bits, static_cast<std::uint64_t>(num_words));
    const Cell found = cells[cell.high];
    // Chosen by a mask, as nobody can guess a branch that falls either way at random.
    const std::int32_t self = static_cast<std::int32_t>(cell.high);
    return found.alias ^ ((found.alias ^ self) & -static_cast<std::int32_t>((cell.low >> 32) < found.accept));
}

// Negatives for the `number`-th pair of the center at `place`.
inline void draw_negatives(const Job &job, std::int64_t place, std::int32_t number, std::int32_t *negatives) {
    std::uint64_t state = hash_of(~job.seed, static_cast<std::uint64_t>(job.position + place)) +
                          static_cast<std::uint64_t>(number) * 0xD1342543DE82EF95u;
    const std::int32_t count = job.negatives;
    for (std::int32_t j = 0; j < count; ++j) negatives[j] = draw(job.cells, job.num_cells, next_random(state));
}

// Negatives are those of a block for skip-gram, and those of a center for CBOW.
inline std::int32_t sets_of_negatives(const Job &job, const Plan &plan) {
    return job.skip_gram ? plan.blocks : plan.behind_centers - plan.first_center;
}

// The negatives of one block, not from a pool.
inline void draw_own_negatives(const Job &job, const Plan &plan, std::int32_t b, const Scratch &s) {
    const std::int64_t negatives = job.negatives;
    if (job.skip_gram) return draw_negatives(job, s.places[s.blocks[b]], 0, s.negatives + b * negatives);
    for (std::int32_t i = s.blocks[b]; i < s.blocks[b + 1]; ++i) {
        draw_negatives(job, s.places[i], 0, s.negatives + (i - plan.first_center) * negatives);
    }
}

// Which blocks have their loss computed: one in 64 of a large text, so that an honest mean costs next to nothing.
inline bool reckons_loss(const Job &job, std::int64_t place) {
    const std::uint64_t hash = hash_of(job.seed ^ 0xA0761D6478BD642Fu, static_cast<std::uint64_t>(job.position + place));
    return (hash & (static_cast<std::uint64_t>(job.loss_every) - 1)) == 0;
}

// Negatives for every block, out of a pool that is drawn for each unit: each follows the distribution, and those of a
// block are as good as independent, but the unit has fewer different ones.
inline void choose_negatives(const Job &job, const Plan &plan, std::int64_t begin, const Scratch &s) {
    std::uint64_t state = hash_of(~job.seed, static_cast<std::uint64_t>(job.position + begin));
    for (std::int32_t j = 0; j < job.pool; ++j) s.pool[j] = draw(job.cells, job.num_cells, next_random(state));
    const std::uint64_t size = static_cast<std::uint64_t>(job.pool);
    const std::int64_t count = static_cast<std::int64_t>(sets_of_negatives(job, plan)) * job.negatives;
    for (std::int64_t at = 0; at < count; at += 2) {
        const std::uint64_t bits = next_random(state);
        s.negatives[at] = s.pool[((bits >> 32) * size) >> 32];
        s.negatives[at + 1] = s.pool[((bits & 0xFFFFFFFFu) * size) >> 32];  // one too many at the end of an odd count
    }
    // Rows of the pool have just been pushed down. A loss from them would look better than it is, so it is from others.
    for (std::int32_t b = 0; b < plan.blocks; ++b) {
        const std::int64_t place = s.places[s.blocks[b]];
        if (reckons_loss(job, place)) draw_own_negatives(job, plan, b, s);
    }
}

// The row of a word in one of the partitions, or -1 if it is in another one.
inline std::int32_t row_in_partition(const Job &job, std::int32_t word, std::int32_t partition) {
    const std::int32_t row =
        static_cast<std::int32_t>(multiply(static_cast<std::uint64_t>(word), job.reciprocal).high);  // word / partitions
    return word - row * job.partitions == partition ? row : -1;
}

// The partition that all negatives of a window come from: each as often as it has a negative in the whole.
inline std::int32_t partition_of_negatives(const Job &job, std::int64_t place) {
    const std::uint64_t bits = hash_of(job.seed ^ 0x8EBC6AF09C88C6E3u, static_cast<std::uint64_t>(job.position + place));
    std::int32_t partition = 0;
    for (std::int32_t p = 0; p + 1 < job.partitions; ++p) partition += bits >= job.shares[p];
    return partition;
}

// Rows in the partitions that are here instead of words, -1 for those elsewhere; and negatives, out of a pool as above, for the
// windows whose negatives come from the output partition.
inline void plan_partitions(const Job &job, const Plan &plan, std::int64_t begin, const Scratch &s) {
    for (std::int32_t j = 0; j < plan.kept; ++j) {
        s.input_rows[j] = row_in_partition(job, s.words[j], job.input_partition);
        s.output_rows[j] = row_in_partition(job, s.words[j], job.output_partition);
    }
    std::uint64_t state = hash_of(~job.seed, static_cast<std::uint64_t>(job.position + begin)) +
                          static_cast<std::uint64_t>(job.output_partition) * 0xD1342543DE82EF95u;
    for (std::int32_t j = 0; j < job.pool; ++j) s.pool[j] = draw(job.cells, job.num_cells, next_random(state));
    for (std::int32_t b = 0; b < plan.blocks; ++b) {
        const std::int64_t place = s.places[s.blocks[b]];
        std::int32_t *negatives = s.negatives + static_cast<std::int64_t>(b) * job.negatives;
        if (partition_of_negatives(job, place) != job.output_partition) {
            for (std::int32_t j = 0; j < job.negatives; ++j) negatives[j] = -1;
        } else if (job.pool == 0 || reckons_loss(job, place)) {
            draw_negatives(job, place, 0, negatives);
        } else {
            for (std::int32_t j = 0; j < job.negatives; ++j) {
                negatives[j] = s.pool[((next_random(state) >> 32) * static_cast<std::uint64_t>(job.pool)) >> 32];
            }
        }
    }
}

inline Plan make_plan(const Job &job, std::int64_t begin, std::int64_t end, const Scratch &s) {
    Plan plan = keep_words(job, begin, end, s);
    reach_windows(job, plan, s);
    plan.blocks = find_blocks(job, plan, s);
    if (job.shared && job.skip_gram && job.partitions == 1) find_repeats(job, plan, s);
    if (job.partitions > 1) {
        plan_partitions(job, plan, begin, s);
    } else if (job.cells && job.pool > 0) {
        choose_negatives(job, plan, begin, s);
    } else if (job.cells && (job.shared || !job.skip_gram)) {
        for (std::int32_t b = 0; b < plan.blocks; ++b) draw_own_negatives(job, plan, b, s);
    }
    return plan;
}

}  // namespace
