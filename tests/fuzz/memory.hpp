#pragma once
// A limit on the memory that a reader holds: a multiple of its input's size, and a part for what
// every call needs. The allocator of the address sanitizer tells of each block.

#include <sanitizer/allocator_interface.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace s3::fuzz {

/// While one lives, a program that holds more than factor · size + 64 KiB of new blocks is ended.
class memory_limit {
public:
    memory_limit(std::size_t size, std::size_t factor) {
        static const int installed =
            __sanitizer_install_malloc_and_free_hooks(on_allocation, on_release);
        static_cast<void>(installed);
        held = 0;
        limit = static_cast<std::ptrdiff_t>(factor * size + (std::size_t{64} << 10));
    }
    memory_limit(const memory_limit&) = delete;
    memory_limit& operator=(const memory_limit&) = delete;
    ~memory_limit() { limit = 0; }

private:
    static void on_allocation(const volatile void*, std::size_t size) {
        if (limit == 0)
            return;
        held += static_cast<std::ptrdiff_t>(size);
        if (held > limit) {
            std::fprintf(stderr, "%td bytes are held at a time, the limit is %td\n", held, limit);
            limit = 0;
            std::abort();
        }
    }
    static void on_release(const volatile void* block) {
        if (limit != 0 && block != nullptr)
            held -= static_cast<std::ptrdiff_t>(
                __sanitizer_get_allocated_size(const_cast<const void*>(block)));
    }
    static inline std::ptrdiff_t held = 0, limit = 0;
};

/// Ends the program unless a property holds.
inline void require(bool holds, const char* property) {
    if (!holds) {
        std::fprintf(stderr, "broken: %s\n", property);
        std::abort();
    }
}

} // namespace s3::fuzz
