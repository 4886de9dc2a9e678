// What Python sees of the word2vec engine.

#include "../bindings.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "train.hpp"

namespace nb = nanobind;

namespace logq {
namespace {

using word2vec::Cell;
using word2vec::Job;

using Table = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <typename T> using Array = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

void check_table(const char *name, const Table &table, std::int64_t rows, std::int64_t stride) {
    const std::string called(name);
    expect(static_cast<std::int64_t>(table.shape(0)) == rows && static_cast<std::int64_t>(table.shape(1)) == stride,
           called + ": expected shape (" + std::to_string(rows) + ", " + std::to_string(stride) + "), got (" +
               std::to_string(table.shape(0)) + ", " + std::to_string(table.shape(1)) + ")");
    expect(stride % 16 == 0, called + ": expected rows of a multiple of 16 floats, got " + std::to_string(stride));
    // A table without rows, as the only word of a tree has, lies nowhere.
    expect(rows == 0 || reinterpret_cast<std::uintptr_t>(table.data()) % 64 == 0,
           called + ": expected memory aligned to 64 bytes");
}

void check_length(const char *name, std::size_t length, std::int64_t expected) {
    expect(static_cast<std::int64_t>(length) == expected,
           std::string(name) + ": expected " + std::to_string(expected) + " numbers, got " + std::to_string(length));
}

void check_ids(const Array<std::int32_t> &ids, std::int64_t num_words) {
    const std::int32_t *values = ids.data();
    const std::int64_t size = static_cast<std::int64_t>(ids.shape(0));
    std::int32_t largest = -1;
    for (std::int64_t i = 0; i < size; ++i) largest = values[i] > largest ? values[i] : largest;
    if (largest < num_words) return;
    std::int64_t i = 0;
    while (values[i] < num_words) ++i;
    throw std::invalid_argument("ids: expected words below " + std::to_string(num_words) + ", got " +
                                std::to_string(values[i]) + " at position " + std::to_string(i));
}

// Returns of how many parts the longest word consists.
std::int32_t check_parts(const Array<std::int64_t> &offsets, const Array<std::int32_t> &parts, std::int64_t rows) {
    const std::int64_t words = static_cast<std::int64_t>(offsets.shape(0)) - 1, size = static_cast<std::int64_t>(parts.shape(0));
    std::int64_t most = 0, end = 0;
    for (std::int64_t word = 0; word < words; ++word) {
        const std::int64_t begin = offsets.data()[word], count = offsets.data()[word + 1] - begin;
        if (begin != end || count < 1 || count > size - begin) {
            throw std::invalid_argument("part_offsets: expected numbers that rise from 0 to " + std::to_string(size) + ", got " +
                                        std::to_string(begin) + " and " + std::to_string(offsets.data()[word + 1]) +
                                        " for word " + std::to_string(word));
        }
        end = begin + count;
        if (count > most) most = count;
    }
    for (std::int64_t i = 0; i < size; ++i) {
        const std::int32_t row = parts.data()[i];
        if (row >= 0 && row < rows) continue;
        throw std::invalid_argument("parts: expected rows in [0, " + std::to_string(rows) + "), got " + std::to_string(row) +
                                    " at position " + std::to_string(i));
    }
    expect(most <= std::numeric_limits<std::int32_t>::max(), "parts: expected fewer than 2**31 of a word");
    return static_cast<std::int32_t>(most);
}

// A path of a Huffman tree has some 90 nodes at most if counts are integers. What is trained at once has a number for
// each of its nodes and each word of a window.
constexpr std::int64_t LONGEST_PATH = 10000;

// Returns how long the longest path is.
std::int32_t check_paths(const Array<std::int64_t> &offsets, const Array<std::int32_t> &points,
                         const Array<std::uint8_t> &codes, std::int64_t num_words) {
    const std::int64_t size = static_cast<std::int64_t>(points.shape(0));
    check_length("offsets", offsets.shape(0), num_words + 1);
    check_length("codes", codes.shape(0), size);
    std::int64_t longest = 0;
    for (std::int64_t word = 0; word < num_words; ++word) {
        const std::int64_t begin = offsets.data()[word], end = offsets.data()[word + 1];
        if (begin < 0 || end < begin || end > size || end - begin > LONGEST_PATH) {
            throw std::invalid_argument("offsets: expected numbers that rise from 0 to " + std::to_string(size) + " by at most " +
                                        std::to_string(LONGEST_PATH) + ", got " + std::to_string(begin) + " and " +
                                        std::to_string(end) + " for word " + std::to_string(word));
        }
        if (end - begin > longest) longest = end - begin;
    }
    for (std::int64_t i = 0; i < size; ++i) {
        const std::int32_t point = points.data()[i];
        if (point >= 0 && point < num_words - 1) continue;
        throw std::invalid_argument("points: expected inner nodes in [0, " + std::to_string(num_words - 1) + "), got " +
                                    std::to_string(point) + " at position " + std::to_string(i));
    }
    return static_cast<std::int32_t>(longest);
}

std::tuple<std::int64_t, std::int64_t, double> word2vec_train(
    const Table &inputs, const Table &outputs, const Array<std::int64_t> &part_offsets, const Array<std::int32_t> &parts,
    const Array<std::int32_t> &ids, std::int64_t begin, std::int64_t end,
    std::int64_t position, std::uint64_t seed, const Array<std::uint32_t> &keep, const Array<std::uint64_t> &cells,
    const Array<std::int64_t> &offsets, const Array<std::int32_t> &points, const Array<std::uint8_t> &codes, int window, bool shrink,
    int negatives, bool skip_gram, bool mean, bool shared, int block,
    int pool, double rate_start, double rate_slope, double rate_floor,
    int threads, const std::string &simd, int loss_every, const Array<std::uint64_t> &shares,
    int input_partition, int output_partition) {
    const Level level = level_named(simd);
    Job job;
    const std::int64_t partitions = shares.shape(0) > 0 ? static_cast<std::int64_t>(shares.shape(0)) : 1;
    const bool composed = part_offsets.shape(0) > 0;
    const std::int64_t num_rows = static_cast<std::int64_t>(inputs.shape(0));
    const std::int64_t num_words = composed          ? static_cast<std::int64_t>(part_offsets.shape(0)) - 1
                                   : partitions == 1 ? num_rows
                                                     : static_cast<std::int64_t>(keep.shape(0));
    const bool hierarchical = offsets.shape(0) > 0;
    job.inputs = inputs.data();
    job.outputs = outputs.data();
    job.stride = static_cast<std::int64_t>(inputs.shape(1));
    job.partitions = static_cast<std::int32_t>(partitions);
    job.shares = shares.data();
    job.input_partition = input_partition;
    job.output_partition = output_partition;
    job.reciprocal = partitions > 1 ? ~std::uint64_t{0} / static_cast<std::uint64_t>(partitions) + 1 : 0;
    job.part_offsets = composed ? part_offsets.data() : nullptr;
    job.parts = composed ? parts.data() : nullptr;
    job.most_parts = 0;
    job.ids = ids.data();
    job.size = static_cast<std::int64_t>(ids.shape(0));
    job.begin = begin;
    job.end = end;
    job.position = position;
    job.seed = seed;
    job.keep = keep.data();
    job.window = window;
    job.shrink = shrink;
    job.skip_gram = skip_gram;
    job.mean = mean;
    job.shared = shared;
    job.block = shared && !hierarchical ? block : 1;
    job.cells = hierarchical ? nullptr : reinterpret_cast<const Cell *>(cells.data());
    job.num_cells = static_cast<std::int32_t>(cells.shape(0));
    job.pool = shared && !hierarchical ? pool : 0;
    job.negatives = hierarchical ? 0 : negatives;
    job.offsets = offsets.data();
    job.points = points.data();
    job.codes = codes.data();
    job.longest_path = 0;
    job.loss_every = loss_every;
    job.rate_start = rate_start;
    job.rate_slope = rate_slope;
    job.rate_floor = rate_floor;

    expect(0 <= begin && begin <= end && end <= job.size,
           "begin, end: expected 0 <= begin <= end <= " + std::to_string(job.size) + ", got " + std::to_string(begin) + ", " +
               std::to_string(end));
    expect(position >= 0 && position <= std::int64_t{1} << 62,
           "position: expected 0 to 2**62, got " + std::to_string(position));
    expect(std::isfinite(rate_start) && std::isfinite(rate_slope) && std::isfinite(rate_floor),
           "rate: expected finite numbers, got " + std::to_string(rate_start) + ", " + std::to_string(rate_slope) + ", " +
               std::to_string(rate_floor));
    expect(window >= 1 && window <= 10000, "window: expected 1 to 10,000, got " + std::to_string(window));
    expect(pool >= 0 && pool <= 1 << 20, "pool: expected 0 to 1,048,576, got " + std::to_string(pool));
    expect(block >= 1 && block <= word2vec::MOST_BLOCK,
           "block: expected 1 to " + std::to_string(word2vec::MOST_BLOCK) + ", got " + std::to_string(block));
    expect(loss_every >= 1 && (loss_every & (loss_every - 1)) == 0,
           "loss_every: expected a power of two, got " + std::to_string(loss_every));
    expect(threads >= 1, "threads: expected at least 1, got " + std::to_string(threads));
    expect(num_words >= 1 && num_words <= std::numeric_limits<std::int32_t>::max(),
           "inputs: expected 1 to 2**31 - 1 rows, got " + std::to_string(num_words));
    expect(job.stride >= 16, "inputs: expected rows of a multiple of 16 floats, got " + std::to_string(job.stride));
    check_length("keep", keep.shape(0), num_words);
    expect(partitions >= 1 && partitions <= num_words && 0 <= input_partition && input_partition < partitions &&
               0 <= output_partition && output_partition < partitions,
           "partitions: expected 1 to " + std::to_string(num_words) + ", and numbers below, got " + std::to_string(partitions) +
               ", " + std::to_string(input_partition) + " and " + std::to_string(output_partition));
    expect(partitions == 1 || (skip_gram && shared && !hierarchical && block == 1 && !composed),
           "partitions: expected 1, except for skip-gram with shared negatives and blocks of 1, without subwords");
    const std::int64_t num_outputs =
        ((hierarchical ? num_words - 1 : num_words) - output_partition + partitions - 1) / partitions;
    check_table("inputs", inputs, composed ? num_rows : (num_words - input_partition + partitions - 1) / partitions, job.stride);
    if (composed) job.most_parts = check_parts(part_offsets, parts, num_rows);
    check_table("outputs", outputs, num_outputs, job.stride);
    check_ids(ids, num_words);
    if (hierarchical) {
        job.longest_path = check_paths(offsets, points, codes, num_words);
    } else {
        check_length("cells", cells.shape(0), num_outputs);
        expect(negatives >= 1 && negatives <= 10000, "negatives: expected 1 to 10,000, got " + std::to_string(negatives));
        for (std::int64_t word = 0; word < num_outputs; ++word) {
            const std::int32_t alias = job.cells[word].alias;
            if (alias >= 0 && alias < num_outputs) continue;
            throw std::invalid_argument("cells: expected aliases in [0, " + std::to_string(num_outputs) + "), got " +
                                        std::to_string(alias) + " for word " + std::to_string(word));
        }
    }
    word2vec::Result result;
    {
        nb::gil_scoped_release released;
        result = word2vec::train(job, level, threads);
    }
    return {result.pairs, result.loss_pairs, result.loss_sum};
}

std::vector<std::string> simd_levels() {
    std::vector<std::string> names;
    for (const Level level : levels()) names.emplace_back(name_of(level));
    return names;
}

}  // namespace

void bind_word2vec(nb::module_ &module) {
    module.def("word2vec_train", &word2vec_train, nb::arg("inputs").noconvert(), nb::arg("outputs").noconvert(),
               nb::arg("part_offsets").noconvert(), nb::arg("parts").noconvert(), nb::arg("ids").noconvert(), nb::kw_only(), nb::arg("begin"), nb::arg("end"), nb::arg("position"),
               nb::arg("seed"), nb::arg("keep").noconvert(), nb::arg("cells").noconvert(), nb::arg("offsets").noconvert(),
               nb::arg("points").noconvert(), nb::arg("codes").noconvert(), nb::arg("window"), nb::arg("shrink"), nb::arg("negatives"),
               nb::arg("skip_gram"), nb::arg("mean"), nb::arg("shared"), nb::arg("block"),
               nb::arg("pool"), nb::arg("rate_start"), nb::arg("rate_slope"),
               nb::arg("rate_floor"), nb::arg("threads"), nb::arg("simd"),
               nb::arg("loss_every"), nb::arg("shares").noconvert(), nb::arg("input_partition"),
               nb::arg("output_partition"),
               "Train on ids[begin:end], in place; returns (pairs, pairs with a loss, sum of their losses).");
    module.def("simd_levels", &simd_levels, "The sets of instructions that run here, the fastest first.");
}

}  // namespace logq
