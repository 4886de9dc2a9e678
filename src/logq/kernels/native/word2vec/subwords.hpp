// Words that consist of several rows of the input table. A word that a window can reach has a working copy, the mean of its
// rows, on which it is trained like any other; when no window reaches it any more, each of its rows gains what the copy has
// gained (fastText, too, adds the whole gradient of the mean to each row). So its rows are read and written once for all
// windows that it stands in. Words in reach do not see one another's gains in rows that they share; equal words are one copy.

#pragma once

#include "tiles.hpp"
#include "window.hpp"

namespace {

class Subwords {
  public:
    Subwords(const Job &job, const Scratch &scratch, int columns)
        : job(job), s(scratch), columns(columns), copies(static_cast<int>(most_copies(job))) {}

    // Before each unit.
    void begin() {
        entered = 0;
        for (int slot = 0; slot < copies; ++slot) s.copied[slot] = NOBODY;
    }

    // Gives a row to all words that the centers in [first, behind) can reach, after those have left that they cannot.
    void move_to(const Plan &plan, std::int32_t first, std::int32_t behind) {
        for (int slot = 0; slot < copies; ++slot) {
            if (s.copied[slot] != NOBODY && s.latest[slot] < first - job.window) leave(slot);
        }
        const std::int32_t end = behind + job.window < plan.kept ? behind + job.window : plan.kept;
        for (; entered < end; ++entered) enter(entered);
    }

    // After each unit.
    void finish() {
        for (int slot = 0; slot < copies; ++slot) {
            if (s.copied[slot] != NOBODY) leave(slot);
        }
    }

    void fetch(std::int32_t word) const {
        for (std::int64_t at = job.part_offsets[word]; at < job.part_offsets[word + 1]; ++at) {
            const float *const row = part_row(at);
            for (int c = 0; c < columns * LANES; c += 16) LOGQ_PREFETCH(row + c);
        }
    }

  private:
    static constexpr std::int32_t NOBODY = -1;

    const Job &job;
    const Scratch &s;
    const int columns;
    const int copies;
    std::int32_t entered = 0;

    float *part_row(std::int64_t at) const { return job.inputs + job.parts[at] * job.stride; }
    float *copy_at(int slot) const { return s.word_copies + slot * job.stride; }
    float *start_at(int slot) const { return s.word_starts + slot * job.stride; }

    int find_parts(std::int32_t word) {
        const std::int64_t begin = job.part_offsets[word];
        const int count = static_cast<int>(job.part_offsets[word + 1] - begin);
        for (int i = 0; i < count; ++i) s.parts[i] = part_row(begin + i);
        return count;
    }

    void enter(std::int32_t j) {
        const std::int32_t word = s.words[j];
        int slot = -1, free = -1;
        for (int other = 0; other < copies; ++other) {
            if (s.copied[other] == word) slot = other;
            if (s.copied[other] == NOBODY) free = other;
        }
        if (slot < 0) {
            slot = free;
            s.copied[slot] = word;
            const int count = find_parts(word);
            float *const start = start_at(slot), *const copy = copy_at(slot);
            mean_of_rows(s.parts, count, 1.0f / static_cast<float>(count), columns, start);
            for (int c = 0; c < columns; ++c) store(copy + c * LANES, load(start + c * LANES));
        }
        s.latest[slot] = j;
        s.rows[j] = copy_at(slot);
    }

    void leave(int slot) {
        const float *const copy = copy_at(slot);
        float *const gain = start_at(slot);
        for (int c = 0; c < columns; ++c) store(gain + c * LANES, load(copy + c * LANES) - load(gain + c * LANES));
        spread_over_rows(s.parts, find_parts(s.copied[slot]), gain, columns);
        s.copied[slot] = NOBODY;
    }
};

}  // namespace
