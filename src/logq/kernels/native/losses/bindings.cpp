// What Python sees of the loss kernels. Shapes and dtypes are made by logq.kernels.cpp, which alone calls this; what is
// checked here again are sizes, because a wrong one would read strange memory.

#include "../bindings.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <optional>
#include <stdexcept>
#include <string>

#include "run.hpp"

namespace nb = nanobind;

namespace logq {
namespace {

using losses::Batch;
using losses::Pass;
using losses::RowJob;
using losses::SharedJob;
using losses::Stored;
using losses::TileJob;

using Any = nb::ndarray<nb::c_contig, nb::device::cpu>;
using Maybe = std::optional<Any>;
using Ids = nb::ndarray<const std::int64_t, nb::c_contig, nb::device::cpu>;

Stored stored_as(const std::string &dtype) {
    if (dtype == "float32") return Stored::FLOAT32;
    if (dtype == "float64") return Stored::FLOAT64;
    if (dtype == "bfloat16") return Stored::BFLOAT16;
    if (dtype == "float16") return Stored::FLOAT16;
    throw std::invalid_argument("stored: expected float32, float64, bfloat16 or float16, got '" + dtype + "'");
}

std::size_t bytes_of(Stored stored) {
    return stored == Stored::FLOAT64 ? 8 : stored == Stored::FLOAT32 ? 4 : 2;
}

// The memory of an array of `count` numbers of Real.
void *numbers(const char *name, const Any &array, std::int64_t count, bool doubles) {
    const nb::dlpack::dtype dtype = doubles ? nb::dtype<double>() : nb::dtype<float>();
    expect(array.dtype() == dtype, std::string(name) + ": expected " + (doubles ? "float64" : "float32"));
    expect(static_cast<std::int64_t>(array.size()) == count,
           std::string(name) + ": expected " + std::to_string(count) + " numbers, got " + std::to_string(array.size()));
    return array.data();
}

void *numbers(const char *name, const Maybe &array, std::int64_t count, bool doubles) {
    return array ? numbers(name, *array, count, doubles) : nullptr;
}

const bool *flags(const char *name, const Maybe &array, std::int64_t count) {
    if (!array) return nullptr;
    expect(array->dtype() == nb::dtype<bool>(), std::string(name) + ": expected bool");
    expect(static_cast<std::int64_t>(array->size()) == count,
           std::string(name) + ": expected " + std::to_string(count) + " flags, got " + std::to_string(array->size()));
    return static_cast<const bool *>(array->data());
}

void check_classes(const char *name, const Ids &ids, std::int64_t num_classes, bool may_be_none) {
    const std::int64_t *values = ids.data();
    const std::int64_t size = static_cast<std::int64_t>(ids.size());
    for (std::int64_t i = 0; i < size; ++i) {
        if (values[i] < num_classes && (values[i] >= 0 || may_be_none)) continue;
        throw std::invalid_argument(std::string(name) + ": expected classes in [0, " + std::to_string(num_classes) + "), got " +
                                    std::to_string(values[i]) + " at place " + std::to_string(i));
    }
}

struct Bound {
    Batch batch;
    std::int64_t rows;
    bool doubles;
};

Bound bind_batch(const Any &input, const Any &weight, const std::string &stored, bool cosine, const Ids &targets) {
    Bound bound;
    Batch &batch = bound.batch;
    expect(input.ndim() == 2 && weight.ndim() == 2 && targets.ndim() == 2, "input, weight, targets: expected two dimensions");
    batch.stored = stored_as(stored);
    expect(weight.itemsize() == bytes_of(batch.stored), "weight: expected it as " + stored);
    expect(weight.shape(1) == input.shape(1), "weight: expected the width of input");
    expect(targets.shape(0) == input.shape(0), "targets: expected the rows of input");
    check_classes("targets", targets, static_cast<std::int64_t>(weight.shape(0)), true);
    bound.doubles = batch.stored == Stored::FLOAT64;
    bound.rows = static_cast<std::int64_t>(input.shape(0));
    batch.weight = weight.data();
    batch.cosine = cosine;
    batch.width = static_cast<std::int64_t>(input.shape(1));
    batch.input = numbers("input", input, bound.rows * batch.width, bound.doubles);
    batch.targets = targets.data();
    batch.num_true = static_cast<std::int64_t>(targets.shape(1));
    return bound;
}

void row_losses(const Any &input, const Any &weight, const std::string &stored, const Ids &targets, const Ids &ids,
                const Maybe &true_offsets, const Maybe &offsets, const Maybe &excluded, const Maybe &row_scale,
                double inverse_temperature, bool cosine, bool softmax, bool remove_hits, const Any &losses,
                const Maybe &input_gradient, const Maybe &true_factors, const Maybe &factors, int threads, const std::string &simd) {
    const Level level = level_named(simd);
    const Bound bound = bind_batch(input, weight, stored, cosine, targets);
    const std::int64_t rows = bound.rows;
    expect(ids.ndim() == 2 && static_cast<std::int64_t>(ids.shape(0)) == rows, "ids: expected two dimensions and the rows of input");
    check_classes("ids", ids, static_cast<std::int64_t>(weight.shape(0)), false);
    RowJob job;
    job.batch = bound.batch;
    job.num_sampled = static_cast<std::int64_t>(ids.shape(1));
    const std::int64_t of_true = rows * job.batch.num_true, of_sampled = rows * job.num_sampled;
    expect(job.batch.num_true + job.num_sampled < (1LL << 30), "ids: expected fewer than 2**30 classes per row");
    expect(!softmax || job.batch.num_true == 1, "targets: expected one true class per row for softmax");
    job.ids = ids.data();
    job.true_offsets = numbers("true_offsets", true_offsets, of_true, bound.doubles);
    job.offsets = numbers("offsets", offsets, of_sampled, bound.doubles);
    job.excluded = flags("excluded", excluded, of_sampled);
    job.row_scale = numbers("row_scale", row_scale, rows, bound.doubles);
    job.inverse_temperature = inverse_temperature;
    job.softmax = softmax;
    job.remove_hits = remove_hits;
    job.losses = numbers("losses", losses, rows, bound.doubles);
    job.input_gradient = numbers("input_gradient", input_gradient, rows * job.batch.width, bound.doubles);
    job.true_factors = numbers("true_factors", true_factors, of_true, bound.doubles);
    job.factors = numbers("factors", factors, of_sampled, bound.doubles);
    expect(!job.input_gradient || (job.true_factors && job.factors), "input_gradient: expected true_factors and factors with it");
    nb::gil_scoped_release released;
    losses::row_losses(job, rows, level, threads);
}

// What tiles have in common, for rows with so many columns.
TileJob bind_tile(std::int64_t rows, std::int64_t columns, bool doubles, const Maybe &offsets, const Maybe &excluded,
                  std::int64_t excluded_width, const std::optional<Ids> &places, const std::optional<Ids> &hits_begin,
                  const std::optional<Ids> &hits_end, std::int64_t first_column, const Ids &targets, const Any &true_logits,
                  const Maybe &row_scale, double inverse_temperature, bool softmax, bool gradients, const Any &losses,
                  const Maybe &true_factors) {
    TileJob job{};
    expect(targets.ndim() == 2 && static_cast<std::int64_t>(targets.shape(0)) == rows, "targets: expected the rows of the tile");
    job.pass = Pass::WHOLE;
    job.doubles = doubles;
    job.rows = rows;
    job.columns = columns;
    job.num_true = static_cast<std::int64_t>(targets.shape(1));
    job.softmax = softmax;
    job.gradients = gradients;
    job.first = true;
    expect(!softmax || job.num_true == 1, "targets: expected one true class per row for softmax");
    const bool own = offsets && offsets->ndim() == 2;
    job.offsets = numbers("offsets", offsets, own ? rows * columns : columns, doubles);
    job.offset_stride = own ? columns : 0;
    job.excluded = flags("excluded", excluded, rows * excluded_width);
    job.excluded_stride = excluded_width;
    if (job.excluded) {
        expect(first_column + columns <= excluded_width, "excluded: expected a flag for each column");
        job.excluded += first_column;
    }
    const std::int64_t of_true = rows * job.num_true;
    if (places) {
        expect(hits_begin && hits_end, "places: expected hits_begin and hits_end with it");
        expect(static_cast<std::int64_t>(hits_begin->size()) == of_true && static_cast<std::int64_t>(hits_end->size()) == of_true,
               "hits_begin, hits_end: expected one for each target");
        const std::int64_t size = static_cast<std::int64_t>(places->size());
        for (std::int64_t e = 0; e < of_true; ++e) {
            expect(hits_begin->data()[e] >= 0 && hits_end->data()[e] <= size, "hits_begin, hits_end: expected positions in places");
        }
        job.places = places->data();
        job.hits_begin = hits_begin->data();
        job.hits_end = hits_end->data();
    }
    job.first_column = first_column;
    job.targets = targets.data();
    job.true_logits = numbers("true_logits", true_logits, of_true, doubles);
    job.row_scale = numbers("row_scale", row_scale, rows, doubles);
    job.inverse_temperature = inverse_temperature;
    job.losses = numbers("losses", losses, rows, doubles);
    job.true_factors = numbers("true_factors", true_factors, of_true, doubles);
    expect(!gradients || job.true_factors, "true_factors: expected an array where gradients are wanted");
    return job;
}

void tile_losses(const std::string &pass, const Any &tile, const Maybe &offsets, const Maybe &excluded, std::int64_t excluded_width,
                 const std::optional<Ids> &places, const std::optional<Ids> &hits_begin, const std::optional<Ids> &hits_end,
                 std::int64_t first_column, const Ids &targets, const Any &true_logits, const Maybe &row_scale,
                 double inverse_temperature, bool softmax, bool gradients, bool first, const Any &losses,
                 const Maybe &true_factors, const Maybe &maxima, const Maybe &sums, int threads, const std::string &simd) {
    const Level level = level_named(simd);
    expect(pass == "whole" || pass == "reduce" || pass == "factors", "pass: expected whole, reduce or factors, got " + pass);
    expect(tile.ndim() == 2, "tile: expected two dimensions");
    TileJob job = bind_tile(static_cast<std::int64_t>(tile.shape(0)), static_cast<std::int64_t>(tile.shape(1)),
                            tile.dtype() == nb::dtype<double>(), offsets, excluded, excluded_width, places, hits_begin, hits_end,
                            first_column, targets, true_logits, row_scale, inverse_temperature, softmax, gradients, losses,
                            true_factors);
    job.pass = pass == "whole" ? Pass::WHOLE : pass == "reduce" ? Pass::REDUCE : Pass::FACTORS;
    expect(softmax || job.pass == Pass::WHOLE, "pass: expected whole for the logistic loss");
    job.first = first;
    job.tile = numbers("tile", tile, job.rows * job.columns, job.doubles);
    job.maxima = numbers("maxima", maxima, job.rows, job.doubles);
    job.sums = numbers("sums", sums, job.rows, job.doubles);
    expect(job.pass == Pass::WHOLE || (job.maxima && job.sums), "maxima, sums: expected arrays");
    nb::gil_scoped_release released;
    losses::tile_losses(job, level, threads);
}

void shared_losses(const Any &input, const Any &sampled, const Maybe &offsets, const Maybe &excluded,
                   const std::optional<Ids> &places, const std::optional<Ids> &hits_begin, const std::optional<Ids> &hits_end,
                   const Ids &targets, const Any &true_logits, const Maybe &row_scale, double inverse_temperature, bool softmax,
                   bool gradients, const Any &losses, const Maybe &true_factors, const Maybe &input_gradient,
                   const Maybe &row_gradient, const Maybe &column_sums, int threads, const std::string &simd) {
    const Level level = level_named(simd);
    expect(input.ndim() == 2 && sampled.ndim() == 2 && input.shape(1) == sampled.shape(1), "input, sampled: expected equal widths");
    const std::int64_t rows = static_cast<std::int64_t>(input.shape(0)), columns = static_cast<std::int64_t>(sampled.shape(0));
    expect(rows > 0 && columns > 0, "input, sampled: expected one row and one class at least");
    SharedJob job{};
    job.tile = bind_tile(rows, columns, false, offsets, excluded, columns, places, hits_begin, hits_end, 0, targets, true_logits,
                         row_scale, inverse_temperature, softmax, gradients, losses, true_factors);
    job.width = static_cast<std::int64_t>(input.shape(1));
    const auto floats = [](const char *name, const Maybe &array, std::int64_t count) {
        return static_cast<float *>(numbers(name, array, count, false));
    };
    job.input = floats("input", input, rows * job.width);
    job.sampled = floats("sampled", sampled, columns * job.width);
    job.input_gradient = floats("input_gradient", input_gradient, rows * job.width);
    job.row_gradient = floats("row_gradient", row_gradient, columns * job.width);
    job.column_sums = floats("column_sums", column_sums, columns);
    expect(gradients || (!input_gradient && !row_gradient && !column_sums), "gradients: expected True for what is to be written");
    nb::gil_scoped_release released;
    losses::shared_losses(job, level, threads);
}

using NewIds = nb::ndarray<std::int64_t, nb::c_contig, nb::device::cpu>;

void find_hits(const Ids &targets, const Ids &ids, const NewIds &places, const NewIds &begin, const NewIds &end) {
    expect(places.size() == ids.size(), "places: expected one for each id");
    expect(begin.size() == targets.size() && end.size() == targets.size(), "begin, end: expected one for each target");
    nb::gil_scoped_release released;
    losses::find_hits(targets.data(), static_cast<std::int64_t>(targets.size()), ids.data(), static_cast<std::int64_t>(ids.size()),
                      places.data(), begin.data(), end.data());
}

void true_dots(const Any &input, const Any &weight, const std::string &stored, const Ids &targets, bool cosine, const Any &dots,
               int threads, const std::string &simd) {
    const Level level = level_named(simd);
    const Bound bound = bind_batch(input, weight, stored, cosine, targets);
    void *const to = numbers("dots", dots, bound.rows * bound.batch.num_true, bound.doubles);
    nb::gil_scoped_release released;
    losses::true_dots(bound.batch, to, bound.rows, level, threads);
}

void add_true_rows(const Any &to, const Any &weight, const std::string &stored, const Ids &targets, const Any &factors, bool cosine,
                   int threads, const std::string &simd) {
    const Level level = level_named(simd);
    const Bound bound = bind_batch(to, weight, stored, cosine, targets);
    void *const numbers_of = numbers("factors", factors, bound.rows * bound.batch.num_true, bound.doubles);
    void *const sums = numbers("to", to, bound.rows * bound.batch.width, bound.doubles);
    nb::gil_scoped_release released;
    losses::add_true_rows(bound.batch, numbers_of, sums, bound.rows, level, threads);
}

}  // namespace

void bind_losses(nb::module_ &module) {
    using nb::arg;
    module.def("row_losses", &row_losses, arg("input"), arg("weight"), arg("stored"), arg("targets"), arg("ids"), nb::kw_only(),
               arg("true_offsets").none(), arg("offsets").none(), arg("excluded").none(), arg("row_scale").none(),
               arg("inverse_temperature"), arg("cosine"), arg("softmax"), arg("remove_hits"), arg("losses"),
               arg("input_gradient").none(), arg("true_factors").none(), arg("factors").none(), arg("threads"), arg("simd"),
               "Losses of rows with sampled classes of their own, and what their gradients are made of.");
    module.def("tile_losses", &tile_losses, arg("pass"), arg("tile"), nb::kw_only(), arg("offsets").none(), arg("excluded").none(),
               arg("excluded_width"), arg("places").none(), arg("hits_begin").none(), arg("hits_end").none(), arg("first_column"),
               arg("targets"), arg("true_logits"), arg("row_scale").none(), arg("inverse_temperature"), arg("softmax"),
               arg("gradients"), arg("first"), arg("losses"), arg("true_factors").none(), arg("maxima").none(), arg("sums").none(),
               arg("threads"), arg("simd"), "Losses of rows that share their sampled classes, from a tile of dot products.");
    module.def("shared_losses", &shared_losses, arg("input"), arg("sampled"), nb::kw_only(), arg("offsets").none(),
               arg("excluded").none(), arg("places").none(), arg("hits_begin").none(), arg("hits_end").none(), arg("targets"),
               arg("true_logits"), arg("row_scale").none(), arg("inverse_temperature"), arg("softmax"), arg("gradients"),
               arg("losses"), arg("true_factors").none(), arg("input_gradient").none(), arg("row_gradient").none(),
               arg("column_sums").none(), arg("threads"), arg("simd"),
               "Losses of rows that share their sampled classes, and what their gradients are made of.");
    module.def("find_hits", &find_hits, arg("targets"), arg("ids"), arg("places"), arg("begin"), arg("end"),
               "Where true classes stand in a sample.");
    module.def("true_dots", &true_dots, arg("input"), arg("weight"), arg("stored"), arg("targets"), nb::kw_only(), arg("cosine"),
               arg("dots"), arg("threads"), arg("simd"), "dots[i, t] = <input_i, weight_t>.");
    module.def("add_true_rows", &add_true_rows, arg("to"), arg("weight"), arg("stored"), arg("targets"), nb::kw_only(),
               arg("factors"), arg("cosine"), arg("threads"), arg("simd"), "to[i] += sum over t of factors[i, t] weight_t.");
}

}  // namespace logq
