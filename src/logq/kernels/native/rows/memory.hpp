// Big blocks of memory that are used again. The rows of a gradient are tens of megabytes per step; pages fresh from the
// system cost more than the rows do, as each has to be found and zeroed: 42 MB took 11 ms, and 1.6 ms when they were warm.

#pragma once

#include <cstddef>

namespace logq::rows {

// Memory of one owner, 64 bytes aligned, not zeroed. Throws std::bad_alloc if there is none.
class Block {
  public:
    Block() = default;
    explicit Block(std::size_t bytes);
    Block(Block &&other) noexcept : memory_(other.memory_), size_(other.size_) { other.memory_ = nullptr; }
    Block &operator=(Block &&other) noexcept;
    Block(const Block &) = delete;
    Block &operator=(const Block &) = delete;
    ~Block();

    template <typename T> T *as() const { return static_cast<T *>(memory_); }

  private:
    void *memory_ = nullptr;
    std::size_t size_ = 0;  // what was taken, at least what was asked for
};

// Bytes that blocks gave back and that wait for the next: at most KEPT_BLOCKS of them, and none that the last KEPT_WAITS
// takers did not want.
std::size_t kept_bytes();

// Gives all of them back to the system.
void release_kept();

}  // namespace logq::rows
