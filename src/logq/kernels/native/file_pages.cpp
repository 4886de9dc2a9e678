#include "file_pages.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace logq {

void read_ahead(const void *table, std::size_t num_rows, std::size_t row_bytes, const std::int64_t *rows,
                std::size_t size) {
#if defined(__linux__)
    const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
    const auto start = reinterpret_cast<std::uintptr_t>(table);
    std::uintptr_t last = 0;  // the end of what was asked for last
    for (std::size_t i = 0; i < size; ++i) {
        if (static_cast<std::uint64_t>(rows[i]) >= num_rows) continue;
        const std::uintptr_t row = start + static_cast<std::size_t>(rows[i]) * row_bytes;
        const std::uintptr_t begin = row / page * page, end = (row + row_bytes + page - 1) / page * page;
        if (end == last) continue;
        last = end;
        madvise(reinterpret_cast<void *>(begin), end - begin, MADV_WILLNEED);
    }
#else
    static_cast<void>(table), static_cast<void>(num_rows), static_cast<void>(row_bytes), static_cast<void>(rows);
    static_cast<void>(size);
#endif
}

}  // namespace logq
