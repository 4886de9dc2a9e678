// Sums of rows by class, and what becomes of them. This file is compiled once for each set of instructions, and LOGQ_LEVEL
// is its name; see simd/vectors.hpp for what that forbids here.
//
// Bytes are what counts: the rows of a big table lie anywhere in memory, so they are asked for some classes ahead, and each
// is read and written once. The sum of a class is made in registers and goes through a row of scratch memory in the first
// cache, a few nanoseconds per class, where the row of the table takes a hundred to come.

#include "rules.hpp"
#include "sum.hpp"

namespace {

using logq::rows::Additions;
using logq::rows::Entry;
using logq::rows::Rows;
using logq::rows::Source;
using logq::rows::Type;

constexpr std::int64_t CLASSES_AHEAD = 6, ENTRIES_AHEAD = 8;
// A line that is asked for waits until the place of its page is found, and holds up what comes behind it: the pages of
// some rows are looked for together.
constexpr std::int64_t PAGES_AT_ONCE = 16;
constexpr std::int64_t LINE = 64, FAR = 16 * LINE;  // of a long row the processor fetches the rest by itself
constexpr std::int64_t BLOCK = 256;  // sums of more entries than that are sums of sums, which keeps rounding small

// From the gradient of v = w / max(|w|, 1e-12), in `sum`, that of w: (g - <g, v> v) / |w|, or g / 1e-12 where w is shorter.
template <typename Table>
void project(const Table *row, typename Computed<Table>::Real *sum, std::int64_t dim) {
    using Real = typename Computed<Table>::Real;
    using Vector = typename Computed<Table>::Vector;
    constexpr int WIDTH = Computed<Table>::WIDTH;
    const Real shortest = Real(1e-12);
    Vector squares = all(Real(0)), products = all(Real(0));
    over_columns<WIDTH>(dim, [&](std::int64_t at, auto part) {
        const Vector w = get(row + at, part);
        squares = multiply_add(w, w, squares);
        products = multiply_add(w, get(sum + at, part), products);
    });
    Real lanes[WIDTH];
    store(lanes, square_root(all(sum_of(squares))));
    const Real length = lanes[0];
    const bool normal = length >= shortest;
    const Real along = normal ? sum_of(products) / length / length : Real(0);
    const Vector times = all(Real(1) / (normal ? length : shortest)), back = all(-along);
    over_columns<WIDTH>(dim, [&](std::int64_t at, auto part) {
        set(sum + at, times * multiply_add(back, get(row + at, part), get(sum + at, part)), part);
    });
}

// `Value` is what rows of the sources are stored as, `Table` those of the table.
template <typename Value, typename Table> class Summing {
    using Real = typename Computed<Table>::Real;
    using Vector = typename Computed<Table>::Vector;
    static constexpr int WIDTH = Computed<Table>::WIDTH;

  public:
    Summing(const Job &job, void *scratch)
        : job(job), rules(job), dim(job.dim), scale(all(static_cast<Real>(job.scale))), sum(static_cast<Real *>(scratch)),
          whole_row(job.cosine || job.rule == Rule::ROWWISE_ADAGRAD) {}

    void run(std::int64_t begin, std::int64_t end) {
        const std::int64_t ahead = end < begin + CLASSES_AHEAD ? end : begin + CLASSES_AHEAD;
        for (std::int64_t c = begin; c < ahead; ++c) fetch_row(c);
        for (std::int64_t c = begin; c < end; ++c) {
            if ((c - begin) % PAGES_AT_ONCE == 0) find_pages(c + CLASSES_AHEAD + PAGES_AT_ONCE, end);
            if (c + CLASSES_AHEAD < end) fetch_row(c + CLASSES_AHEAD);
            sum_class(c);
        }
    }

  private:
    const Job &job;
    const Rules<Table> rules;
    const std::int64_t dim;
    const Vector scale;
    Real *const sum;
    const bool whole_row;  // whether a sum has to be complete before it can be used

    std::int64_t id_of(std::int64_t c) const {
        return job.entries ? job.entries[job.starts[c]].id : job.ids ? job.ids[c] : c;
    }
    template <typename T> static T *row_of(const Rows &rows, std::int64_t number) {
        return static_cast<T *>(rows.data) + number * rows.stride;
    }

    struct Addend {
        const Value *row;
        const Real *factor;  // null for 1
    };
    LOGQ_INLINE Addend addend(std::int64_t e) const {
        const std::uint64_t position = job.entries ? job.entries[e].position : static_cast<std::uint64_t>(e);
        const bool second = position >= job.sources[0].end;
        const Source &source = job.sources[second];
        const std::uint32_t place = static_cast<std::uint32_t>(second ? position - job.sources[0].end : position);
        const std::uint32_t number = source.sharing == 1 ? place : place / source.sharing;
        const Real *const factors = static_cast<const Real *>(source.factors);
        return {row_of<const Value>(source.rows, number), factors ? factors + place : nullptr};
    }

    template <bool TO_WRITE> static LOGQ_INLINE void fetch_line(const char *line) {
        if (TO_WRITE) {
            LOGQ_PREFETCH(line);
        } else {
            LOGQ_PREFETCH_READ(line);
        }
    }
    template <bool TO_WRITE> static LOGQ_INLINE void fetch(const void *row, std::int64_t bytes) {
        const char *line = static_cast<const char *>(row);
        const char *const end = line + (bytes < FAR ? bytes : FAR);
        for (; line + 4 * LINE <= end; line += 4 * LINE) {
            LOGQ_UNROLL
            for (int i = 0; i < 4; ++i) fetch_line<TO_WRITE>(line + i * LINE);
        }
        for (; line < end; line += LINE) fetch_line<TO_WRITE>(line);
    }
    LOGQ_INLINE void fetch_row(std::int64_t c) const {
        const std::int64_t id = id_of(c), bytes = dim * static_cast<std::int64_t>(sizeof(Table));
        if (job.table.data) fetch<true>(row_of<Table>(job.table, id), bytes);
        if (job.sums_by_id) fetch<true>(row_of<Table>(job.sums, id), bytes);
        for (const Rows &state : job.states) {
            if (!state.data) continue;
            const std::int64_t numbers = job.rule == Rule::ROWWISE_ADAGRAD ? 1 : dim;
            fetch<true>(row_of<Real>(state, id), numbers * static_cast<std::int64_t>(sizeof(Real)));
        }
    }
    // Some rows to come, one line of each, for the sake of their pages.
    template <typename T> LOGQ_INLINE void find_pages(const Rows &rows, std::int64_t begin, std::int64_t end) const {
        if (!rows.data) return;
        for (std::int64_t c = begin; c < end; ++c) {
            fetch_line<true>(static_cast<const char *>(static_cast<const void *>(row_of<T>(rows, id_of(c)))));
        }
    }
    LOGQ_INLINE void find_pages(std::int64_t begin, std::int64_t end) const {
        end = end < begin + PAGES_AT_ONCE ? end : begin + PAGES_AT_ONCE;
        find_pages<Table>(job.table, begin, end);
        for (const Rows &state : job.states) find_pages<Real>(state, begin, end);
    }
    LOGQ_INLINE void fetch_entry(std::int64_t e) const {
        if (e >= job.num_entries) return;
        const Addend a = addend(e);
        if (a.factor) LOGQ_PREFETCH_READ(a.factor);  // the rows that pass by push the factors out of the cache
        fetch<false>(a.row, dim * static_cast<std::int64_t>(sizeof(Value)));
    }

    // Columns from `at` on, N vectors or a part of one, summed over entries.
    template <int N, typename Extent>
    LOGQ_INLINE void add_up(std::int64_t begin, std::int64_t end, std::int64_t at, Extent part, Vector *total) const {
        LOGQ_UNROLL
        for (int i = 0; i < N; ++i) total[i] = all(Real(0));
        for (std::int64_t e = begin; e < end; ++e) {
            if (at == 0) fetch_entry(e + ENTRIES_AHEAD);
            const Addend a = addend(e);
            const Vector factor = all(a.factor ? *a.factor : Real(1));
            LOGQ_UNROLL
            for (int i = 0; i < N; ++i) total[i] = multiply_add(factor, get(a.row + at + i * WIDTH, part), total[i]);
        }
    }

    template <int N, typename Extent>
    void add_up_blocks(std::int64_t begin, std::int64_t end, std::int64_t at, Extent part, Vector *total) const {
        Vector block[N];
        add_up<N>(begin, begin + BLOCK, at, part, total);
        for (std::int64_t e = begin + BLOCK; e < end; e += BLOCK) {
            add_up<N>(e, end < e + BLOCK ? end : e + BLOCK, at, part, block);
            for (int i = 0; i < N; ++i) total[i] = total[i] + block[i];
        }
    }

    template <int N, typename Extent>
    LOGQ_INLINE void strip(std::int64_t begin, std::int64_t end, std::int64_t c, std::int64_t id, std::int64_t at, Extent part) {
        Vector total[N];
        if (end - begin <= BLOCK) {
            add_up<N>(begin, end, at, part, total);
        } else {
            add_up_blocks<N>(begin, end, at, part, total);
        }
        LOGQ_UNROLL
        for (int i = 0; i < N; ++i) total[i] = scale * total[i];
        if (whole_row) {
            LOGQ_UNROLL
            for (int i = 0; i < N; ++i) store(sum + at + i * WIDTH, total[i]);
        } else {
            give<N>(c, id, at, total, part);
        }
    }

    template <int N, typename Extent>
    LOGQ_INLINE void give(std::int64_t c, std::int64_t id, std::int64_t at, const Vector *total, Extent part) {
        if (job.sums.data) {
            Table *const to = row_of<Table>(job.sums, job.sums_by_id ? id : c) + at;
            LOGQ_UNROLL
            for (int i = 0; i < N; ++i) set(to + i * WIDTH, total[i], part);
        }
        rules.template apply<N>(id, at, total, part);
    }

    LOGQ_INLINE void sum_class(std::int64_t c) {
        const std::int64_t id = id_of(c), begin = job.entries ? job.starts[c] : c;
        const std::int64_t end = job.entries ? job.starts[c + 1] : c + 1;
        std::int64_t at = 0;
        for (; at + 8 * WIDTH <= dim; at += 8 * WIDTH) strip<8>(begin, end, c, id, at, Whole{});
        for (; at + 2 * WIDTH <= dim; at += 2 * WIDTH) strip<2>(begin, end, c, id, at, Whole{});
        for (; at + WIDTH <= dim; at += WIDTH) strip<1>(begin, end, c, id, at, Whole{});
        if (at < dim) strip<1>(begin, end, c, id, at, Part{static_cast<int>(dim - at)});
        if (whole_row) give_row(c, id);
    }

    void give_row(std::int64_t c, std::int64_t id) {
        if (job.cosine) project(row_of<const Table>(job.table, id), sum, dim);
        over_columns<WIDTH>(dim, [&](std::int64_t at, auto part) {
            const Vector total[1] = {load(sum + at)};
            give<1>(c, id, at, total, part);
        });
        if (job.rule == Rule::ROWWISE_ADAGRAD) rules.rowwise_adagrad(id, sum);
    }
};

template <typename Value, typename Table>
void sum_typed(const Job &job, std::int64_t begin, std::int64_t end, void *scratch) {
    Summing<Value, Table>(job, scratch).run(begin, end);
}

// Entries as they come, each added to the row of its class: for a table that the cache holds, with no sort.
template <typename Real> class Adding {
    using Vector = typename Computed<Real>::Vector;
    static constexpr int WIDTH = Computed<Real>::WIDTH;
    const Additions &job;

  public:
    explicit Adding(const Additions &job) : job(job) {}

    // The columns from `begin` to `end` of all rows.
    void columns(std::int64_t begin, std::int64_t end) const {
        for (const Additions::List &list : job.lists) {
            std::int64_t at = begin;
            for (; at + 4 * WIDTH <= end; at += 4 * WIDTH) strip<4>(list, at, Whole{});
            for (; at + WIDTH <= end; at += WIDTH) strip<1>(list, at, Whole{});
            if (at < end) strip<1>(list, at, Part{static_cast<int>(end - at)});
        }
    }

    // What becomes of the sums of some classes, where any entry named them.
    void classes(std::int64_t begin, std::int64_t end) const {
        const Vector scale = all(static_cast<Real>(job.scale));
        for (std::int64_t c = begin; c < end; ++c) {
            if (!job.named[c]) continue;
            Real *const sum = row(job.sums, c);
            over_columns<WIDTH>(job.dim, [&](std::int64_t at, auto part) { set(sum + at, scale * get(sum + at, part), part); });
            if (job.cosine) project(static_cast<const Real *>(row(job.table, c)), sum, job.dim);
        }
    }

  private:
    static Real *row(const Rows &rows, std::int64_t number) { return static_cast<Real *>(rows.data) + number * rows.stride; }

    template <int N, typename Extent> void strip(const Additions::List &list, std::int64_t at, Extent part) const {
        const Real *const factors = static_cast<const Real *>(list.factors);
        for (std::int64_t i = 0, e = 0; e < list.size; ++i) {
            const Real *const from = row(list.rows, i) + at;
            Vector added[N];
            LOGQ_UNROLL
            for (int v = 0; v < N; ++v) added[v] = get(from + v * WIDTH, part);
            for (const std::int64_t last = e + list.sharing; e < last; ++e) {
                if (list.ids[e] < 0) continue;
                Real *const sum = row(job.sums, list.ids[e]) + at;
                const Vector factor = all(factors ? factors[e] : Real(1));
                LOGQ_UNROLL
                for (int v = 0; v < N; ++v) {
                    set(sum + v * WIDTH, multiply_add(factor, added[v], get(sum + v * WIDTH, part)), part);
                }
            }
        }
    }
};

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

void LOGQ_OF_LEVEL(add_columns)(const Additions &job, std::int64_t begin, std::int64_t end) {
    if (job.doubles) {
        Adding<double>(job).columns(begin, end);
    } else {
        Adding<float>(job).columns(begin, end);
    }
}

void LOGQ_OF_LEVEL(finish_classes)(const Additions &job, std::int64_t begin, std::int64_t end) {
    if (job.doubles) {
        Adding<double>(job).classes(begin, end);
    } else {
        Adding<float>(job).classes(begin, end);
    }
}

}  // namespace logq::rows
