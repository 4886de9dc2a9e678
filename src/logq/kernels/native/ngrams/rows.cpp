#include "rows.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>
#include <utility>

namespace logq {
namespace {

constexpr int DIGIT = 8;  // bits
constexpr std::size_t DIGITS = std::size_t{1} << DIGIT;
constexpr std::size_t FEW = 128;  // rows that are sorted by comparing them

template <int W> struct Row {
    std::uint64_t at[W];
};

template <int W> bool less(const Row<W> &a, const Row<W> &b) {
    for (int i = 0; i + 1 < W; ++i) {
        if (a.at[i] != b.at[i]) return a.at[i] < b.at[i];
    }
    return false;
}

template <int W> bool same(const Row<W> &a, const Row<W> &b) { return std::equal(a.at, a.at + W - 1, b.at); }

// American flag sort: by the highest digit in place, then each of its buckets by the next one.
template <int W> void flag_sort(Row<W> *rows, std::size_t size, int column, int shift) {
    while (size > FEW && column + 1 < W) {
        std::array<std::size_t, DIGITS> counts{};
        for (std::size_t i = 0; i < size; ++i) ++counts[rows[i].at[column] >> shift & (DIGITS - 1)];
        const int digit_column = column, digit_shift = shift;
        shift -= DIGIT;
        if (shift < 0) {
            ++column;
            shift = 64 - DIGIT;
        }
        const auto digit = [=](const Row<W> &row) { return row.at[digit_column] >> digit_shift & (DIGITS - 1); };
        if (counts[digit(rows[0])] == size) continue;  // all have this digit
        std::array<std::size_t, DIGITS> next, ends;
        std::size_t sum = 0;
        for (std::size_t d = 0; d < DIGITS; ++d) {
            next[d] = sum;
            sum += counts[d];
            ends[d] = sum;
        }
        for (std::size_t d = 0; d < DIGITS; ++d) {
            while (next[d] < ends[d]) {
                Row<W> row = rows[next[d]];
                std::size_t goes = digit(row);
                while (goes != d) {
                    std::swap(row, rows[next[goes]++]);
                    goes = digit(row);
                }
                rows[next[d]++] = row;
            }
        }
        std::size_t begin = 0;
        for (std::size_t d = 0; d < DIGITS; ++d) {
            flag_sort(rows + begin, counts[d], column, shift);
            begin += counts[d];
        }
        return;
    }
    if (size > 1 && column + 1 < W) std::sort(rows, rows + size, less<W>);
}

template <int W> std::size_t sort_width(std::uint64_t *memory, std::size_t size) {
    Row<W> *rows = reinterpret_cast<Row<W> *>(memory);
    flag_sort(rows, size, 0, 64 - DIGIT);
    std::size_t kept = 0;
    for (std::size_t i = 0; i < size; ++i) {
        if (kept && same(rows[kept - 1], rows[i])) {
            rows[kept - 1].at[W - 1] += rows[i].at[W - 1];
        } else {
            rows[kept++] = rows[i];
        }
    }
    return kept;
}

}  // namespace

Packing::Packing(int order, std::uint64_t highest) : order(order), bits(1) {
    while (bits < 32 && ((highest + 1) >> bits) != 0) ++bits;
    each = 64 / bits;
    columns = (order + each - 1) / each + 1;
    if (order < 1 || (highest >> 31) != 0 || columns > MOST_COLUMNS) {
        throw std::invalid_argument("order: expected n-grams that fit into " + std::to_string(64 * (MOST_COLUMNS - 1)) +
                                    " bits, got " + std::to_string(order) + " words");
    }
}

std::size_t make_rows(const Text &text, const Packing &packing, std::uint64_t *rows) {
    const int columns = packing.columns;
    std::uint64_t *row = rows;
    const auto put = [&](int number, std::int32_t id) {
        row[packing.column(number)] |= (static_cast<std::uint64_t>(id) + 1) << packing.shift(number);
    };
    const auto add = [&](int from, std::size_t place) {
        for (int number = from; number < packing.order && place < text.size; ++number, ++place) {
            put(number, text.ids[place]);
            if (text.ids[place] == text.end) break;
        }
        row[columns - 1] = 1;
        row += columns;
    };
    bool begins = text.at_line_start;
    for (std::size_t place = 0; place < text.starts; ++place) {
        if (begins) {
            std::fill(row, row + columns, 0);
            put(0, text.begin);
            add(1, place);
        }
        begins = text.ids[place] == text.end;
        if (!begins) {
            std::fill(row, row + columns, 0);
            add(0, place);
        }
    }
    return static_cast<std::size_t>(row - rows) / static_cast<std::size_t>(columns);
}

std::size_t sort_rows(std::uint64_t *rows, std::size_t size, int columns) {
    switch (columns) {
        case 2: return sort_width<2>(rows, size);
        case 3: return sort_width<3>(rows, size);
        case 4: return sort_width<4>(rows, size);
        case 5: return sort_width<5>(rows, size);
        case 6: return sort_width<6>(rows, size);
        case 7: return sort_width<7>(rows, size);
        case 8: return sort_width<8>(rows, size);
        case 9: return sort_width<9>(rows, size);
        default: throw std::invalid_argument("rows: expected 2 to 9 columns, got " + std::to_string(columns));
    }
}

}  // namespace logq
