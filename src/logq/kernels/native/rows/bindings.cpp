// What Python sees of sums and updates of rows.

#include "../bindings.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "means.hpp"
#include "memory.hpp"
#include "order.hpp"
#include "sum.hpp"

namespace nb = nanobind;

namespace logq {
namespace {

using rows::Job;
using rows::Order;
using rows::Rule;
using rows::Type;

using Array = nb::ndarray<nb::device::cpu>;
using Ids = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Codes = nb::ndarray<const std::int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using NewIds = nb::ndarray<std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Maybe = std::optional<Array>;

Type type_of(const char *name, const Array &array) {
    const nb::dlpack::dtype type = array.dtype();
    if (type.lanes == 1 && type.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Float)) {
        if (type.bits == 32) return Type::FLOAT;
        if (type.bits == 64) return Type::DOUBLE;
        if (type.bits == 16) return Type::FLOAT16;
    }
    if (type.lanes == 1 && type.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Bfloat) && type.bits == 16) {
        return Type::BFLOAT16;
    }
    throw nb::type_error((std::string(name) + ": expected float32, float64, bfloat16 or float16").c_str());
}

Type computed(Type type) { return type == Type::DOUBLE ? Type::DOUBLE : Type::FLOAT; }

std::string shape_of(const Array &array) {
    std::string text = "(";
    for (std::size_t i = 0; i < array.ndim(); ++i) text += std::to_string(array.shape(i)) + ", ";
    return text + ")";
}

// A table of `count` rows (any number if below 0) of `dim` numbers next to each other.
rows::Rows table(const char *name, const Array &array, std::int64_t count, std::int64_t dim, Type type) {
    const std::string called(name);
    expect(array.ndim() == 2 && static_cast<std::int64_t>(array.shape(1)) == dim &&
               (count < 0 || static_cast<std::int64_t>(array.shape(0)) == count),
           called + ": expected shape (" + (count < 0 ? "any" : std::to_string(count)) + ", " + std::to_string(dim) + "), got " +
               shape_of(array));
    expect(dim <= 1 || array.size() == 0 || array.stride(1) == 1, called + ": expected the numbers of a row next to each other");
    if (type_of(name, array) != type) throw nb::type_error((called + ": expected another dtype").c_str());
    return {array.data(), array.stride(0)};
}

const void *numbers(const char *name, const Array &array, std::int64_t count, Type type) {
    const std::string called(name);
    expect(static_cast<std::int64_t>(array.size()) == count,
           called + ": expected " + std::to_string(count) + " numbers, got shape " + shape_of(array));
    std::int64_t stride = 1;
    for (std::size_t i = count > 0 ? array.ndim() : 0; i-- > 0; stride *= static_cast<std::int64_t>(array.shape(i))) {
        expect(array.shape(i) <= 1 || array.stride(i) == stride, called + ": expected contiguous memory");
    }
    if (type_of(name, array) != type) throw nb::type_error((called + ": expected another dtype").c_str());
    return array.data();
}

Rule rule_named(const std::string &name) {
    if (name == "none") return Rule::NONE;
    if (name == "sgd") return Rule::SGD;
    if (name == "adagrad") return Rule::ADAGRAD;
    if (name == "rowwise_adagrad") return Rule::ROWWISE_ADAGRAD;
    if (name == "adam") return Rule::ADAM;
    throw std::invalid_argument("rule: expected none, sgd, adagrad, rowwise_adagrad or adam, got '" + name + "'");
}

// An order with the lengths of the lists it is made of.
struct Sorted {
    std::vector<std::int64_t> sizes;
    std::int64_t num_classes;
    std::unique_ptr<Order> order;
};

void make_order(Sorted *self, const std::vector<Ids> &lists, std::int64_t num_classes, int threads) {
    expect(!lists.empty() && lists.size() <= 2, "lists: expected one or two, got " + std::to_string(lists.size()));
    std::vector<rows::Ids> ids;
    std::vector<std::int64_t> sizes;
    for (const Ids &list : lists) {
        ids.push_back({list.data(), list.shape(0)});
        sizes.push_back(static_cast<std::int64_t>(list.shape(0)));
    }
    std::unique_ptr<Order> order;
    {
        nb::gil_scoped_release released;
        order = std::make_unique<Order>(ids, num_classes, threads);
    }
    new (self) Sorted{std::move(sizes), num_classes, std::move(order)};
}

void write_ids(const Sorted &self, const NewIds &to, int threads) {
    expect(to.shape(0) == self.order->classes(),
           "ids: expected " + std::to_string(self.order->classes()) + " places, got " + std::to_string(to.shape(0)));
    nb::gil_scoped_release released;
    self.order->write_ids(to.data(), threads);
}

void set_rule(Job &job, const std::string &rule, const Maybe &first, const Maybe &second, std::int64_t num_rows, double rate,
              double decay, double epsilon, double beta1, double beta2, double correction) {
    job.rule = rule_named(rule);
    const int states = job.rule == Rule::ADAM ? 2 : job.rule == Rule::ADAGRAD || job.rule == Rule::ROWWISE_ADAGRAD ? 1 : 0;
    expect(first.has_value() == (states >= 1) && second.has_value() == (states == 2),
           "states: expected " + std::to_string(states) + " for " + rule);
    const std::int64_t width = job.rule == Rule::ROWWISE_ADAGRAD ? 1 : job.dim;
    if (first) job.states[0] = table("first_state", *first, num_rows, width, computed(job.table_type));
    if (second) job.states[1] = table("second_state", *second, num_rows, width, computed(job.table_type));
    job.rate = rate;
    job.decay = decay;
    job.epsilon = epsilon;
    job.betas[0] = beta1;
    job.betas[1] = beta2;
    job.correction = correction;
}

// How many entries in turn each row is for.
std::int64_t sharing_of(const Array &source_rows, std::int64_t entries) {
    const std::int64_t count = source_rows.ndim() > 0 ? static_cast<std::int64_t>(source_rows.shape(0)) : 0;
    expect(count > 0 ? entries % count == 0 : entries == 0,
           "source_rows: expected a row for each of equally many entries, got " + std::to_string(count) + " rows for " +
               std::to_string(entries) + " entries");
    return count > 0 ? entries / count : 1;
}

void sum_classes(const Sorted &order, const std::vector<Array> &source_rows, const std::vector<Maybe> &factors,
                 const Maybe &table_rows, const Maybe &sums, bool sums_by_id, double scale, bool cosine,
                 const std::string &rule, const Maybe &first_state, const Maybe &second_state, double rate, double decay,
                 double epsilon, double beta1, double beta2, double correction, int threads, const std::string &simd) {
    const Level level = level_named(simd);
    Job job{};
    expect(source_rows.size() == order.sizes.size() && factors.size() == order.sizes.size(),
           "source_rows, factors: expected one for each list of ids");
    expect(table_rows.has_value() || sums.has_value(), "table, sums: expected at least one of them");
    const Array &shaped = table_rows ? *table_rows : *sums;
    expect(shaped.ndim() == 2, "table, sums: expected 2 dimensions");
    job.dim = static_cast<std::int64_t>(shaped.shape(1));
    job.table_type = type_of("table", shaped);
    job.source_type = type_of("source_rows", source_rows[0]);
    if (job.source_type != computed(job.table_type) && job.source_type != job.table_type) {
        throw nb::type_error("source_rows: expected the dtype of the table, or float32");
    }
    job.entries = order.order->sorted();
    job.starts = order.order->starts();
    job.classes = static_cast<std::int64_t>(order.order->classes());
    job.num_entries = static_cast<std::int64_t>(order.order->entries());
    std::uint64_t end = 0;
    for (std::size_t i = 0; i < order.sizes.size(); ++i) {
        const std::int64_t entries = order.sizes[i];
        rows::Source &source = job.sources[i];
        source.rows = table("source_rows", source_rows[i], -1, job.dim, job.source_type);
        source.sharing = static_cast<std::uint32_t>(sharing_of(source_rows[i], entries));
        source.factors = factors[i] ? numbers("factors", *factors[i], entries, computed(job.table_type)) : nullptr;
        source.end = end += static_cast<std::uint64_t>(entries);
    }
    job.scale = scale;
    job.cosine = cosine;
    expect(!cosine || table_rows.has_value(), "cosine: expected a table to be the cosine with");
    if (table_rows) job.table = table("table", *table_rows, order.num_classes, job.dim, job.table_type);
    if (sums) {
        job.sums = table("sums", *sums, sums_by_id ? order.num_classes : job.classes, job.dim, job.table_type);
        job.sums_by_id = sums_by_id;
    }
    set_rule(job, rule, first_state, second_state, order.num_classes, rate, decay, epsilon, beta1, beta2, correction);
    expect(job.rule == Rule::NONE || table_rows.has_value(), "rule: expected a table to apply it to");
    nb::gil_scoped_release released;
    rows::run(job, level, threads);
}

void update_rows(const Array &table_rows, const std::optional<Ids> &ids, const Array &gradient, double scale,
                 const std::string &rule, const Maybe &first_state, const Maybe &second_state, double rate, double decay,
                 double epsilon, double beta1, double beta2, double correction, int threads, const std::string &simd) {
    const Level level = level_named(simd);
    Job job{};
    expect(table_rows.ndim() == 2, "table: expected 2 dimensions");
    const std::int64_t num_rows = static_cast<std::int64_t>(table_rows.shape(0));
    job.dim = static_cast<std::int64_t>(table_rows.shape(1));
    job.table_type = job.source_type = type_of("table", table_rows);
    job.table = table("table", table_rows, num_rows, job.dim, job.table_type);
    job.classes = job.num_entries = ids ? static_cast<std::int64_t>(ids->shape(0)) : num_rows;
    job.ids = ids ? ids->data() : nullptr;
    for (std::int64_t i = 0; ids && i < job.classes; ++i) {
        if (job.ids[i] < 0 || job.ids[i] >= num_rows) {
            throw std::invalid_argument("ids: expected rows in [0, " + std::to_string(num_rows) + "), got " +
                                        std::to_string(job.ids[i]) + " at position " + std::to_string(i));
        }
    }
    job.sources[0].rows = table("rows", gradient, job.classes, job.dim, job.table_type);
    job.sources[0].sharing = 1;
    job.sources[0].end = static_cast<std::uint64_t>(job.classes);
    job.scale = scale;
    set_rule(job, rule, first_state, second_state, num_rows, rate, decay, epsilon, beta1, beta2, correction);
    nb::gil_scoped_release released;
    rows::run(job, level, threads);
}

void add_classes(const std::vector<Ids> &lists, const std::vector<Array> &source_rows, const std::vector<Maybe> &factors,
                 const Array &sums, const Maybe &table_rows, double scale, bool cosine, int threads, const std::string &simd) {
    const Level level = level_named(simd);
    rows::Additions job{};
    expect(!lists.empty() && lists.size() <= 2, "lists: expected one or two, got " + std::to_string(lists.size()));
    expect(source_rows.size() == lists.size() && factors.size() == lists.size(),
           "source_rows, factors: expected one for each list of ids");
    expect(sums.ndim() == 2, "sums: expected 2 dimensions");
    const Type type = type_of("sums", sums);
    if (type != computed(type)) throw nb::type_error("sums: expected float32 or float64");
    job.doubles = type == Type::DOUBLE;
    const std::int64_t num_classes = static_cast<std::int64_t>(sums.shape(0));
    job.dim = static_cast<std::int64_t>(sums.shape(1));
    for (std::size_t i = 0; i < lists.size(); ++i) {
        rows::Additions::List &list = job.lists[i];
        list.ids = lists[i].data();
        list.size = static_cast<std::int64_t>(lists[i].shape(0));
        list.sharing = sharing_of(source_rows[i], list.size);
        list.rows = table("source_rows", source_rows[i], -1, job.dim, type);
        list.factors = factors[i] ? numbers("factors", *factors[i], list.size, type) : nullptr;
    }
    job.sums = table("sums", sums, num_classes, job.dim, type);
    job.scale = scale;
    job.cosine = cosine;
    expect(!cosine || table_rows.has_value(), "cosine: expected a table to be the cosine with");
    if (cosine) job.table = table("table", *table_rows, num_classes, job.dim, type);
    nb::gil_scoped_release released;
    rows::run(job, num_classes, level, threads);
}

void row_means(const Array &table_rows, const Codes &codes, double decay, const Array &means, const Array &shares,
               int threads, const std::string &simd) {
    const Level level = level_named(simd);
    rows::Means job{};
    expect(table_rows.ndim() == 2, "table: expected 2 dimensions");
    const std::int64_t num_rows = static_cast<std::int64_t>(table_rows.shape(0));
    const std::int64_t count = static_cast<std::int64_t>(codes.shape(0));
    job.dim = static_cast<std::int64_t>(table_rows.shape(1));
    job.type = type_of("table", table_rows);
    job.table = table("table", table_rows, num_rows, job.dim, job.type);
    expect(num_rows <= 1 || job.table.stride == job.dim, "table: expected contiguous memory");
    job.codes = codes.data();
    job.codes_a_row = static_cast<std::int64_t>(codes.shape(1));
    rows::check_ids({{codes.data(), codes.size()}}, num_rows);
    job.means = table("means", means, count, job.dim, computed(job.type)).data;
    expect(means.size() == 0 || means.stride(0) == job.dim, "means: expected contiguous memory");
    job.decay = decay;
    job.shares = table("shares", shares, count, job.codes_a_row, computed(job.type)).data;
    expect(shares.size() == 0 || shares.stride(0) == job.codes_a_row, "shares: expected contiguous memory");
    nb::gil_scoped_release released;
    rows::run(job, count, level, threads);
}

nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>> row_memory(std::size_t bytes) {
    auto block = std::make_unique<rows::Block>(bytes);
    std::uint8_t *const data = block->as<std::uint8_t>();
    nb::capsule owner(block.get(), [](void *owned) noexcept { delete static_cast<rows::Block *>(owned); });
    block.release();
    return nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>>(data, {bytes}, owner);
}

}  // namespace

void bind_rows(nb::module_ &module) {
    nb::class_<Sorted>(module, "ClassOrder")
        .def("__init__", &make_order, nb::arg("lists"), nb::arg("num_classes"), nb::kw_only(), nb::arg("threads"))
        .def("__len__", [](const Sorted &self) { return self.order->classes(); })
        .def("write_ids", &write_ids, nb::arg("to"), nb::kw_only(), nb::arg("threads"));
    module.def("sum_classes", &sum_classes, nb::arg("order"), nb::arg("source_rows"), nb::arg("factors"), nb::kw_only(),
               nb::arg("table") = nb::none(), nb::arg("sums") = nb::none(), nb::arg("sums_by_id") = false,
               nb::arg("scale") = 1.0, nb::arg("cosine") = false, nb::arg("rule") = "none",
               nb::arg("first_state") = nb::none(), nb::arg("second_state") = nb::none(), nb::arg("rate") = 0.0,
               nb::arg("decay") = 0.0, nb::arg("epsilon") = 0.0, nb::arg("beta1") = 0.0, nb::arg("beta2") = 0.0,
               nb::arg("correction") = 1.0, nb::arg("threads"), nb::arg("simd") = "auto",
               "Sum what the entries of each class add, into gradient rows or into the table by a rule.");
    module.def("update_rows", &update_rows, nb::arg("table"), nb::arg("ids").none(), nb::arg("rows"), nb::kw_only(),
               nb::arg("scale") = 1.0, nb::arg("rule"), nb::arg("first_state") = nb::none(),
               nb::arg("second_state") = nb::none(), nb::arg("rate") = 0.0, nb::arg("decay") = 0.0,
               nb::arg("epsilon") = 0.0, nb::arg("beta1") = 0.0, nb::arg("beta2") = 0.0, nb::arg("correction") = 1.0,
               nb::arg("threads"), nb::arg("simd") = "auto", "Apply a rule to rows of a table.");
    module.def("add_classes", &add_classes, nb::arg("lists"), nb::arg("source_rows"), nb::arg("factors"), nb::kw_only(),
               nb::arg("sums"), nb::arg("table") = nb::none(), nb::arg("scale") = 1.0, nb::arg("cosine") = false,
               nb::arg("threads"), nb::arg("simd") = "auto", "Add what entries add to the rows of their classes.");
    module.def("row_means", &row_means, nb::arg("table"), nb::arg("codes"), nb::kw_only(), nb::arg("decay"),
               nb::arg("means"), nb::arg("shares"), nb::arg("threads"), nb::arg("simd") = "auto",
               "Write the means of the rows of a table that rows of codes name.");
    module.def("row_memory", &row_memory, nb::arg("bytes"), "Bytes (n,) uint8 from memory that is used again.");
    module.def("kept_row_memory", &rows::kept_bytes, "Bytes that were given back and wait to be used again.");
    module.def("release_row_memory", &rows::release_kept, "Give these back to the system.");
}

}  // namespace logq
