#pragma once
// Memory between two pages that cannot be touched: a read or write past either end is a fault.

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <span>

#include <sys/mman.h>
#include <unistd.h>

namespace s3::test {

/// Where a span lies: against the lower or the upper guard page.
enum class side : unsigned char { lower, upper };

class guarded_memory {
public:
    explicit guarded_memory(std::size_t capacity)
        : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))),
          capacity_((capacity + page_ - 1) / page_ * page_) {
        void* raw =
            mmap(nullptr, capacity_ + 2 * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        base_ = static_cast<std::byte*>(raw);
        if (raw == MAP_FAILED || mprotect(base_ + page_, capacity_, PROT_READ | PROT_WRITE) != 0) {
            std::perror("guarded_memory");
            std::exit(1);
        }
    }
    ~guarded_memory() { munmap(base_, capacity_ + 2 * page_); }
    guarded_memory(const guarded_memory&) = delete;
    guarded_memory& operator=(const guarded_memory&) = delete;

    /// `count` elements at one end; earlier spans are no longer valid.
    template <class T>
    [[nodiscard]] std::span<T> take(std::size_t count, side at) {
        if (count * sizeof(T) > capacity_) {
            std::fprintf(stderr, "guarded_memory: %zu bytes asked for\n", count * sizeof(T));
            std::exit(1);
        }
        const std::size_t offset = at == side::lower ? 0 : capacity_ - count * sizeof(T);
        return {reinterpret_cast<T*>(base_ + page_ + offset), count};
    }

private:
    std::size_t page_;
    std::size_t capacity_;
    std::byte* base_ = nullptr;
};

} // namespace s3::test
