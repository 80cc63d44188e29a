#pragma once
// Memory in huge pages: without them, reads measure the page tables.

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace s3::bench {

[[noreturn]] inline void fail(const char* what) {
    std::fprintf(stderr, "benchmark: %s\n", what);
    std::exit(1);
}

/// Bytes in huge pages where the system has them.
class memory {
public:
    explicit memory(std::size_t bytes) {
        constexpr std::size_t page = std::size_t{2} << 20;
        bytes = (bytes + page - 1) / page * page;
        data_.reset(static_cast<std::byte*>(std::aligned_alloc(page, bytes)));
        if (!data_)
            fail("out of memory");
#if defined(__linux__)
        madvise(data_.get(), bytes, MADV_HUGEPAGE);
#endif
        std::memset(data_.get(), 1, bytes);
        size_ = bytes;
    }
    [[nodiscard]] std::span<std::byte> span() const noexcept {
        return {data_.get(), size_};
    }
    template <class T>
    [[nodiscard]] std::span<T> as() const noexcept {
        return {reinterpret_cast<T*>(data_.get()), size_ / sizeof(T)};
    }

private:
    struct release {
        void operator()(std::byte* p) const noexcept { std::free(p); }
    };
    std::unique_ptr<std::byte, release> data_;
    std::size_t size_ = 0;
};

} // namespace s3::bench
