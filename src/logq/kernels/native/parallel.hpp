// Work in pieces on several threads: on torch's own, where torch is loaded.

#pragma once

#include <cstdint>

namespace logq {

using Piece = void (*)(const void *work, std::int64_t piece);

// Calls piece(work, i) once for each i below `pieces`, on at most `threads` threads, and returns when all are done. The
// pieces must not throw.
void parallel(int threads, std::int64_t pieces, Piece piece, const void *work);

template <typename Work> void parallel(int threads, std::int64_t pieces, const Work &work) {
    parallel(
        threads, pieces, [](const void *data, std::int64_t piece) { (*static_cast<const Work *>(data))(piece); }, &work);
}

}  // namespace logq
