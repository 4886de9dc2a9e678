// The sweep form of Vose's construction. With the weights scaled to mean 1, classes of at most 1 are light, the others
// heavy. One cursor runs over the light classes and one over the heavy, both in order of index: each light class leaves
// room in its cell, which the current heavy class fills; once a heavy class has no more than 1 left, that becomes its
// own cell, and the next heavy class fills the room there.
//
// The mass that is left of a heavy class is the end of a long chain of subtractions, and its error would fall on whatever
// class stands at the end of the chain. It is therefore kept as an unevaluated sum of two doubles.

#include "alias_table.hpp"

#include <cmath>
#include <cstdio>
#include <limits>
#include <stdexcept>
#include <string>

namespace logq {
namespace {

// high + low, where low is what rounding took from high.
struct Exact {
    double high;
    double low;

    void add(double value) {
        const double sum = high + value;
        const double back = sum - high;
        const double lost = (high - (sum - back)) + (value - back);
        const double tail = low + lost;
        high = sum + tail;
        low = tail - (high - sum);
    }

    bool above_one() const { return high > 1.0 || (high == 1.0 && low > 0.0); }
};

std::string number(double value) {
    if (std::isnan(value)) return "nan";
    char text[32];
    std::snprintf(text, sizeof text, "%g", value);
    return text;
}

double largest_weight(const double *weights, std::size_t size) {
    double largest = 0.0;
    for (std::size_t i = 0; i < size; ++i) {
        const double weight = weights[i];
        if (!(weight >= 0.0 && weight <= std::numeric_limits<double>::max())) {
            throw std::invalid_argument("weights: expected finite numbers >= 0, got " + number(weight) + " at position " +
                                        std::to_string(i));
        }
        if (weight > largest) largest = weight;
    }
    return largest;
}

}  // namespace

void alias_table(const double *weights, std::size_t size, double *accept, std::int32_t *alias) {
    if (size == 0) throw std::invalid_argument("weights: expected at least one class, got none");
    if (size > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
        throw std::invalid_argument("weights: expected fewer than 2**31 classes, got " + std::to_string(size));
    }
    const double largest = largest_weight(weights, size);
    if (largest == 0.0) throw std::invalid_argument("weights: expected at least one number > 0, got only zeros");

    // Division by the largest keeps the sum finite, however big or small the weights are.
    Exact total{0.0, 0.0};
    for (std::size_t i = 0; i < size; ++i) total.add(weights[i] / largest);
    const double scale = static_cast<double>(size) / total.high;

    // Computed again wherever it is needed, so that the sweep can write over `accept` as it goes.
    const auto scaled = [=](std::size_t i) { return weights[i] / largest * scale; };
    const auto next = [=](std::size_t from, bool heavy) {
        while (from < size && (scaled(from) > 1.0) != heavy) ++from;
        return from;
    };

    // A cell that its class fills is its own alias, so that a reader who rounds `accept` cannot draw a stranger from it.
    const auto fill = [=](std::size_t cell, double share, std::size_t other) {
        accept[cell] = share;
        alias[cell] = static_cast<std::int32_t>(share < 1.0 ? other : cell);
    };

    std::size_t heavy = next(0, true);
    if (heavy == size) {  // nothing but equal weights: each cell is its own class
        for (std::size_t cell = 0; cell < size; ++cell) fill(cell, 1.0, cell);
        return;
    }
    Exact left{scaled(heavy), 0.0};
    const auto close_heavy_cells = [&] {
        while (!left.above_one()) {
            const std::size_t following = next(heavy + 1, true);
            if (following == size) return;
            fill(heavy, left.high, following);
            left.add(-1.0);
            left.add(scaled(following));
            heavy = following;
        }
    };

    for (std::size_t light = next(0, false); light < size; light = next(light + 1, false)) {
        close_heavy_cells();
        const double share = scaled(light);
        fill(light, share, heavy);
        left.add(share);
        left.add(-1.0);
    }
    close_heavy_cells();
    // What is left is 1 each, but for rounding.
    for (; heavy < size; heavy = next(heavy + 1, true)) {
        fill(heavy, 1.0, heavy);
    }
}

}  // namespace logq
