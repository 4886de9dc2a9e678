// Loops over exponentials, compiled once for each set of instructions; see simd/vectors.hpp for what that forbids here.

#include "exponentials.hpp"
#include "inclusion.hpp"

namespace {

template <typename Real>
void log_inclusions(const Real *log_p, const std::int64_t *tries, Real *log_q, std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
        const double log_not_once = log_of_rest(exponential(static_cast<double>(log_p[i])));
        const double times = double_of(static_cast<std::uint64_t>(tries[i]) | 0x4330000000000000u) - 0x1p52;  // as a double
        log_q[i] = static_cast<Real>(log_of_rest_of_exponential(log_not_once * times));
    }
}

}  // namespace

namespace logq::sampling {

void LOGQ_OF_LEVEL(exponentials)(double *values, std::int64_t size) {
    for (std::int64_t i = 0; i < size; ++i) values[i] = exponential(values[i]);
}

void LOGQ_OF_LEVEL(log_inclusion)(const Inclusion &job, std::int64_t begin, std::int64_t end) {
    if (job.in_double) {
        log_inclusions(static_cast<const double *>(job.log_p), job.tries, static_cast<double *>(job.log_q), begin, end);
    } else {
        log_inclusions(static_cast<const float *>(job.log_p), job.tries, static_cast<float *>(job.log_q), begin, end);
    }
}

}  // namespace logq::sampling
