// The rules of the optimizers, for one row: w the row of the table, g its gradient.

#pragma once

#include "extents.hpp"
#include "job.hpp"

namespace {

using logq::rows::Job;
using logq::rows::Rule;

template <typename Table> class Rules {
    using Real = typename Computed<Table>::Real;
    using Vector = typename Computed<Table>::Vector;
    static constexpr int WIDTH = Computed<Table>::WIDTH;

  public:
    explicit Rules(const Job &job)
        : job(job), rate(all(static_cast<Real>(-job.rate))), decay(all(static_cast<Real>(job.decay))),
          epsilon(all(static_cast<Real>(job.epsilon))), toward(all(static_cast<Real>(1.0 - job.betas[0]))),
          keep(all(static_cast<Real>(job.betas[1]))), fresh(all(static_cast<Real>(1.0 - job.betas[1]))),
          correct(all(static_cast<Real>(1.0 / job.correction))) {}

    // Applies a rule that knows no columns but its own to those of a row from `at` on, with N vectors of gradient.
    template <int N, typename Extent>
    LOGQ_INLINE void apply(std::int64_t id, std::int64_t at, const Vector *gradient, Extent part) const {
        Table *const row = static_cast<Table *>(job.table.data) + id * job.table.stride + at;
        switch (job.rule) {
            case Rule::SGD:
                LOGQ_UNROLL
                for (int i = 0; i < N; ++i) sgd(row + i * WIDTH, gradient[i], part);
                return;
            case Rule::ADAGRAD: {
                Real *const sums = state(0, id) + at;
                LOGQ_UNROLL
                for (int i = 0; i < N; ++i) adagrad(row + i * WIDTH, gradient[i], sums + i * WIDTH, part);
                return;
            }
            case Rule::ADAM: {
                Real *const means = state(0, id) + at, *const squares = state(1, id) + at;
                LOGQ_UNROLL
                for (int i = 0; i < N; ++i) {
                    adam(row + i * WIDTH, gradient[i], means + i * WIDTH, squares + i * WIDTH, part);
                }
                return;
            }
            case Rule::NONE:
            case Rule::ROWWISE_ADAGRAD: return;
        }
    }

    // s += mean of g^2 over the row; w -= rate g / (sqrt(s) + epsilon). The gradient may be written over.
    void rowwise_adagrad(std::int64_t id, Real *gradient) const {
        Table *const row = static_cast<Table *>(job.table.data) + id * job.table.stride;
        Real *const sum = state(0, id);
        Vector squares = all(Real(0));
        over_columns<WIDTH>(job.dim, [&](std::int64_t at, auto part) {
            const Vector g = multiply_add(decay, get(row + at, part), get(gradient + at, part));
            set(gradient + at, g, part);
            squares = multiply_add(g, g, squares);
        });
        *sum += sum_of(squares) / static_cast<Real>(job.dim);
        const Vector step = rate / (square_root(all(*sum)) + epsilon);
        over_columns<WIDTH>(job.dim, [&](std::int64_t at, auto part) {
            set(row + at, multiply_add(step, get(gradient + at, part), get(row + at, part)), part);
        });
    }

  private:
    const Job &job;
    const Vector rate, decay, epsilon, toward, keep, fresh, correct;

    LOGQ_INLINE Real *state(int which, std::int64_t id) const {
        return static_cast<Real *>(job.states[which].data) + id * job.states[which].stride;
    }

    // w -= rate g, with g + decay w for g here and below
    template <typename Extent> LOGQ_INLINE void sgd(Table *row, Vector g, Extent part) const {
        const Vector w = get(row, part);
        set(row, multiply_add(rate, multiply_add(decay, w, g), w), part);
    }

    // s += g^2; w -= rate g / (sqrt(s) + epsilon)
    template <typename Extent> LOGQ_INLINE void adagrad(Table *row, Vector g, Real *sums, Extent part) const {
        const Vector w = get(row, part);
        g = multiply_add(decay, w, g);
        const Vector s = multiply_add(g, g, get(sums, part));
        set(sums, s, part);
        set(row, multiply_add(rate, g / (square_root(s) + epsilon), w), part);
    }

    // m += (1 - beta1) (g - m); v = beta2 v + (1 - beta2) g^2; w -= rate m / (sqrt(v) / correction + epsilon)
    template <typename Extent>
    LOGQ_INLINE void adam(Table *row, Vector g, Real *means, Real *squares, Extent part) const {
        const Vector w = get(row, part), before = get(means, part);
        g = multiply_add(decay, w, g);
        const Vector m = multiply_add(toward, g - before, before);
        const Vector v = multiply_add(fresh, g * g, keep * get(squares, part));
        set(means, m, part);
        set(squares, v, part);
        set(row, multiply_add(rate, m / multiply_add(square_root(v), correct, epsilon), w), part);
    }
};

}  // namespace
