#pragma once
// Vector registers as the compiler sees them: how many it may use, and how to keep a value in one.

#include <s3/config.hpp>

#include <cstddef>
#include <type_traits>

namespace s3::simd {

/// How many vector registers the compiler's flags let it address, by vectors of any width:
/// AVX-512VL reaches all 32 by narrow vectors, too.
#if defined(__AVX512VL__) || defined(__aarch64__)
inline constexpr std::size_t addressable_registers = 32;
#else
inline constexpr std::size_t addressable_registers = 16;
#endif

/// The same vector, surely in a register: what is used several times, compilers may read from
/// memory each time.
template <class V>
S3_INLINE V in_register(const V& v) noexcept {
#if defined(__SSE2__)
    if constexpr (!std::is_arithmetic_v<V>) {
        typename V::register_type r = v;
        asm("" : "+v"(r));
        return r;
    }
#endif
    return v;
}

/// Ends all that compilers know of the vectors at this point of the program: what they computed is
/// not regrouped with what follows, nor loaded again from memory.
template <class... V>
S3_INLINE void pin([[maybe_unused]] V&... v) noexcept {
#if defined(__SSE2__)
    const auto one = []<class W>(W& w) S3_INLINE_LAMBDA {
        typename W::register_type r = w;
        asm volatile("" : "+v"(r));
        w = r;
    };
    (one(v), ...);
#endif
}

} // namespace s3::simd
