#include "../bindings.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../arrays.hpp"
#include "character_ngrams.hpp"
#include "tokenizer.hpp"
#include "white_space.hpp"
#include "word_table.hpp"

namespace nb = nanobind;

namespace logq {
namespace {

template <typename Scalar> using Input = nb::ndarray<const Scalar, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <typename Scalar> using Changed = nb::ndarray<Scalar, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// The table with a lock of its own: Python's is not held while it works.
class Table {
  public:
    explicit Table(std::size_t longest_word) : longest_word_(longest_word) {}

    Block encode(const nb::bytes &block, bool frozen, bool starts_inside, bool ends_inside) {
        const auto *bytes = static_cast<const unsigned char *>(block.data());
        const std::size_t size = block.size();
        nb::gil_scoped_release released;
        const std::lock_guard<std::mutex> guard(lock_);
        return encode_block(table_, bytes, size, BlockOptions{longest_word_, frozen, starts_inside, ends_inside});
    }

    Column<std::int32_t> absorb(Table &other) {
        if (&other == this) throw std::invalid_argument("other: expected another table, got this one itself");
        std::vector<std::int32_t> ids;
        {
            nb::gil_scoped_release released;
            const std::scoped_lock guard(lock_, other.lock_);
            const std::size_t size = other.table_.size();
            ids.resize(size);
            unsigned char short_word[16];
            for (std::size_t i = 0; i < size; ++i) {
                const std::string_view word = other.table_.bytes_of(i, short_word);
                ids[i] = table_.add(key_of(word), other.table_.count_of(i));
            }
        }
        return give(std::move(ids));
    }

    void add(const nb::bytes &words, const Input<std::int64_t> &offsets) {
        const auto *bytes = static_cast<const char *>(words.data());
        const std::size_t size = words.size(), places = offsets.shape(0);
        const std::int64_t *at = offsets.data();
        if (places == 0) throw std::invalid_argument("offsets: expected one more than there are words, got none");
        for (std::size_t i = 0; i < places; ++i) {
            const std::int64_t before = i ? at[i - 1] : 0;
            if (at[i] < before || static_cast<std::size_t>(at[i]) > size || at[i] - before > INT32_MAX) {
                throw std::invalid_argument("offsets: expected places in the bytes in their order, got " +
                                            std::to_string(at[i]) + " at position " + std::to_string(i));
            }
        }
        nb::gil_scoped_release released;
        const std::lock_guard<std::mutex> guard(lock_);
        for (std::size_t i = 0; i + 1 < places; ++i) {
            table_.add(key_of({bytes + at[i], static_cast<std::size_t>(at[i + 1] - at[i])}), 0);
        }
    }

    nb::tuple words(const Input<std::int64_t> &ids) {
        std::string joined;
        std::vector<std::int64_t> offsets{0};
        {
            const std::int64_t *id = ids.data();
            const std::size_t count = ids.shape(0);
            nb::gil_scoped_release released;
            const std::lock_guard<std::mutex> guard(lock_);
            offsets.reserve(count + 1);
            unsigned char short_word[16];
            for (std::size_t i = 0; i < count; ++i) {
                if (id[i] < 0 || static_cast<std::size_t>(id[i]) >= table_.size()) {
                    throw std::out_of_range("ids: expected numbers of words in the table, got " + std::to_string(id[i]));
                }
                joined += table_.bytes_of(static_cast<std::size_t>(id[i]), short_word);
                offsets.push_back(static_cast<std::int64_t>(joined.size()));
            }
        }
        return nb::make_tuple(nb::bytes(joined.data(), joined.size()), give(std::move(offsets)));
    }

    Column<std::int64_t> counts() {
        std::vector<std::int64_t> counts;
        {
            nb::gil_scoped_release released;
            const std::lock_guard<std::mutex> guard(lock_);
            counts.resize(table_.size());
            for (std::size_t i = 0; i < counts.size(); ++i) counts[i] = table_.count_of(i);
        }
        return give(std::move(counts));
    }

    std::size_t size() {
        nb::gil_scoped_release released;
        const std::lock_guard<std::mutex> guard(lock_);
        return table_.size();
    }

  private:
    Key key_of(std::string_view word) const {
        return table_.key(reinterpret_cast<const unsigned char *>(word.data()), word.size(), word.size());
    }

    std::size_t longest_word_;
    std::mutex lock_;
    WordTable table_;
};

// In place; returns how many ids are left, and how many of them end a line.
std::pair<std::size_t, std::size_t> renumber(const Changed<std::int32_t> &ids, const Input<std::int32_t> &numbers,
                                             bool after_end_of_line) {
    std::int32_t *values = ids.data();
    const std::int32_t *number = numbers.data();
    const std::size_t size = ids.shape(0), known = numbers.shape(0);
    nb::gil_scoped_release released;
    std::size_t kept = 0, lines = 0;
    std::int32_t last = after_end_of_line ? kEndOfLine : 0;
    for (std::size_t i = 0; i < size; ++i) {
        const std::int32_t id = values[i];
        if (id == kEndOfLine) {
            if (last == kEndOfLine) continue;
            ++lines;
            values[kept++] = last = kEndOfLine;
            continue;
        }
        if (id < 0 || static_cast<std::size_t>(id) >= known) {
            throw std::out_of_range("ids: expected numbers below " + std::to_string(known) + ", got " + std::to_string(id));
        }
        if (number[id] < 0) continue;
        values[kept++] = last = number[id];
    }
    return {kept, lines};
}

nb::tuple character_ngrams(const nb::bytes &words, const Input<std::int64_t> &offsets, int shortest, int longest,
                           std::int64_t buckets) {
    const auto *bytes = static_cast<const unsigned char *>(words.data());
    const std::int64_t *at = offsets.data();
    const std::size_t places = offsets.shape(0);
    expect(places > 0, "offsets: expected one more than there are words, got none");
    expect(buckets >= 0 && buckets <= INT32_MAX, "buckets: expected 0 to 2**31 - 1, got " + std::to_string(buckets));
    for (std::size_t i = 0; i < places; ++i) {
        if (at[i] >= (i ? at[i - 1] : 0) && static_cast<std::size_t>(at[i]) <= words.size()) continue;
        throw std::invalid_argument("offsets: expected places in the bytes in their order, got " + std::to_string(at[i]) +
                                    " at position " + std::to_string(i));
    }
    std::vector<std::int64_t> ends{0};
    std::vector<std::int32_t> found;
    {
        nb::gil_scoped_release released;
        ends.reserve(places);
        const NgramSizes sizes{shortest, longest, static_cast<std::uint32_t>(buckets)};
        for (std::size_t i = 0; i + 1 < places; ++i) {
            append_ngrams(bytes + at[i], static_cast<std::size_t>(at[i + 1] - at[i]), sizes, found);
            ends.push_back(static_cast<std::int64_t>(found.size()));
        }
    }
    return nb::make_tuple(give(std::move(ends)), give(std::move(found)));
}

std::size_t last_break_of(const nb::bytes &text) {
    return last_break(static_cast<const unsigned char *>(text.data()), text.size());
}

}  // namespace

void bind_text(nb::module_ &module) {
    nb::class_<Block>(module, "EncodedBlock", "What WordTable.encode found in a block.")
        .def("take_ids", [](Block &block) { return give(std::exchange(block.ids, {})); })
        .def_ro("words", &Block::words)
        .def_ro("long_words", &Block::long_words)
        .def_ro("unknown_words", &Block::unknown_words)
        .def_ro("invalid_lines", &Block::invalid_lines)
        .def_ro("has_newline", &Block::has_newline)
        .def_ro("first_line_invalid", &Block::first_line_invalid)
        .def_ro("last_line_invalid", &Block::last_line_invalid);
    nb::class_<Table>(module, "WordTable", "Words with their counts, numbered in the order in which they came.")
        .def(nb::init<std::size_t>(), nb::arg("longest_word") = 65536)
        .def("encode", &Table::encode, nb::arg("block"), nb::kw_only(), nb::arg("frozen") = false,
             nb::arg("starts_inside") = false, nb::arg("ends_inside") = false)
        .def("absorb", &Table::absorb, nb::arg("other"))
        .def("add", &Table::add, nb::arg("words"), nb::arg("offsets").noconvert())
        .def("words", &Table::words, nb::arg("ids").noconvert())
        .def("counts", &Table::counts)
        .def("__len__", &Table::size);
    module.def("renumber", &renumber, nb::arg("ids").noconvert(), nb::arg("numbers").noconvert(), nb::kw_only(),
               nb::arg("after_end_of_line"));
    module.def("character_ngrams", &character_ngrams, nb::arg("words"), nb::arg("offsets").noconvert(), nb::kw_only(),
               nb::arg("shortest"), nb::arg("longest"), nb::arg("buckets"));
    module.def("last_break", &last_break_of, nb::arg("text"));
}

}  // namespace logq
