// The rules of the optimisers, for one row: w the row of the table, g its gradient.

#pragma once

#include "../simd/storage.hpp"
#include "job.hpp"

namespace {

using logq::rows::Job;
using logq::rows::Rule;

// A whole vector of a row, or the few numbers at its end.
struct Whole {};
struct Part {
    int count;
};
template <typename T> LOGQ_INLINE auto get(const T *from, Whole) { return load_as(from); }
template <typename T> LOGQ_INLINE auto get(const T *from, Part part) { return load_as(from, part.count); }
template <typename T, typename Vector> LOGQ_INLINE void set(T *to, Vector a, Whole) { store_as(to, a); }
template <typename T, typename Vector> LOGQ_INLINE void set(T *to, Vector a, Part part) { store_as(to, a, part.count); }

// function(column, Whole or Part) for all vectors of a row.
template <int WIDTH, typename Function> LOGQ_INLINE void over_columns(std::int64_t dim, const Function &function) {
    std::int64_t at = 0;
    for (; at + WIDTH <= dim; at += WIDTH) function(at, Whole{});
    if (at < dim) function(at, Part{static_cast<int>(dim - at)});
}

template <typename Table> class Rules {
    using Real = typename Computed<Table>::Real;
    using Vector = typename Computed<Table>::Vector;
    static constexpr int WIDTH = Computed<Table>::WIDTH;

  public:
    explicit Rules(const Job &job)
        : job(job), dim(job.dim), rate(all(static_cast<Real>(-job.rate))), decay(all(static_cast<Real>(job.decay))),
          epsilon(all(static_cast<Real>(job.epsilon))) {}

    // `gradient` may be written over.
    LOGQ_INLINE void apply(Table *row, Real *gradient, std::int64_t id) const {
        switch (job.rule) {
            case Rule::NONE: return;
            case Rule::SGD: return sgd(row, gradient);
            case Rule::ADAGRAD: return adagrad(row, gradient, state(0, id));
            case Rule::ROWWISE_ADAGRAD: return rowwise_adagrad(row, gradient, state(0, id));
            case Rule::ADAM: return adam(row, gradient, state(0, id), state(1, id));
        }
    }

  private:
    const Job &job;
    const std::int64_t dim;
    const Vector rate, decay, epsilon;

    Real *state(int which, std::int64_t id) const {
        return static_cast<Real *>(job.states[which].data) + id * job.states[which].stride;
    }

    // w -= rate g, with g + decay w for g here and below
    void sgd(Table *row, const Real *gradient) const {
        over_columns<WIDTH>(dim, [&](std::int64_t at, auto part) {
            const Vector w = get(row + at, part), g = multiply_add(decay, w, get(gradient + at, part));
            set(row + at, multiply_add(rate, g, w), part);
        });
    }

    // s += g^2; w -= rate g / (sqrt(s) + epsilon)
    void adagrad(Table *row, const Real *gradient, Real *sums) const {
        over_columns<WIDTH>(dim, [&](std::int64_t at, auto part) {
            const Vector w = get(row + at, part), g = multiply_add(decay, w, get(gradient + at, part));
            const Vector s = multiply_add(g, g, get(sums + at, part));
            set(sums + at, s, part);
            set(row + at, multiply_add(rate, g / (square_root(s) + epsilon), w), part);
        });
    }

    // s += mean of g^2 over the row; w -= rate g / (sqrt(s) + epsilon)
    void rowwise_adagrad(Table *row, Real *gradient, Real *sum) const {
        Vector squares = all(Real(0));
        over_columns<WIDTH>(dim, [&](std::int64_t at, auto part) {
            const Vector g = multiply_add(decay, get(row + at, part), get(gradient + at, part));
            set(gradient + at, g, part);
            squares = multiply_add(g, g, squares);
        });
        *sum += sum_of(squares) / static_cast<Real>(dim);
        Real lanes[WIDTH];
        store(lanes, square_root(all(*sum)) + epsilon);
        const Vector step = rate / all(lanes[0]);
        over_columns<WIDTH>(dim, [&](std::int64_t at, auto part) {
            set(row + at, multiply_add(step, get(gradient + at, part), get(row + at, part)), part);
        });
    }

    // m += (1 - beta1) (g - m); v = beta2 v + (1 - beta2) g^2; w -= rate m / (sqrt(v) / correction + epsilon)
    void adam(Table *row, const Real *gradient, Real *means, Real *squares) const {
        const Vector toward = all(static_cast<Real>(1.0 - job.betas[0])), keep = all(static_cast<Real>(job.betas[1]));
        const Vector fresh = all(static_cast<Real>(1.0 - job.betas[1])), correct = all(static_cast<Real>(1.0 / job.correction));
        over_columns<WIDTH>(dim, [&](std::int64_t at, auto part) {
            const Vector w = get(row + at, part), g = multiply_add(decay, w, get(gradient + at, part));
            const Vector before = get(means + at, part), m = multiply_add(toward, g - before, before);
            const Vector v = multiply_add(fresh, g * g, keep * get(squares + at, part));
            set(means + at, m, part);
            set(squares + at, v, part);
            set(row + at, multiply_add(rate, m / multiply_add(square_root(v), correct, epsilon), w), part);
        });
    }
};

}  // namespace
