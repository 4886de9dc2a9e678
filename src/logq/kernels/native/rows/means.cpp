// Compiled once for each set of instructions; see simd/vectors.hpp for what that forbids here.

#include "means.hpp"

#include "../losses/rows_of_table.hpp"

namespace {

using logq::rows::Means;
using logq::rows::Type;

constexpr int GROUP = 64;  // rows that are asked for before they are added up

template <typename Storage> void means(const Means &job, std::int64_t begin, std::int64_t end) {
    using Real = typename Computed<Storage>::Real;
    const TableRows<Storage> table{job.dim};
    const Storage *const rows = static_cast<const Storage *>(job.table.data);
    const Storage *named[GROUP];
    Real factors[GROUP];
    const Real decay = static_cast<Real>(job.decay);
    for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t *const codes = job.codes + i * job.codes_a_row;
        Real *const shares = static_cast<Real *>(job.shares) + i * job.codes_a_row;
        Real current = 1, total = 0;
        for (std::int64_t w = job.codes_a_row; w-- > 0;) {
            shares[w] = codes[w] < 0 ? Real(0) : current;
            if (codes[w] < 0) continue;
            total += current;
            current *= decay;
        }
        const Real share = total > 0 ? Real(1) / total : Real(0);
        for (std::int64_t w = 0; w < job.codes_a_row; ++w) shares[w] *= share;
        Real *const mean = static_cast<Real *>(job.means) + i * job.dim;
        bool more = false;
        std::int64_t w = 0;
        do {
            int group = 0;
            for (; w < job.codes_a_row && group < GROUP; ++w) {
                if (codes[w] < 0) continue;
                named[group] = rows + codes[w] * job.dim;
                factors[group] = shares[w];
                table.fetch(named[group++]);
            }
            table.add(named, factors, group, more, mean);
            more = true;
        } while (w < job.codes_a_row);
    }
}

}  // namespace

namespace logq::rows {

void LOGQ_OF_LEVEL(row_means)(const Means &job, std::int64_t begin, std::int64_t end) {
    switch (job.type) {
        case Type::FLOAT: return means<float>(job, begin, end);
        case Type::DOUBLE: return means<double>(job, begin, end);
        case Type::BFLOAT16: return means<BFloat16>(job, begin, end);
        case Type::FLOAT16: return means<Float16>(job, begin, end);
    }
}

}  // namespace logq::rows
