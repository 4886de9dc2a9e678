// From a tile of dot products of some rows with the classes that all rows share to their losses, and to the derivative by
// each dot product, which replaces the dot products. A row of the tile stays in the cache while it is gone over. Compiled
// once for each set of instructions; see simd/vectors.hpp for what that forbids here.

#include "job.hpp"
#include "row_losses.hpp"

namespace {

using logq::losses::Pass;
using logq::losses::TileJob;

template <typename Real> class TileUnit {
    static constexpr int WIDTH = Computed<Real>::WIDTH;
    const TileJob &job;
    const Real minus_infinity = -static_cast<Real>(__builtin_inff());
    const std::int64_t whole = job.columns / WIDTH * WIDTH;
    const int rest = static_cast<int>(job.columns - whole);

  public:
    explicit TileUnit(const TileJob &job) : job(job) {}

    void run(std::int64_t begin, std::int64_t end) const {
        for (std::int64_t i = begin; i < end; ++i) {
            if (has_true(i)) {
                find(i);
            } else {
                write_nothing(i);
            }
        }
    }

  private:
    template <typename T> static T *of(void *array) { return static_cast<T *>(array); }
    Real *row(std::int64_t i) const { return of<Real>(job.tile) + i * job.columns; }

    bool has_true(std::int64_t i) const {
        for (std::int64_t t = 0; t < job.num_true; ++t) {
            if (job.targets[i * job.num_true + t] >= 0) return true;
        }
        return false;
    }

    void write_nothing(std::int64_t i) const {
        if (job.first) {
            of<Real>(job.losses)[i] = 0;
            for (std::int64_t t = 0; job.gradients && t < job.num_true; ++t) of<Real>(job.true_factors)[i * job.num_true + t] = 0;
        }
        Real *const tile = row(i);
        for (std::int64_t c = 0; job.gradients && c < job.columns; ++c) tile[c] = 0;
    }

    // Puts `value` where a column is not a negative of the row.
    void mask(std::int64_t i, Real value) const {
        Real *const tile = row(i);
        if (job.hits_begin) {
            for (std::int64_t t = i * job.num_true; t < (i + 1) * job.num_true; ++t) {
                for (std::int64_t hit = job.hits_begin[t]; hit < job.hits_end[t]; ++hit) {
                    const std::int64_t column = job.places[hit] - job.first_column;
                    if (column >= 0 && column < job.columns) tile[column] = value;
                }
            }
        }
        if (job.excluded) {
            const bool *const excluded = job.excluded + i * job.excluded_stride;
            for (std::int64_t c = 0; c < job.columns; ++c) tile[c] = excluded[c] ? value : tile[c];
        }
    }

    // logit = dot / temperature + offset. Returns the greatest of them and of `least_one`.
    Real find_logits(std::int64_t i, Real least_one) const {
        Real *const tile = row(i);
        const Real *const offsets = job.offsets ? static_cast<const Real *>(job.offsets) + i * job.offset_stride : nullptr;
        const auto inverse = all(static_cast<Real>(job.inverse_temperature)), zero = all(Real(0));
        auto found = all(least_one);
        for (std::int64_t at = 0; at < whole; at += WIDTH) {
            const auto logit = multiply_add(load(tile + at), inverse, offsets ? load(offsets + at) : zero);
            found = greatest(found, logit);
            store(tile + at, logit);
        }
        Real most = greatest_of(found);
        for (std::int64_t c = whole; c < job.columns; ++c) {
            tile[c] = tile[c] * static_cast<Real>(job.inverse_temperature) + (offsets ? offsets[c] : Real(0));
            most = tile[c] > most || tile[c] != tile[c] ? tile[c] : most;
        }
        return most;
    }

    // Losses run over whole vectors: the last columns are computed in a copy, filled up with classes of weight 0.
    template <typename Loss> double over_columns(Real *tile, Loss loss) const {
        double total = whole > 0 ? loss(tile, whole) : 0.0;
        if (rest != 0) {
            Real last[WIDTH];
            for (int c = 0; c < WIDTH; ++c) last[c] = c < rest ? tile[whole + c] : minus_infinity;
            total += loss(last, WIDTH);
            for (int c = 0; c < rest; ++c) tile[whole + c] = last[c];
        }
        return total;
    }

    void find(std::int64_t i) const {
        mask(i, minus_infinity);
        const Real scale = job.row_scale ? static_cast<const Real *>(job.row_scale)[i] : Real(1);
        const Real factor = scale * static_cast<Real>(job.inverse_temperature);
        if (job.softmax) {
            find_softmax(i, factor);
        } else {
            find_logistic(i, factor);
        }
        if (job.gradients && job.pass != Pass::REDUCE) mask(i, Real(0));
    }

    void find_softmax(std::int64_t i, Real factor) const {
        Real *const tile = row(i);
        const Real of_true = static_cast<const Real *>(job.true_logits)[i];
        if (job.pass == Pass::REDUCE) {
            Real &shift = of<Real>(job.maxima)[i], &sum = of<Real>(job.sums)[i];
            const Real greater = find_logits(i, shift);
            const double here = over_columns(tile, [&](Real *logits, std::int64_t count) {
                return exponentials<Real>(logits, count, greater, false);
            });
            sum = static_cast<Real>(static_cast<double>(sum) * exp(static_cast<double>(shift - greater)) + here);
            shift = greater;
            return;
        }
        double total;
        Real shift;
        if (job.pass == Pass::WHOLE) {
            shift = find_logits(i, of_true);
            total = exp(static_cast<double>(of_true - shift)) + over_columns(tile, [&](Real *logits, std::int64_t count) {
                return exponentials<Real>(logits, count, shift, job.gradients);
            });
        } else {
            shift = of<Real>(job.maxima)[i];
            total = static_cast<double>(of<Real>(job.sums)[i]);
            find_logits(i, shift);
            over_columns(tile, [&](Real *logits, std::int64_t count) { return exponentials<Real>(logits, count, shift); });
        }
        if (job.first) of<Real>(job.losses)[i] = static_cast<Real>(log(total) - static_cast<double>(of_true - shift));
        if (!job.gradients) return;
        const double share = static_cast<double>(factor) / total;
        const auto times = all(static_cast<Real>(share));
        for (std::int64_t at = 0; at < whole; at += WIDTH) store(tile + at, load(tile + at) * times);
        for (std::int64_t c = whole; c < job.columns; ++c) tile[c] *= static_cast<Real>(share);
        if (job.first) {
            const double power = exp(static_cast<double>(of_true - shift));
            of<Real>(job.true_factors)[i] = static_cast<Real>((power - total) * share);
        }
    }

    void find_logistic(std::int64_t i, Real factor) const {
        Real *const tile = row(i);
        find_logits(i, minus_infinity);
        double loss = over_columns(tile, [&](Real *logits, std::int64_t count) {
            return softplus_sum<Real>(logits, count, factor, job.gradients);
        });
        if (!job.first) {
            of<Real>(job.losses)[i] += static_cast<Real>(loss);
            return;
        }
        for (std::int64_t t = i * job.num_true; t < (i + 1) * job.num_true; ++t) {
            const bool is_true = job.targets[t] >= 0;
            Real turned[WIDTH];
            for (int c = 0; c < WIDTH; ++c) turned[c] = minus_infinity;
            if (is_true) turned[0] = -static_cast<const Real *>(job.true_logits)[t];
            const double of_true = softplus_sum<Real>(turned, WIDTH, factor, true);
            if (is_true) loss += of_true;
            if (job.gradients) of<Real>(job.true_factors)[t] = is_true ? -turned[0] : Real(0);
        }
        of<Real>(job.losses)[i] = static_cast<Real>(loss);
    }
};

}  // namespace

namespace logq::losses {

void LOGQ_OF_LEVEL(tile_losses)(const TileJob &job, std::int64_t begin, std::int64_t end) {
    if (job.doubles) {
        TileUnit<double>(job).run(begin, end);
    } else {
        TileUnit<float>(job).run(begin, end);
    }
}

}  // namespace logq::losses
