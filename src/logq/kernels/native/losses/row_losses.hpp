// The two losses, on the logits of one row: what logq.objectives says, with its derivative.

#pragma once

#include "../simd/storage.hpp"

namespace {

constexpr int FLUSH = 64;  // vectors that are added up before their sum goes into a double

// The greatest of `count` logits and `least`; count is a multiple of the width, filled up with minus infinity.
template <typename Storage>
LOGQ_INLINE typename Computed<Storage>::Real greatest_logit(const typename Computed<Storage>::Real *logits, std::int64_t count,
                                                            typename Computed<Storage>::Real least_one) {
    auto found = all(least_one);
    for (std::int64_t at = 0; at < count; at += Computed<Storage>::WIDTH) found = greatest(found, load(logits + at));
    return greatest_of(found);
}

// Replaces logits by exp(logit - shift), and returns the sum of these.
template <typename Storage>
LOGQ_INLINE double exponentials(typename Computed<Storage>::Real *logits, std::int64_t count,
                                typename Computed<Storage>::Real shift, bool keep = true) {
    constexpr int WIDTH = Computed<Storage>::WIDTH;
    const auto by = all(shift);
    double total = 0.0;
    for (std::int64_t begin = 0; begin < count; begin += FLUSH * WIDTH) {
        const std::int64_t end = begin + FLUSH * WIDTH < count ? begin + FLUSH * WIDTH : count;
        auto sum = all(typename Computed<Storage>::Real(0));
        for (std::int64_t at = begin; at < end; at += WIDTH) {
            const auto power = exponential(load(logits + at) - by);
            if (keep) store(logits + at, power);
            sum = sum + power;
        }
        total += static_cast<double>(sum_of(sum));
    }
    return total;
}

// Replaces logits by factor * sigmoid(logit), and returns the sum of log(1 + exp(logit)).
template <typename Storage>
LOGQ_INLINE double softplus_sum(typename Computed<Storage>::Real *logits, std::int64_t count,
                                typename Computed<Storage>::Real factor, bool keep) {
    using Real = typename Computed<Storage>::Real;
    constexpr int WIDTH = Computed<Storage>::WIDTH;
    const auto zero = all(Real(0)), one = all(Real(1)), times = all(factor);
    double total = 0.0;
    for (std::int64_t begin = 0; begin < count; begin += FLUSH * WIDTH) {
        const std::int64_t end = begin + FLUSH * WIDTH < count ? begin + FLUSH * WIDTH : count;
        auto sum = zero;
        for (std::int64_t at = begin; at < end; at += WIDTH) {
            const auto logit = load(logits + at);
            const auto power = exponential(least(zero - logit, logit));  // exp(-|logit|)
            const auto plus = one_plus(power);
            sum = sum + (greatest(zero, logit) + plus.log);
            if (keep) store(logits + at, times * where_positive(logit, one, power) * plus.inverse);
        }
        total += static_cast<double>(sum_of(sum));
    }
    return total;
}

}  // namespace
