#include "../bindings.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "distinct.hpp"
#include "inclusion.hpp"

namespace nb = nanobind;

namespace logq {
namespace {

template <typename Scalar> using Input = nb::ndarray<const Scalar, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Cells = nb::ndarray<const std::int32_t, nb::shape<-1, 2>, nb::c_contig, nb::device::cpu>;
template <typename Scalar> using Changed = nb::ndarray<Scalar, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Ids = nb::ndarray<std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Rows = nb::ndarray<std::int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <typename Scalar> using Matrix = nb::ndarray<Scalar, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using SomeRows = nb::ndarray<const std::int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

// A distribution with the arrays that it looks into.
struct Kept {
    sampling::Distribution distribution;
    Cells cells;
    Input<std::int64_t> recent;
};

std::uint64_t checked_classes(std::int64_t num_classes) {
    if (num_classes < 1 || num_classes >= std::int64_t{1} << 62) {
        throw std::invalid_argument("num_classes: expected 1 ... 2**62 - 1, got " + std::to_string(num_classes));
    }
    return static_cast<std::uint64_t>(num_classes);
}

Kept uniform(std::int64_t num_classes) { return {sampling::Uniform{checked_classes(num_classes)}, {}, {}}; }

Kept log_uniform(std::int64_t num_classes) {
    checked_classes(num_classes);
    const Level best = levels().front();
    const double log_range = std::log1p(static_cast<double>(num_classes));
    return {sampling::LogUniform{num_classes, log_range, LOGQ_CHOOSE(best, sampling::exponentials)}, {}, {}};
}

sampling::Alias table_of(const Cells &cells) {
    const std::size_t size = cells.shape(0);
    if (size < 1 || size > INT32_MAX) {
        throw std::invalid_argument("cells: expected 1 ... 2**31 - 1 of them, got " + std::to_string(size));
    }
    return {reinterpret_cast<const sampling::Cell *>(cells.data()), size};
}

Kept alias(Cells cells) {
    const sampling::Alias table = table_of(cells);
    return {table, std::move(cells), {}};
}

Kept learned(Cells cells, Input<std::int64_t> recent, std::int64_t in_table) {
    if (in_table < 1) throw std::invalid_argument("in_table: expected 1 at least, got " + std::to_string(in_table));
    const sampling::Learned made{table_of(cells), recent.data(), recent.shape(0), static_cast<std::uint64_t>(in_table)};
    return {made, std::move(cells), std::move(recent)};
}

void draw(const Kept &kept, std::uint64_t seed, const Ids &ids, int threads) {
    std::int64_t *out = ids.data();
    const std::size_t size = ids.shape(0);
    nb::gil_scoped_release released;
    sampling::draw(kept.distribution, seed, out, size, threads);
}

void uniform_rows(const Input<std::int64_t> &classes, std::uint64_t seed, double inverse_bound,
                  const Matrix<double> &rows, int threads) {
    const std::size_t size = classes.shape(0), width = rows.shape(1);
    if (rows.shape(0) != size) throw std::invalid_argument("rows: expected one for each class");
    if (!(inverse_bound > 0)) throw std::invalid_argument("inverse_bound: expected more than 0");
    const std::int64_t *of = classes.data();
    double *out = rows.data();
    nb::gil_scoped_release released;
    sampling::uniform_rows(of, size, width, seed, inverse_bound, out, threads);
}

void draw_distinct(const Kept &kept, std::uint64_t seed, const Rows &ids, const Rows &inside, const Rows &outside,
                   int threads) {
    const std::size_t num_rows = ids.shape(0), num_sampled = ids.shape(1);
    if (inside.shape(0) != num_rows || inside.shape(1) != num_sampled) {
        throw std::invalid_argument("inside: expected the shape of ids");
    }
    if (outside.shape(0) != num_rows || outside.shape(1) != 1) {
        throw std::invalid_argument("outside: expected one number for each row of ids");
    }
    if (num_sampled < 1 || num_sampled >= UINT32_MAX) {
        throw std::invalid_argument("ids: expected 1 ... 2**32 - 2 in a row, got " + std::to_string(num_sampled));
    }
    std::int64_t *i = ids.data(), *in = inside.data(), *out = outside.data();
    nb::gil_scoped_release released;
    sampling::draw_distinct(kept.distribution, seed, num_rows, num_sampled, i, in, out, threads);
}

// log p of classes with the table that it looks into.
struct KeptCounts {
    sampling::Inclusion law;
    Input<float> floats;
    Input<double> doubles;
};

KeptCounts equal_counts(double shift, bool in_double) {
    return {{sampling::Counts::EQUAL, nullptr, shift, nullptr, nullptr, nullptr, in_double}, {}, {}};
}

KeptCounts log_uniform_counts(double shift, bool in_double) {
    return {{sampling::Counts::LOG_UNIFORM, nullptr, shift, nullptr, nullptr, nullptr, in_double}, {}, {}};
}

KeptCounts float_counts(Input<float> table, double shift) {
    return {{sampling::Counts::TABLE, table.data(), shift, nullptr, nullptr, nullptr, false}, std::move(table), {}};
}

KeptCounts double_counts(Input<double> table, double shift) {
    return {{sampling::Counts::TABLE, table.data(), shift, nullptr, nullptr, nullptr, true}, {}, std::move(table)};
}

std::uint64_t size_of(const sampling::Uniform &one) { return one.num_classes; }
std::uint64_t size_of(const sampling::LogUniform &one) { return static_cast<std::uint64_t>(one.num_classes); }
std::uint64_t size_of(const sampling::Alias &one) { return one.num_classes; }
std::uint64_t size_of(const sampling::Learned &one) { return one.table.num_classes; }

// Whether everything that is looked up is there.
void check_classes(const Kept &kept, const KeptCounts &counts, const SomeRows &targets, std::int64_t ignored) {
    const std::uint64_t num_classes = std::visit([](const auto &one) { return size_of(one); }, kept.distribution);
    const std::size_t in_table = counts.law.in_double ? counts.doubles.size() : counts.floats.size();
    if (counts.law.counts == sampling::Counts::TABLE && in_table < num_classes) {
        throw std::invalid_argument("counts: expected those of " + std::to_string(num_classes) + " classes, got " +
                                    std::to_string(in_table));
    }
    if (counts.law.counts == sampling::Counts::LOG_UNIFORM && num_classes > std::uint64_t{1} << 51) {
        throw std::invalid_argument("counts: expected a distribution over 2**51 classes at most");
    }
    std::uint64_t largest = 0;  // of negative ones it is more than any number of classes
    for (std::size_t i = 0; i < targets.size(); ++i) {
        const std::int64_t target = targets.data()[i] == ignored ? 0 : targets.data()[i];
        largest = std::max(largest, static_cast<std::uint64_t>(target));
    }
    if (largest >= num_classes) {
        throw std::invalid_argument("targets: expected classes, got " +
                                    std::to_string(static_cast<std::int64_t>(largest)));
    }
}

template <typename Real>
void draw_counted(const Kept &kept, const KeptCounts &counts, std::uint64_t seed, const Matrix<Real> &log_q,
                  const Rows &ids, const Matrix<Real> &true_log_q, const SomeRows &targets,
                  std::int64_t ignored, int threads, const std::string &simd) {
    const std::size_t num_rows = ids.shape(0), num_sampled = ids.shape(1), num_targets = targets.shape(1);
    if (counts.law.in_double != (sizeof(Real) == sizeof(double))) {
        throw std::invalid_argument("log_q: expected the precision of the counts");
    }
    if (num_sampled < 1 || num_sampled >= UINT32_MAX) {
        throw std::invalid_argument("ids: expected 1 ... 2**32 - 2 in a row, got " + std::to_string(num_sampled));
    }
    if (log_q.shape(0) != num_rows || log_q.shape(1) != num_sampled) {
        throw std::invalid_argument("log_q: expected the shape of ids");
    }
    if (targets.shape(0) != num_rows) throw std::invalid_argument("targets: expected as many rows as ids has");
    if (true_log_q.shape(0) != num_rows || true_log_q.shape(1) != num_targets) {
        throw std::invalid_argument("true_log_q: expected the shape of targets");
    }
    check_classes(kept, counts, targets, ignored);
    const Level level = level_named(simd);
    const auto log_inclusion = LOGQ_CHOOSE(level, sampling::log_inclusion);
    const sampling::Counted batch{num_rows,       num_sampled,       num_targets, ids.data(), log_q.data(),
                                  targets.data(), true_log_q.data(), ignored,     counts.law, log_inclusion};
    nb::gil_scoped_release released;
    sampling::draw_counted(kept.distribution, seed, batch, threads);
}

void places_of(const SomeRows &ids, const SomeRows &classes, const Rows &places) {
    const std::size_t num_rows = ids.shape(0), num_sampled = ids.shape(1), num_asked = classes.shape(1);
    if (classes.shape(0) != num_rows) throw std::invalid_argument("classes: expected as many rows as ids has");
    if (num_asked >= UINT32_MAX) throw std::invalid_argument("classes: expected fewer than 2**32 - 1 in a row");
    if (places.shape(0) != num_rows || places.shape(1) != num_asked) {
        throw std::invalid_argument("places: expected the shape of classes");
    }
    const std::int64_t *i = ids.data(), *c = classes.data();
    std::int64_t *p = places.data();
    nb::gil_scoped_release released;
    sampling::places_of(i, num_rows, num_sampled, c, num_asked, p);
}

template <typename Real>
void log_inclusion(const Input<Real> &log_p, const Input<std::int64_t> &tries, const Changed<Real> &log_q,
                   const std::string &simd) {
    const std::size_t size = log_p.shape(0);
    if (tries.shape(0) != size) throw std::invalid_argument("tries: expected one for each class");
    if (log_q.shape(0) != size) throw std::invalid_argument("log_q: expected one for each class");
    const sampling::Inclusion job{sampling::Counts::GIVEN, log_p.data(), 0.0,         nullptr,
                                  tries.data(),            log_q.data(), sizeof(Real) == sizeof(double)};
    const Level level = level_named(simd);
    nb::gil_scoped_release released;
    LOGQ_CHOOSE(level, sampling::log_inclusion)(job, 0, static_cast<std::int64_t>(size));
}

}  // namespace

void bind_sampling(nb::module_ &module) {
    nb::class_<Kept>(module, "Distribution", "A distribution that draws follow.");
    module.def("uniform_distribution", &uniform, nb::arg("num_classes"));
    module.def("log_uniform_distribution", &log_uniform, nb::arg("num_classes"));
    module.def("alias_distribution", &alias, nb::arg("cells").noconvert());
    module.def("learned_distribution", &learned, nb::arg("cells").noconvert(), nb::arg("recent").noconvert(),
               nb::arg("in_table"));
    module.def("draw", &draw, nb::arg("distribution"), nb::arg("seed"), nb::arg("ids").noconvert(), nb::kw_only(),
               nb::arg("threads") = 1);
    module.def("uniform_rows", &uniform_rows, nb::arg("classes").noconvert(), nb::arg("seed"), nb::arg("inverse_bound"),
               nb::arg("rows").noconvert(), nb::kw_only(), nb::arg("threads") = 1);
    module.def("draw_distinct", &draw_distinct, nb::arg("distribution"), nb::arg("seed"), nb::arg("ids").noconvert(),
               nb::arg("inside").noconvert(), nb::arg("outside").noconvert(), nb::kw_only(), nb::arg("threads") = 1);
    nb::class_<KeptCounts>(module, "LogCounts", "The log of the probability of any class.");
    module.def("equal_counts", &equal_counts, nb::arg("shift"), nb::arg("in_double"));
    module.def("log_uniform_counts", &log_uniform_counts, nb::arg("shift"), nb::arg("in_double"));
    module.def("table_counts", &float_counts, nb::arg("table").noconvert(), nb::arg("shift"));
    module.def("table_counts", &double_counts, nb::arg("table").noconvert(), nb::arg("shift"));
    // Numbers come first: a capsule that one overload has taken is not there for the next.
    const auto bind_counted = [&](auto function) {
        module.def("draw_counted", function, nb::arg("distribution"), nb::arg("counts"), nb::arg("seed"),
                   nb::arg("log_q").noconvert(), nb::arg("ids").noconvert(), nb::arg("true_log_q").noconvert(),
                   nb::arg("targets").noconvert(), nb::kw_only(), nb::arg("ignored"), nb::arg("threads") = 1,
                   nb::arg("simd") = "auto");
    };
    bind_counted(&draw_counted<float>);
    bind_counted(&draw_counted<double>);
    module.def("places_of", &places_of, nb::arg("ids").noconvert(), nb::arg("classes").noconvert(),
               nb::arg("places").noconvert());
    const auto bind_inclusion = [&](auto function) {
        module.def("log_inclusion", function, nb::arg("log_p").noconvert(), nb::arg("tries").noconvert(),
                   nb::arg("log_q").noconvert(), nb::arg("simd") = "auto");
    };
    bind_inclusion(&log_inclusion<float>);
    bind_inclusion(&log_inclusion<double>);
}

}  // namespace logq
