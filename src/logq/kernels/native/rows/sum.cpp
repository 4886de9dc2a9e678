// Sums of rows by class, and what becomes of them. This file is compiled once for each set of instructions, and LOGQ_LEVEL
// is its name; see simd/vectors.hpp for what that forbids here.
//
// Bytes are what counts: the rows of a big table lie anywhere in memory, so they are asked for some classes ahead, and each
// is read and written once. The sum of a class is made in registers and goes through a row of scratch memory in the first
// cache, a few nanoseconds a class, where the row of the table takes a hundred to come.

#include "rules.hpp"
#include "sum.hpp"

#if defined(LOGQ_SANITIZED) || !(defined(__GNUC__) || defined(__clang__))
#define LOGQ_PREFETCH_TO_READ(address) static_cast<void>(address)
#else
#define LOGQ_PREFETCH_TO_READ(address) __builtin_prefetch((address), 0, 3)
#endif

namespace {

using logq::rows::Entry;
using logq::rows::Rows;
using logq::rows::Source;
using logq::rows::Type;

constexpr std::int64_t CLASSES_AHEAD = 6, ENTRIES_AHEAD = 8;
constexpr std::int64_t LINE = 64, FAR = 16 * LINE;  // of a long row the processor fetches the rest by itself
constexpr std::int64_t BLOCK = 256;  // sums of more entries than that are sums of sums, which keeps rounding small

// `Value` is what rows of the sources are stored as, `Table` those of the table.
template <typename Value, typename Table> class Summing {
    using Real = typename Computed<Table>::Real;
    using Vector = typename Computed<Table>::Vector;
    static constexpr int WIDTH = Computed<Table>::WIDTH;

  public:
    Summing(const Job &job, void *scratch) : job(job), rules(job), dim(job.dim), sum(static_cast<Real *>(scratch)) {}

    void run(std::int64_t begin, std::int64_t end) {
        const std::int64_t ahead = end < begin + CLASSES_AHEAD ? end : begin + CLASSES_AHEAD;
        for (std::int64_t c = begin; c < ahead; ++c) fetch_row(c);
        for (std::int64_t c = begin; c < end; ++c) {
            if (c + CLASSES_AHEAD < end) fetch_row(c + CLASSES_AHEAD);
            const std::int64_t id = id_of(c);
            add_up(c);
            finish(c, id);
        }
    }

  private:
    const Job &job;
    const Rules<Table> rules;
    const std::int64_t dim;
    Real *const sum;

    std::int64_t first_entry(std::int64_t c) const { return job.entries ? job.starts[c] : c; }
    std::int64_t id_of(std::int64_t c) const {
        return job.entries ? job.entries[job.starts[c]].id : job.ids ? job.ids[c] : c;
    }
    template <typename T> static T *row_of(const Rows &rows, std::int64_t number) {
        return static_cast<T *>(rows.data) + number * rows.stride;
    }

    struct Addend {
        const Value *row;
        Real factor;
    };
    LOGQ_INLINE Addend addend(std::int64_t e) const {
        const std::uint64_t position = job.entries ? job.entries[e].position : static_cast<std::uint64_t>(e);
        const bool second = position >= job.sources[0].end;
        const Source &source = job.sources[second];
        const std::uint32_t place = static_cast<std::uint32_t>(second ? position - job.sources[0].end : position);
        const std::uint32_t number = source.sharing == 1 ? place : place / source.sharing;
        const Real factor = source.factors ? static_cast<const Real *>(source.factors)[place] : Real(1);
        return {row_of<const Value>(source.rows, number), factor};
    }

    static LOGQ_INLINE void fetch(const void *row, std::int64_t bytes, bool to_write) {
        const char *const from = static_cast<const char *>(row);
        bytes = bytes < FAR ? bytes : FAR;
        for (std::int64_t at = 0; at < bytes; at += LINE) {
            if (to_write) {
                LOGQ_PREFETCH(from + at);
            } else {
                LOGQ_PREFETCH_TO_READ(from + at);
            }
        }
    }
    LOGQ_INLINE void fetch_row(std::int64_t c) const {
        const std::int64_t id = id_of(c), bytes = dim * static_cast<std::int64_t>(sizeof(Table));
        if (job.table.data) fetch(row_of<Table>(job.table, id), bytes, job.rule != Rule::NONE);
        if (job.sums_by_id) fetch(row_of<Table>(job.sums, id), bytes, true);
        for (const Rows &state : job.states) {
            if (!state.data) continue;
            const std::int64_t numbers = job.rule == Rule::ROWWISE_ADAGRAD ? 1 : dim;
            fetch(row_of<Real>(state, id), numbers * static_cast<std::int64_t>(sizeof(Real)), true);
        }
    }
    LOGQ_INLINE void fetch_entry(std::int64_t e) const {
        if (e < job.num_entries) fetch(addend(e).row, dim * static_cast<std::int64_t>(sizeof(Value)), false);
    }

    // sum[at] and on, N vectors or a part of one, over the entries of class c
    template <int N, typename Extent> LOGQ_INLINE void strip(std::int64_t begin, std::int64_t end, std::int64_t at, Extent part) {
        for (std::int64_t block = begin; block < end; block += BLOCK) {
            const std::int64_t stop = end < block + BLOCK ? end : block + BLOCK;
            Vector total[N];
            LOGQ_UNROLL
            for (int i = 0; i < N; ++i) total[i] = all(Real(0));
            for (std::int64_t e = block; e < stop; ++e) {
                if (at == 0) fetch_entry(e + ENTRIES_AHEAD);
                const Addend a = addend(e);
                const Vector factor = all(a.factor);
                LOGQ_UNROLL
                for (int i = 0; i < N; ++i) total[i] = multiply_add(factor, get(a.row + at + i * WIDTH, part), total[i]);
            }
            LOGQ_UNROLL
            for (int i = 0; i < N; ++i) {
                Real *const to = sum + at + i * WIDTH;
                store(to, block == begin ? total[i] : load(to) + total[i]);
            }
        }
    }

    LOGQ_INLINE void add_up(std::int64_t c) {
        const std::int64_t begin = first_entry(c), end = job.entries ? job.starts[c + 1] : c + 1;
        std::int64_t at = 0;
        for (; at + 8 * WIDTH <= dim; at += 8 * WIDTH) strip<8>(begin, end, at, Whole{});
        for (; at + 2 * WIDTH <= dim; at += 2 * WIDTH) strip<2>(begin, end, at, Whole{});
        for (; at + WIDTH <= dim; at += WIDTH) strip<1>(begin, end, at, Whole{});
        if (at < dim) strip<1>(begin, end, at, Part{static_cast<int>(dim - at)});
    }

    LOGQ_INLINE void finish(std::int64_t c, std::int64_t id) {
        Table *const row = job.table.data ? row_of<Table>(job.table, id) : nullptr;
        if (job.cosine) {
            project(row);
        } else if (job.scale != 1.0) {
            const Vector scale = all(static_cast<Real>(job.scale));
            over_columns<WIDTH>(dim, [&](std::int64_t at, auto part) { set(sum + at, scale * get(sum + at, part), part); });
        }
        if (job.sums.data) {
            Table *const to = row_of<Table>(job.sums, job.sums_by_id ? id : c);
            over_columns<WIDTH>(dim, [&](std::int64_t at, auto part) { set(to + at, get(sum + at, part), part); });
        }
        rules.apply(row, sum, id);
    }

    // From the gradient of v = w / max(|w|, 1e-12) that of w: (g - <g, v> v) / |w|, or g / 1e-12 where w is shorter.
    void project(const Table *row) {
        const Real shortest = Real(1e-12);
        Vector squares = all(Real(0)), products = all(Real(0));
        over_columns<WIDTH>(dim, [&](std::int64_t at, auto part) {
            const Vector w = get(row + at, part);
            squares = multiply_add(w, w, squares);
            products = multiply_add(w, get(sum + at, part), products);
        });
        Real lanes[WIDTH];
        store(lanes, square_root(all(sum_of(squares))));
        const Real length = lanes[0], scale = static_cast<Real>(job.scale);
        const bool normal = length >= shortest;
        const Real along = normal ? sum_of(products) / length / length : Real(0);
        const Vector times = all(scale / (normal ? length : shortest)), back = all(-along);
        over_columns<WIDTH>(dim, [&](std::int64_t at, auto part) {
            set(sum + at, times * multiply_add(back, get(row + at, part), get(sum + at, part)), part);
        });
    }
};

template <typename Value, typename Table>
void sum_typed(const Job &job, std::int64_t begin, std::int64_t end, void *scratch) {
    Summing<Value, Table>(job, scratch).run(begin, end);
}

}  // namespace

namespace logq::rows {

void LOGQ_OF_LEVEL(sum_classes)(const Job &job, std::int64_t begin, std::int64_t end, void *scratch) {
    const bool narrow = job.source_type == job.table_type;
    switch (job.table_type) {
        case Type::FLOAT: return sum_typed<float, float>(job, begin, end, scratch);
        case Type::DOUBLE: return sum_typed<double, double>(job, begin, end, scratch);
        case Type::BFLOAT16:
            return narrow ? sum_typed<BFloat16, BFloat16>(job, begin, end, scratch) : sum_typed<float, BFloat16>(job, begin, end, scratch);
        case Type::FLOAT16:
            return narrow ? sum_typed<Float16, Float16>(job, begin, end, scratch) : sum_typed<float, Float16>(job, begin, end, scratch);
    }
}

}  // namespace logq::rows
