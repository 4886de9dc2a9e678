// Training on a unit of text. This file is compiled once for each set of instructions, and LOGQ_LEVEL is its name; see
// simd/vectors.hpp for what that forbids here.

#include "cbow.hpp"
#include "subwords.hpp"
#include "tiles.hpp"
#include "window.hpp"

namespace {

class Unit {
  public:
    Unit(const Job &job, const Scratch &scratch, Result &result)
        : job(job), s(scratch), result(result), columns(static_cast<int>(job.stride / LANES)),
          pool_is_small(job.pool > 0 && job.partitions == 1 && job.pool * job.stride <= SMALL), subwords(job, scratch, columns),
          cbow(job, scratch, columns) {
        for (int at = 0; at < columns; ++at) store(s.nobody + at * LANES, all(0.0f));
    }

    void train(std::int64_t begin, std::int64_t end) {
        const Plan plan = make_plan(job, begin, end, s);
        if (job.parts) {
            subwords.begin();
        } else if (job.partitions == 1) {
            for (std::int32_t j = 0; j < plan.kept; ++j) s.rows[j] = input_row(job, s.words[j]);
        }
        if (pool_is_small) {
            for (std::int32_t j = 0; j < job.pool; ++j) fetch_row(output_row(job, s.pool[j]));
        }
        for (std::int32_t b = 0; b < AHEAD && b < plan.blocks; ++b) fetch(plan, b);
        for (std::int32_t b = 0; b < plan.blocks; ++b) {
            if (b + AHEAD < plan.blocks) fetch(plan, b + AHEAD);
            if (job.parts) subwords.move_to(plan, s.blocks[b], s.blocks[b + 1]);
            const std::int64_t place = s.places[s.blocks[b]];
            const double planned = job.rate_start - static_cast<double>(job.position + place) * job.rate_slope;
            rate = static_cast<float>(planned > job.rate_floor ? planned : job.rate_floor);
            loss_counts = reckons_loss(job, place);
            if (job.partitions > 1) {
                train_partitions(plan, b);
            } else if (!job.skip_gram) {
                if (job.block > 1) {
                    train_cbow_block(plan, b);
                } else {
                    train_cbow(plan, b);
                }
            } else if (job.shared) {
                train_block(plan, b);
            } else {
                train_pairs(plan, b);
            }
        }
        if (job.parts) subwords.finish();
    }

  private:
    static constexpr std::int32_t AHEAD = 2;        // blocks whose rows are fetched into the cache beforehand
    static constexpr std::int64_t SMALL = 1 << 17;  // floats of a pool that stays in the cache for the whole unit

    const Job &job;
    const Scratch &s;
    Result &result;
    const int columns;
    const bool pool_is_small;
    float rate = 0.0f;
    bool loss_counts = false;
    Rows rows;
    Subwords subwords;
    CbowBlock cbow;

    const std::int32_t *negatives_of(std::int32_t set) const {
        return s.negatives + static_cast<std::int64_t>(set) * job.negatives;
    }

    void fetch_row(const float *row) const {
        for (std::int64_t at = 0; at < job.stride; at += 16) LOGQ_PREFETCH(row + at);
    }

    void fetch(const Plan &plan, std::int32_t b) const {
        if (job.partitions > 1) return fetch_partitions(plan, b);
        for (std::int32_t i = s.blocks[b]; i < s.blocks[b + 1]; ++i) {
            if (job.cells) fetch_row(output_row(job, s.words[i]));
            // The rest of the window has been used by earlier ones.
            if (i + job.window >= plan.kept) continue;
            const std::int32_t word = s.words[i + job.window];
            if (job.parts) {
                subwords.fetch(word);
            } else {
                fetch_row(input_row(job, word));
            }
        }
        if (job.cells && !pool_is_small && (job.shared || !job.skip_gram)) {
            const std::int32_t *negatives = negatives_of(job.skip_gram ? b : s.blocks[b] - plan.first_center);
            const std::int32_t sets = job.skip_gram ? 1 : s.blocks[b + 1] - s.blocks[b];
            for (std::int32_t j = 0; j < sets * job.negatives; ++j) fetch_row(output_row(job, negatives[j]));
        }
    }

    void fetch_partitions(const Plan &plan, std::int32_t b) const {
        const std::int32_t i = s.blocks[b], last = i + job.window;
        if (s.output_rows[i] >= 0) fetch_row(output_row(job, s.output_rows[i]));
        if (last < plan.kept && s.input_rows[last] >= 0) fetch_row(input_row(job, s.input_rows[last]));
        const std::int32_t *negatives = negatives_of(b);
        for (std::int32_t j = 0; j < job.negatives; ++j) {
            if (negatives[j] >= 0) fetch_row(output_row(job, negatives[j]));
        }
    }

    // Skip-gram, what a window has in two partitions of the tables.
    void train_partitions(const Plan &plan, std::int32_t b) {
        const Window w = take_partitions(job, plan, s, s.blocks[b], negatives_of(b));
        if (w.m == 0 || w.n == 0) return;
        find_errors(s.inputs, w);
        update_rows(s.inputs, w.m, s.outputs, w.n, s.errors, columns, s.gradient, job.stride);
        count(w.pairs);
    }

    // Skip-gram, all pairs of a block at once: each row is read and written once.
    void train_block(const Plan &plan, std::int32_t b) {
        const Block block = block_at(plan, s, b);
        const bool inputs_repeat = s.repeats[block.last - 1] >= block.first;
        Window w;
        if (!job.cells) {
            w = take_any(job, plan, s, block, nullptr);  // one output, the center: its labels are how often a word is there
            for (int i = 0; i < w.m; ++i) s.copies[i] = s.labels[i];
            take_path(job, s, s.words[block.begin], s.copies, w);
        } else if (!Rows::fit(job) || (inputs_repeat && centers_repeat(s, block))) {
            w = take_any(job, plan, s, block, negatives_of(b));
            rows.are_spoilt();
        } else {
            w = take_rows(job, plan, s, block, negatives_of(b), rows);
            const bool outputs_repeat = has_repeats(job, s, block, negatives_of(b));
            if (outputs_repeat) merge_outputs(job, s, block, negatives_of(b), w);
            if (inputs_repeat) merge_inputs(s, w);
            if (outputs_repeat || inputs_repeat) rows.are_spoilt();
        }
        if (w.m == 0 || w.n == 0) return;  // nobody around, or the only word of a tree
        find_errors(s.inputs, w);
        update_rows(s.inputs, w.m, s.outputs, w.n, s.errors, columns, s.gradient, job.stride);
        count(w.pairs);
    }

    // Skip-gram as word2vec.c has it: one pair after the other, each with negatives of its own.
    void train_pairs(const Plan &plan, std::int32_t b) {
        const std::int32_t i = s.blocks[b], c = i - plan.first_center, pairs = s.lasts[c] - s.firsts[c] - 1;
        if (job.cells) {
            for (std::int32_t pair = 0; pair < pairs; ++pair) {
                std::int32_t *negatives = s.negatives + static_cast<std::int64_t>(pair) * job.negatives;
                draw_negatives(job, s.places[i], pair, negatives);
                for (std::int32_t j = 0; j < job.negatives; ++j) fetch_row(output_row(job, negatives[j]));
            }
        }
        std::int32_t pair = 0;
        for (std::int32_t j = s.firsts[c]; j < s.lasts[c]; ++j) {
            if (j == i) continue;
            float *row[1] = {s.rows[j]};
            const std::int32_t *negatives = s.negatives + static_cast<std::int64_t>(pair++) * job.negatives;
            if (gradient_in_order(s.words[i], row, negatives)) add_rows(row, 1, s.gradient, job.stride, columns);
        }
        count(pairs);
    }

    // Every word of the context counts, also one that stands there twice.
    void train_cbow(const Plan &plan, std::int32_t b) {
        const std::int32_t i = s.blocks[b], c = i - plan.first_center;
        int m = 0;
        for (std::int32_t j = s.firsts[c]; j < s.lasts[c]; ++j) {
            if (j != i) s.inputs[m++] = s.rows[j];
        }
        if (m == 0) return;
        mean_of_rows(s.inputs, m, job.mean ? 1.0f / static_cast<float>(m) : 1.0f, columns, s.hidden);
        float *query[1] = {s.hidden};
        if (!gradient_in_order(s.words[i], query, negatives_of(b))) return;
        spread_over_rows(s.inputs, m, s.gradient, columns);
        count(1);
    }

    void train_cbow_block(const Plan &plan, std::int32_t b) {
        const int trained = cbow.take(plan, s.blocks[b], s.blocks[b + 1]);
        if (trained == 0) return;
        if (loss_counts) result.loss_sum += cbow.loss();
        cbow.train(rate);
        count(trained);
    }

    // The gradient of one query, its outputs taken one after the other: one that comes again is met as it is by then.
    // Returns false if there are none.
    bool gradient_in_order(std::int32_t center, float *const *query, const std::int32_t *negatives) {
        std::int32_t next = 0;
        bool first = true;
        do {
            Window w;
            w.m = 1;
            if (job.cells) {
                next = take_in_order(job, s, center, negatives, next, w);
            } else {
                const float once = 1.0f;
                take_path(job, s, center, &once, w);
                next = job.negatives + 1;
            }
            if (w.n == 0) break;
            find_errors(query, w);
            gradient_rows(query, 1, s.outputs, w.n, s.errors, columns, s.gradient, job.stride, first);
            first = false;
        } while (next <= job.negatives);
        return !first;
    }

    void find_errors(float *const *inputs, const Window &w) {
        if (loss_counts) {
            dots_of(inputs, w.m, s.outputs, w.n, columns, s.errors);
            result.loss_sum += loss_of(s.labels, s.weights, s.errors, w.m * w.n);
        }
        errors_of(inputs, w.m, s.outputs, w.n, columns, s.labels, s.weights, rate, s.errors);
    }

    void count(std::int64_t pairs) {
        result.pairs += pairs;
        if (loss_counts) result.loss_pairs += pairs;
    }
};

}  // namespace

namespace logq::word2vec {

void LOGQ_OF_LEVEL(train_unit)(const Job &job, std::int64_t begin, std::int64_t end, void *memory, Result &result) {
    Pieces pieces{static_cast<char *>(memory), 0};
    const Scratch scratch(job, pieces);
    Unit(job, scratch, result).train(begin, end);
}

}  // namespace logq::word2vec
