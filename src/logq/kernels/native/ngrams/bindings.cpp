#include "../bindings.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "../arrays.hpp"
#include "rows.hpp"
#include "trie.hpp"

namespace nb = nanobind;

namespace logq {
namespace {

template <typename Scalar> using Input = nb::ndarray<const Scalar, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Rows = nb::ndarray<std::uint64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using RowInput = nb::ndarray<const std::uint64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Parts = std::vector<std::pair<Column<std::int64_t>, Column<std::int64_t>>>;

int ngram_columns(int order, std::uint64_t highest) { return Packing(order, highest).columns; }

std::size_t ngram_rows(const Input<std::int32_t> &ids, std::size_t starts, int order, std::int32_t begin,
                       std::int32_t end, bool at_line_start, const Rows &rows) {
    expect(begin >= 0 && end >= 0 && end <= begin, "end: expected an id in [0, begin]");
    const Packing packing(order, static_cast<std::uint64_t>(begin));
    expect(starts <= ids.shape(0), "starts: expected at most as many as there are ids");
    expect(rows.shape(0) >= 2 * starts, "rows: expected two for each start");
    expect(rows.shape(1) == static_cast<std::size_t>(packing.columns),
           "rows: expected as many columns as ngram_columns says");
    bool known = true;
    for (std::size_t i = 0; i < ids.shape(0); ++i) known &= ids.data()[i] >= 0 && ids.data()[i] < begin;
    expect(known, "ids: expected words of the vocabulary");
    nb::gil_scoped_release released;
    return make_rows(Text{ids.data(), ids.shape(0), starts, end, begin, at_line_start}, packing, rows.data());
}

std::size_t sort_ngram_rows(const Rows &rows) {
    nb::gil_scoped_release released;
    return sort_rows(rows.data(), rows.shape(0), static_cast<int>(rows.shape(1)));
}

Parts given(std::vector<OrderPart> parts) {
    Parts arrays;
    for (std::size_t n = 1; n < parts.size(); ++n) {
        arrays.emplace_back(give(std::move(parts[n].keys)), give(std::move(parts[n].counts)));
    }
    return arrays;
}

// With a lock of its own: Python's is not held while it works.
class NGramTrie {
  public:
    NGramTrie(int order, std::uint64_t highest) : trie_(order, highest) {}

    Parts add(const RowInput &rows) {
        std::vector<OrderPart> parts;
        {
            nb::gil_scoped_release released;
            const std::lock_guard<std::mutex> guard(lock_);
            parts = trie_.add(rows.data(), rows.shape(0), static_cast<int>(rows.shape(1)));
        }
        return given(std::move(parts));
    }

    Parts finish() {
        std::vector<OrderPart> parts;
        {
            const std::lock_guard<std::mutex> guard(lock_);
            parts = trie_.finish();
        }
        return given(std::move(parts));
    }

  private:
    Trie trie_;
    std::mutex lock_;
};

Column<std::int64_t> find_last_not_above(const Input<std::int64_t> &keys, const Input<std::int64_t> &wanted) {
    std::vector<std::int64_t> found(wanted.shape(0));
    {
        nb::gil_scoped_release released;
        last_not_above(keys.data(), keys.shape(0), wanted.data(), wanted.shape(0), found.data());
    }
    return give(std::move(found));
}

}  // namespace

void bind_ngrams(nb::module_ &module) {
    module.def("ngram_columns", &ngram_columns, nb::arg("order"), nb::arg("highest"),
               "The number of columns of a row of `ngram_rows`.");
    module.def("ngram_rows", &ngram_rows, nb::arg("ids").noconvert(), nb::arg("starts"), nb::arg("order"),
               nb::arg("begin"), nb::arg("end"), nb::arg("at_line_start"), nb::arg("rows").noconvert(),
               "Write the n-grams of a text, packed, and return how many.");
    module.def("sort_ngram_rows", &sort_ngram_rows, nb::arg("rows").noconvert(),
               "Sort packed n-grams in place, add up the counts of equal ones, and return how many are left.");
    module.def("last_not_above", &find_last_not_above, nb::arg("keys").noconvert(), nb::arg("wanted").noconvert(),
               "The position of the last of the sorted keys that is not above each number, -1 where all are.");
    nb::class_<NGramTrie>(module, "NGramTrie")
        .def(nb::init<int, std::uint64_t>(), nb::arg("order"), nb::arg("highest"))
        .def("add", &NGramTrie::add, nb::arg("rows").noconvert())
        .def("finish", &NGramTrie::finish);
}

}  // namespace logq
