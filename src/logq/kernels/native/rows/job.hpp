// What is to be done with the rows of a table, in plain data: code for each set of instructions reads it.

#pragma once

#include <cstdint>

#include "order.hpp"

namespace logq::rows {

enum class Type : std::int8_t { FLOAT, DOUBLE, BFLOAT16, FLOAT16 };
enum class Rule : std::int8_t { NONE, SGD, ADAGRAD, ROWWISE_ADAGRAD, ADAM };

// A row of numbers for each of some classes or entries; nowhere if `data` is null.
struct Rows {
    void *data;
    std::int64_t stride;  // in numbers
};

// Where entries up to position `end` have what they add: factor * row, each row being that of `sharing` entries in turn.
struct Source {
    Rows rows;
    const void *factors;  // null for ones
    std::uint32_t sharing;
    std::uint64_t end;
};

// For each class the sum of what its entries add, times `scale`, and with `cosine` as the gradient of the rows of the
// table from that of the rows divided by their lengths. It is written to `sums`, or applied to the table by a rule.
//
// Class number c has the id of entries[starts[c]] and the entries from there to starts[c + 1]. Without entries it has the
// one entry c, and the id ids[c], or c itself.
struct Job {
    Type table_type;   // of `table` and `sums`
    Type source_type;  // of the rows of the sources: that of the table, or what the table is computed in
    const Entry *entries;
    const std::uint32_t *starts;
    const std::int64_t *ids;
    std::int64_t classes;
    std::int64_t num_entries;
    std::int64_t dim;
    Source sources[2];
    double scale;
    bool cosine;
    Rows table;  // by id
    Rows sums;   // by number of class, or by id
    bool sums_by_id;
    Rule rule;
    Rows states[2];  // by id, in what the table is computed in; ROWWISE_ADAGRAD has one number per row
    double rate;     // for ADAM already divided by 1 - beta1^step
    double decay;
    double epsilon;
    double betas[2];
    double correction;  // sqrt(1 - beta2^step)
};

// The same sums in a table (C, D) of zeros, one row for each class, made without an order: see Adding in sum.cpp.
struct Additions {
    struct List {
        const std::int64_t *ids;  // below 0: not a class
        std::int64_t size;
        Rows rows;
        const void *factors;   // null for ones
        std::int64_t sharing;  // entries in turn that each row is for
    };
    List lists[2];
    bool doubles;
    std::int64_t dim;
    Rows sums;
    Rows table;  // for `cosine`
    double scale;
    bool cosine;
    const bool *named;  // (C,) whether an entry has the class
};

}  // namespace logq::rows
