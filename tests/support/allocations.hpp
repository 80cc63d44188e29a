#pragma once
// The program's allocations, counted, and one of them made to fail. A test includes this once: it
// replaces the operators new and delete.

#include <s3/core/error.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdlib>
#include <limits>
#include <new>
#include <string>

namespace s3::test {

struct allocations {
    static inline long before_failure = -1; ///< so many succeed before one fails; −1 for all
    static inline bool lasting = false;     ///< whether all fail after the first that does
    static inline bool failed = false;
    static inline long made = 0;
    static inline long alive = 0;
    /// Containers allocate by a way that throws. Those allocations are counted apart and do not
    /// fail, unless `containers` is set.
    static inline bool containers = false;
    static inline long others = 0;

    static void* take(std::size_t size, std::size_t alignment) noexcept {
        ++made;
        if (size > std::numeric_limits<std::size_t>::max() - alignment)
            return nullptr;
        if (before_failure >= 0 && before_failure-- == 0) {
            failed = true;
            before_failure = lasting ? 0 : -1;
            return nullptr;
        }
        ++alive;
        return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    }
    static void release(void* p) noexcept {
        alive -= p != nullptr;
        std::free(p);
    }
    /// For a container.
    static void* take_or_throw(std::size_t size) {
        const long wait = before_failure;
        if (!containers) {
            ++others;
            before_failure = -1;
        }
        void* const p = take(size == 0 ? 1 : size, alignof(std::max_align_t));
        if (!containers)
            before_failure = wait;
        if (p == nullptr) {
#if S3_HAS_EXCEPTIONS
            throw std::bad_alloc();
#else
            std::abort();
#endif
        }
        return p;
    }
};

/// While one lives, allocations of containers fail as well.
struct containers_fail {
    containers_fail() { allocations::containers = true; }
    ~containers_fail() { allocations::containers = false; }
    containers_fail(const containers_fail&) = delete;
    containers_fail& operator=(const containers_fail&) = delete;
};

/// Calls f, which returns a result, with the first, the second, … allocation failing, until none
/// does.
template <class Function>
void fail_each(const char* name, bool lasting, Function&& f) {
    CAPTURE(std::string(name));
    CAPTURE(lasting);
    for (long n = 0;; ++n) {
        CAPTURE(n);
        const long alive = allocations::alive, others = allocations::others;
        allocations::failed = false;
        allocations::lasting = lasting;
        allocations::before_failure = n;
        {
            const auto r = f();
            allocations::before_failure = -1;
            REQUIRE(allocations::others == others);
            REQUIRE(r.has_value() != allocations::failed);
            if (allocations::failed) {
                REQUIRE(r.error().code == errc::out_of_memory);
                if constexpr (!requires { r.error().description; }) // a text of its own
                    REQUIRE(allocations::alive == alive);
            }
        }
        REQUIRE(allocations::alive == alive);
        if (!allocations::failed) {
            CHECK(n > 0);
            return;
        }
    }
}

/// That allocation alone, and then all from it on.
template <class Function>
void fail_each(const char* name, Function&& f) {
    for (const bool lasting : {false, true})
        fail_each(name, lasting, f);
}

} // namespace s3::test

void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    return s3::test::allocations::take(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return s3::test::allocations::take(size, alignof(std::max_align_t));
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
    return s3::test::allocations::take(size, alignof(std::max_align_t));
}
void* operator new(std::size_t size) {
    return s3::test::allocations::take_or_throw(size);
}
void* operator new[](std::size_t size) {
    return s3::test::allocations::take_or_throw(size);
}
void operator delete(void* p) noexcept {
    s3::test::allocations::release(p);
}
void operator delete(void* p, std::size_t) noexcept {
    s3::test::allocations::release(p);
}
void operator delete[](void* p) noexcept {
    s3::test::allocations::release(p);
}
void operator delete[](void* p, std::size_t) noexcept {
    s3::test::allocations::release(p);
}
void operator delete(void* p, std::align_val_t) noexcept {
    s3::test::allocations::release(p);
}
void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
    s3::test::allocations::release(p);
}
