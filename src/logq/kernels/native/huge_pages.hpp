// Large pages for large tables.

#pragma once

#include <cstddef>

namespace logq {

// Asks the operating system to keep these bytes in pages as large as it has. Rows of a table that lies in pages of 4 KiB
// take a walk through the page tables each. Returns whether it will; pages that are in use already stay as they are.
bool prefer_huge_pages(void *memory, std::size_t size);

}  // namespace logq
