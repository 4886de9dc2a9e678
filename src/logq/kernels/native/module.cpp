// What Python sees of the compiled core: arrays in, arrays out, with the interpreter's lock released in between.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "alias_table.hpp"
#include "bindings.hpp"
#include "file_pages.hpp"
#include "huge_pages.hpp"

namespace nb = nanobind;

namespace {

using Weights = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <typename Scalar> using Column = nb::ndarray<nb::numpy, Scalar, nb::ndim<1>, nb::c_contig>;

// Hands the memory over to a numpy array, which frees it.
template <typename Scalar> Column<Scalar> give(std::unique_ptr<Scalar[]> values, std::size_t size) {
    nb::capsule owner(values.get(), [](void *memory) noexcept { delete[] static_cast<Scalar *>(memory); });
    return Column<Scalar>(values.release(), {size}, owner);
}

std::pair<Column<double>, Column<std::int32_t>> alias_table(const Weights &weights) {
    const std::size_t size = weights.shape(0);
    std::unique_ptr<double[]> accept(new double[size]);
    std::unique_ptr<std::int32_t[]> alias(new std::int32_t[size]);
    {
        nb::gil_scoped_release released;
        logq::alias_table(weights.data(), size, accept.get(), alias.get());
    }
    return {give(std::move(accept), size), give(std::move(alias), size)};
}

using Bytes = nb::ndarray<std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Ids = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

bool prefer_huge_pages(const Bytes &memory) { return logq::prefer_huge_pages(memory.data(), memory.size()); }

void read_ahead(const Bytes &table, std::size_t row_bytes, const Ids &rows) {
    if (row_bytes == 0) return;
    const std::uint8_t *const start = table.data();
    const std::size_t num_rows = table.size() / row_bytes, size = rows.size();
    const std::int64_t *const wanted = rows.data();
    nb::gil_scoped_release released;
    logq::read_ahead(start, num_rows, row_bytes, wanted, size);
}

}  // namespace

NB_MODULE(_native, module) {
    module.doc() = "The compiled backend of logq.kernels.";
    module.def("alias_table", &alias_table, nb::arg("weights").noconvert(),
               "Walker's alias table of `weights` (C,) float64: accept (C,) float64 and alias (C,) int32.");
    module.def("prefer_huge_pages", &prefer_huge_pages, nb::arg("memory").noconvert(),
               "Ask the operating system to keep `memory` (n,) uint8 in pages as large as it has.");
    module.def("read_ahead", &read_ahead, nb::arg("table").noconvert(), nb::arg("row_bytes"),
               nb::arg("rows").noconvert(),
               "Ask the operating system to read some rows of `table` (n,) uint8, which lies in a file.");
    logq::bind_losses(module);
    logq::bind_sampling(module);
    logq::bind_word2vec(module);
    logq::bind_text(module);
    logq::bind_rows(module);
    logq::bind_ngrams(module);
}
