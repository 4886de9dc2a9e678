// Loops over exponentials, compiled once for each set of instructions; see simd/vectors.hpp for what that forbids here.

#include "exponentials.hpp"
#include "inclusion.hpp"

namespace {

using logq::sampling::Counts;
using logq::sampling::Inclusion;

constexpr std::int64_t BLOCK = 64;

// A whole number from 0, below 2^52.
LOGQ_INLINE double as_double(std::int64_t a) {
    return double_of(static_cast<std::uint64_t>(a) | 0x4330000000000000u) - 0x1p52;
}

// `log_not_once` gives log(1 - p) of the i-th class.
template <typename Real, typename Rest>
void log_inclusions(const Rest &log_not_once, const std::int64_t *tries, Real *log_q, std::int64_t begin,
                    std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
        log_q[i] = static_cast<Real>(log_of_rest_of_exponential<Real>(log_not_once(i) * as_double(tries[i])));
    }
}

template <typename Real> void log_inclusions(const Inclusion &job, std::int64_t begin, std::int64_t end) {
    const Real *const log_p = static_cast<const Real *>(job.log_p);
    const Real shift = static_cast<Real>(job.shift);
    const std::int64_t *const classes = job.classes;
    Real *const log_q = static_cast<Real *>(job.log_q);
    const auto rest_of = [](Real log_p) { return log_of_rest<Real>(exponential<Real>(static_cast<double>(log_p))); };
    switch (job.counts) {
        case Counts::GIVEN:
            log_inclusions([=](std::int64_t i) { return rest_of(log_p[i]); }, job.tries, log_q, begin, end);
            break;
        case Counts::EQUAL: {
            const double rest = rest_of(shift);
            log_inclusions([=](std::int64_t) { return rest; }, job.tries, log_q, begin, end);
            break;
        }
        case Counts::TABLE:
            for (std::int64_t i = begin; i < end; i += BLOCK) {  // no compiler makes vectors of look-ups
                Real found[BLOCK];
                const std::int64_t count = end - i < BLOCK ? end - i : BLOCK;
                for (std::int64_t j = 0; j < count; ++j) found[j] = log_p[classes[i + j]] + shift;
                log_inclusions([&](std::int64_t j) { return rest_of(found[j]); }, job.tries + i, log_q + i, 0, count);
            }
            break;
        case Counts::LOG_UNIFORM: {
            const double factor = exponential<double>(job.shift);
            const auto p_of = [=](std::int64_t i) { return log_of_ratio<Real>(as_double(classes[i])) * factor; };
            if (factor * log_of_ratio<double>(0.0) <= LITTLE) {
                const auto rest = [=](std::int64_t i) { return log_of_most<Real>(p_of(i)); };
                log_inclusions(rest, job.tries, log_q, begin, end);
            } else {
                const auto rest = [=](std::int64_t i) { return log_of_rest<Real>(p_of(i)); };
                log_inclusions(rest, job.tries, log_q, begin, end);
            }
            break;
        }
    }
}

}  // namespace

namespace logq::sampling {

void LOGQ_OF_LEVEL(exponentials)(double *values, std::int64_t size) {
    for (std::int64_t i = 0; i < size; ++i) values[i] = exponential<double>(values[i]);
}

void LOGQ_OF_LEVEL(log_inclusion)(const Inclusion &job, std::int64_t begin, std::int64_t end) {
    job.in_double ? log_inclusions<double>(job, begin, end) : log_inclusions<float>(job, begin, end);
}

}  // namespace logq::sampling
