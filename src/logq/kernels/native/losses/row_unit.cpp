// Losses of rows that have sampled classes of their own, and the gradient of their inputs, while the rows of the class
// table are in the cache. Compiled once for each set of instructions; see simd/vectors.hpp for what that forbids here.

#include "job.hpp"
#include "row_losses.hpp"
#include "rows_of_table.hpp"

namespace {

using logq::losses::Batch;
using logq::losses::RowJob;
using logq::losses::Stored;

constexpr std::int64_t LINE = 64;

// Pieces of one block of memory, each on a line of the cache of its own.
struct Pieces {
    char *at;
    template <typename T> T *take(std::int64_t count) {
        T *const piece = reinterpret_cast<T *>(at);
        at += (count * static_cast<std::int64_t>(sizeof(T)) + LINE - 1) / LINE * LINE;
        return piece;
    }
};

template <typename Storage> class RowUnit {
    using Real = typename Computed<Storage>::Real;
    static constexpr int WIDTH = Computed<Storage>::WIDTH;

    // The classes that take part in a row: the true ones, then the negatives.
    struct Classes {
        const Storage **rows;  // filled up to a multiple of WIDTH
        std::int32_t *columns;  // t for a true class, T + s for a sampled one
        int count;
        int num_true;
    };

    const RowJob &job;
    const Batch &batch;
    const TableRows<Storage> table;
    Classes lists[2];
    Classes &now = lists[0], &next = lists[1];  // of the row at hand and of the one after it
    Real *logits, *weights, *norms;

  public:
    RowUnit(const RowJob &job, void *memory) : job(job), batch(job.batch), table{job.batch.width} {
        Pieces pieces{static_cast<char *>(memory)};
        const std::int64_t most = batch.num_true + job.num_sampled + WIDTH;
        for (Classes *classes = lists; classes < lists + 2; ++classes) {
            classes->rows = pieces.take<const Storage *>(most);
            classes->columns = pieces.take<std::int32_t>(most);
        }
        logits = pieces.take<Real>(most);
        weights = pieces.take<Real>(most);
        norms = pieces.take<Real>(most);
    }

    void run(std::int64_t begin, std::int64_t end) {
        gather(begin, next);
        table.fetch_group(next.rows, next.count);
        for (std::int64_t i = begin; i < end; ++i) {
            const Classes classes = next;
            next = now;
            now = classes;
            next.count = 0;
            if (i + 1 < end) gather(i + 1, next);
            if (now.num_true == 0) {
                table.fetch_group(next.rows, next.count);
                write_nothing(i);
                continue;
            }
            find_logits(i);
            find_loss(i);
        }
    }

  private:
    bool is_hit(std::int64_t i, std::int64_t id) const {
        bool found = false;
        for (std::int64_t t = 0; t < batch.num_true; ++t) found |= batch.targets[i * batch.num_true + t] == id;
        return found;
    }

    void gather(std::int64_t i, Classes &classes) const {
        const Storage *const weight = static_cast<const Storage *>(batch.weight);
        int count = 0;
        const auto add = [&](std::int64_t id, std::int64_t column) {
            classes.rows[count] = weight + id * batch.width;
            classes.columns[count++] = static_cast<std::int32_t>(column);
        };
        for (std::int64_t t = 0; t < batch.num_true; ++t) {
            const std::int64_t id = batch.targets[i * batch.num_true + t];
            if (id >= 0) add(id, t);
        }
        classes.num_true = count;
        if (count > 0) {
            for (std::int64_t s = 0; s < job.num_sampled; ++s) {
                const std::int64_t id = job.ids[i * job.num_sampled + s];
                if (job.excluded && job.excluded[i * job.num_sampled + s]) continue;
                if (job.remove_hits && is_hit(i, id)) continue;
                add(id, batch.num_true + s);
            }
        }
        classes.count = count;
        for (int j = count; j % WIDTH != 0; ++j) classes.rows[j] = classes.rows[0];
    }

    void find_logits(std::int64_t i) {
        const Real *const x = static_cast<const Real *>(batch.input) + i * batch.width;
        for (int j = 0; j < now.count; j += WIDTH) {
            if (j + WIDTH < now.count) {
                table.fetch_group(now.rows + j + WIDTH, now.count - j - WIDTH);
            } else {
                table.fetch_group(next.rows, next.count);
            }
            const auto dots = table.dots(x, now.rows + j);
            if (batch.cosine) {
                const auto inverse = table.inverse_norms(now.rows + j);
                store(norms + j, inverse);
                store(logits + j, dots * inverse);
            } else {
                store(logits + j, dots);
            }
        }
        const Real inverse = static_cast<Real>(job.inverse_temperature);
        const Real *const true_offsets = static_cast<const Real *>(job.true_offsets);
        const Real *const offsets = static_cast<const Real *>(job.offsets);
        for (int j = 0; j < now.count; ++j) {
            const std::int64_t column = now.columns[j], sampled = column - batch.num_true;
            Real offset = 0;
            if (sampled < 0) {
                if (true_offsets) offset = true_offsets[i * batch.num_true + column];
            } else if (offsets) {
                offset = offsets[i * job.num_sampled + sampled];
            }
            logits[j] = logits[j] * inverse + offset;
        }
        for (int j = now.count; j % WIDTH != 0; ++j) logits[j] = -static_cast<Real>(__builtin_inff());
    }

    // From logits to the loss, and from there to the derivative by each dot product, which replaces the logits.
    void find_loss(std::int64_t i) {
        const bool gradients = job.input_gradient != nullptr;
        const int filled = (now.count + WIDTH - 1) / WIDTH * WIDTH;
        const Real scale = job.row_scale ? static_cast<const Real *>(job.row_scale)[i] : Real(1);
        const Real factor = scale * static_cast<Real>(job.inverse_temperature);
        double loss;
        if (job.softmax) {
            const Real of_true = logits[0], shift = greatest_logit<Storage>(logits, filled, of_true);
            const double total = exponentials<Storage>(logits, filled, shift);
            loss = log(total) - static_cast<double>(of_true - shift);
            const Real share = static_cast<Real>(static_cast<double>(factor) / total);
            for (int j = 0; j < now.count; ++j) logits[j] *= share;
            logits[0] -= factor;
        } else {
            for (int j = 0; j < now.num_true; ++j) logits[j] = -logits[j];
            loss = softplus_sum<Storage>(logits, filled, factor, gradients);
            for (int j = 0; j < now.num_true; ++j) logits[j] = -logits[j];
        }
        static_cast<Real *>(job.losses)[i] = static_cast<Real>(loss);
        if (gradients) write_gradients(i);
    }

    void write_gradients(std::int64_t i) {
        Real *const true_factors = static_cast<Real *>(job.true_factors) + i * batch.num_true;
        Real *const factors = static_cast<Real *>(job.factors) + i * job.num_sampled;
        if (now.count < batch.num_true + job.num_sampled) clear_factors(true_factors, factors);
        for (int j = 0; j < now.count; ++j) {
            const std::int64_t sampled = now.columns[j] - batch.num_true;
            if (sampled < 0) {
                true_factors[now.columns[j]] = logits[j];
            } else {
                factors[sampled] = logits[j];
            }
            weights[j] = batch.cosine ? logits[j] * norms[j] : logits[j];
        }
        // The true classes last: beside their factors, near -1, many small ones would be rounded away.
        Real *const gradient = static_cast<Real *>(job.input_gradient) + i * batch.width;
        table.add(now.rows + now.num_true, weights + now.num_true, now.count - now.num_true, false, gradient);
        table.add(now.rows, weights, now.num_true, true, gradient);
    }

    void clear_factors(Real *true_factors, Real *factors) const {
        for (std::int64_t t = 0; t < batch.num_true; ++t) true_factors[t] = 0;
        for (std::int64_t s = 0; s < job.num_sampled; ++s) factors[s] = 0;
    }

    void write_nothing(std::int64_t i) const {
        static_cast<Real *>(job.losses)[i] = 0;
        if (job.input_gradient == nullptr) return;
        clear_factors(static_cast<Real *>(job.true_factors) + i * batch.num_true,
                      static_cast<Real *>(job.factors) + i * job.num_sampled);
        Real *const gradient = static_cast<Real *>(job.input_gradient) + i * batch.width;
        for (std::int64_t d = 0; d < batch.width; ++d) gradient[d] = 0;
    }
};

// <input, weight_t> of the true classes of rows, or what they add to the gradient of the inputs.
template <typename Storage> void true_classes(const Batch &batch, bool gradients, void *numbers, void *to, std::int64_t begin, std::int64_t end) {
    using Real = typename Computed<Storage>::Real;
    constexpr int WIDTH = Computed<Storage>::WIDTH;
    constexpr std::int64_t AHEAD = 8;  // entries
    const TableRows<Storage> table{batch.width};
    const Storage *const weight = static_cast<const Storage *>(batch.weight);
    const std::int64_t last = end * batch.num_true;
    for (std::int64_t e = begin * batch.num_true; e < last; ++e) {
        if (e + AHEAD < last && batch.targets[e + AHEAD] >= 0) table.fetch(weight + batch.targets[e + AHEAD] * batch.width);
        Real &number_of_entry = static_cast<Real *>(numbers)[e];
        if (batch.targets[e] < 0) {
            number_of_entry = 0;
            continue;
        }
        const Storage *rows[WIDTH];
        for (int j = 0; j < WIDTH; ++j) rows[j] = weight + batch.targets[e] * batch.width;
        const std::int64_t i = e / batch.num_true;
        const Real norm = batch.cosine ? table.inverse_norm(rows[0]) : Real(1);
        if (gradients) {
            const Real factor = number_of_entry * norm;
            table.add(rows, &factor, 1, true, static_cast<Real *>(to) + i * batch.width);
        } else {
            Real dots[WIDTH];
            store(dots, table.dots(static_cast<const Real *>(batch.input) + i * batch.width, rows));
            number_of_entry = dots[0] * norm;
        }
    }
}

}  // namespace

namespace logq::losses {

#define LOGQ_FOR_STORAGE(stored, call)                      \
    switch (stored) {                                       \
        case Stored::FLOAT32: call(float); break;           \
        case Stored::FLOAT64: call(double); break;          \
        case Stored::BFLOAT16: call(BFloat16); break;       \
        case Stored::FLOAT16: call(Float16); break;         \
    }

void LOGQ_OF_LEVEL(row_losses)(const RowJob &job, std::int64_t begin, std::int64_t end, void *memory) {
#define LOGQ_RUN(Storage) RowUnit<Storage>(job, memory).run(begin, end)
    LOGQ_FOR_STORAGE(job.batch.stored, LOGQ_RUN)
#undef LOGQ_RUN
}

void LOGQ_OF_LEVEL(true_dots)(const Batch &batch, void *dots, std::int64_t begin, std::int64_t end) {
#define LOGQ_RUN(Storage) true_classes<Storage>(batch, false, dots, nullptr, begin, end)
    LOGQ_FOR_STORAGE(batch.stored, LOGQ_RUN)
#undef LOGQ_RUN
}

void LOGQ_OF_LEVEL(add_true_rows)(const Batch &batch, void *factors, void *to, std::int64_t begin, std::int64_t end) {
#define LOGQ_RUN(Storage) true_classes<Storage>(batch, true, factors, to, begin, end)
    LOGQ_FOR_STORAGE(batch.stored, LOGQ_RUN)
#undef LOGQ_RUN
}

}  // namespace logq::losses
