#include "memory.hpp"

#include <cstdint>
#include <mutex>
#include <new>

#include "../huge_pages.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace logq::rows {
namespace {

constexpr std::size_t SMALL = std::size_t{1} << 17;  // below, the C library is as quick
constexpr std::size_t PAGE = std::size_t{1} << 12;
constexpr std::size_t HUGE_PAGE = std::size_t{1} << 21;
constexpr int KEPT_BLOCKS = 8;
constexpr std::uint64_t KEPT_WAITS = 64;
constexpr std::align_val_t ALIGNED{64};

#if defined(__linux__) && !defined(LOGQ_SANITIZED)  // sanitizers watch what comes from the C library
void *from_system(std::size_t bytes) {
    void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    if (bytes >= 2 * HUGE_PAGE) prefer_huge_pages(memory, bytes);  // a wish: it may be refused
    return memory;
}
void to_system(void *memory, std::size_t bytes) { munmap(memory, bytes); }
#else
void *from_system(std::size_t bytes) { return ::operator new(bytes, ALIGNED); }
void to_system(void *memory, std::size_t) { ::operator delete(memory, ALIGNED); }
#endif

struct Kept {
    void *memory;
    std::size_t size;
    std::uint64_t since;
};

// Never destroyed: arrays may outlive everything else of a process. A lock that somebody held while the process was forked
// stays locked in the child, which then does without.
struct Pool {
    std::mutex mutex;
    Kept kept[KEPT_BLOCKS];
    int count = 0;
    std::uint64_t takes = 0;
    std::size_t bytes = 0;

    Kept remove(int i) {
        const Kept found = kept[i];
        kept[i] = kept[--count];
        bytes -= found.size;
        return found;
    }
    void drop(int i) {
        const Kept old = remove(i);
        to_system(old.memory, old.size);
    }
    int oldest() const {
        int found = 0;
        for (int i = 1; i < count; ++i) found = kept[i].since < kept[found].since ? i : found;
        return found;
    }
};

Pool &pool() {
    static Pool *const made = new Pool;
    return *made;
}

// The smallest kept block that is large enough and not more than twice that.
void *take(std::size_t bytes, std::size_t &size) {
    Pool &all = pool();
    const std::unique_lock<std::mutex> lock(all.mutex, std::try_to_lock);
    if (!lock.owns_lock()) return nullptr;
    ++all.takes;
    for (int i = all.count; i-- > 0;) {
        if (all.takes - all.kept[i].since > KEPT_WAITS) all.drop(i);
    }
    int best = -1;
    for (int i = 0; i < all.count; ++i) {
        const std::size_t has = all.kept[i].size;
        if (has >= bytes && has / 2 <= bytes && (best < 0 || has < all.kept[best].size)) best = i;
    }
    if (best < 0) return nullptr;
    const Kept found = all.remove(best);
    size = found.size;
    return found.memory;
}

}  // namespace

Block::Block(std::size_t bytes) {
    if (bytes < SMALL) {
        size_ = bytes;
        memory_ = ::operator new(bytes, ALIGNED);
        return;
    }
    memory_ = take(bytes, size_);
    if (memory_ != nullptr) return;
    // A little more than was asked for: the next step has some more rows, or some fewer.
    const std::size_t room = bytes + bytes / 16, unit = room >= 2 * HUGE_PAGE ? HUGE_PAGE : PAGE;
    size_ = (room + unit - 1) / unit * unit;
    memory_ = from_system(size_);
}

Block &Block::operator=(Block &&other) noexcept {
    void *const memory = memory_;
    const std::size_t size = size_;
    memory_ = other.memory_;
    size_ = other.size_;
    other.memory_ = memory;
    other.size_ = size;
    return *this;
}

Block::~Block() {
    if (memory_ == nullptr) return;
    if (size_ < SMALL) {
        ::operator delete(memory_, ALIGNED);
        return;
    }
    Pool &all = pool();
    const std::unique_lock<std::mutex> lock(all.mutex, std::try_to_lock);
    if (!lock.owns_lock()) {
        to_system(memory_, size_);
        return;
    }
    if (all.count == KEPT_BLOCKS) all.drop(all.oldest());
    all.kept[all.count++] = {memory_, size_, all.takes};
    all.bytes += size_;
}

std::size_t kept_bytes() {
    Pool &all = pool();
    const std::lock_guard<std::mutex> lock(all.mutex);
    return all.bytes;
}

void release_kept() {
    Pool &all = pool();
    const std::lock_guard<std::mutex> lock(all.mutex);
    while (all.count > 0) all.drop(0);
}

}  // namespace logq::rows
