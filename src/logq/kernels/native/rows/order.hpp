// Entries of a batch in the order of their classes, by counting and without a comparison.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "memory.hpp"

namespace logq::rows {

struct Entry {
    std::uint32_t id;
    std::uint32_t position;
};

// A list of class ids; those below 0 are not classes.
struct Ids {
    const std::int64_t *ids;
    std::size_t size;
};

// Throws std::invalid_argument if an id is not below `num_classes`.
void check_ids(const std::vector<Ids> &lists, std::int64_t num_classes);

// The entries of several lists, one behind the other, sorted by id; equal ids stay in the order of their positions.
// Entries that are not classes are left out. It depends on the lists only, not on the number of threads.
class Order {
  public:
    // Throws std::invalid_argument if an id is not below `num_classes`, if that is above 2**32, or if there are 2**32
    // entries and more.
    Order(const std::vector<Ids> &lists, std::int64_t num_classes, int threads);

    std::size_t entries() const { return entries_; }
    std::size_t classes() const { return classes_; }
    const Entry *sorted() const { return sorted_.as<Entry>(); }
    // Where the entries of each class begin, and at [classes()] the end.
    const std::uint32_t *starts() const { return starts_.as<std::uint32_t>(); }
    void write_ids(std::int64_t *to, int threads) const;

  private:
    std::size_t entries_ = 0;
    std::size_t classes_ = 0;
    Block sorted_;
    Block starts_;

    void find_starts(int threads);
};

}  // namespace logq::rows
