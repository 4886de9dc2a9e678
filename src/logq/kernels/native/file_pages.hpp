// Rows of tables that lie in mapped files.

#pragma once

#include <cstddef>
#include <cstdint>

namespace logq {

// Asks the operating system to read some rows of a mapped table, all at once and nothing beside their pages. Touched
// one after the other they would be waited for one by one, each with as much around it as the disk's read_ahead_kb says.
// It is a wish, which other systems than Linux are not told.
void read_ahead(const void *table, std::size_t num_rows, std::size_t row_bytes, const std::int64_t *rows,
                std::size_t size);

}  // namespace logq
