#pragma once
// Vector registers as the compiler sees them: how many it may use, and how to keep a value in one.

#include <s3/config.hpp>

#include <cstddef>
#include <type_traits>

namespace s3::simd {

/// How many vector registers instructions can address under the compiler's flags. With AVX-512VL
/// that is 32 for narrow vectors, too.
#if defined(__AVX512VL__) || defined(__aarch64__)
inline constexpr std::size_t addressable_registers = 32;
#else
inline constexpr std::size_t addressable_registers = 16;
#endif

/// The same vector, forced into a register: compilers may otherwise read a vector that is used
/// several times from memory each time.
template <class V>
S3_INLINE V in_register(const V& v) noexcept {
#if defined(__SSE2__) && !defined(__wasm__)
    if constexpr (!std::is_arithmetic_v<V>) {
        typename V::register_type r = v;
        asm("" : "+v"(r));
        return r;
    }
#endif
    return v;
}

/// The product of two vectors, or numbers, of floats, rounded before anything is added to it:
/// compilers would otherwise fuse multiplications with additions on machines that can, and the last
/// bits of results would depend on the machine.
template <class V>
S3_INLINE V rounded_product(const V& a, const V& b) noexcept {
    const V product = a * b;
#if defined(__FMA__) || defined(__aarch64__) || defined(__riscv) || defined(__s390x__)
#if defined(__FMA__)
#define S3_FLOAT_REGISTER "+v"
#elif defined(__aarch64__)
#define S3_FLOAT_REGISTER "+w"
#else
#define S3_FLOAT_REGISTER "+f"
#endif
    if constexpr (std::is_arithmetic_v<V>) {
        V r = product;
        asm("" : S3_FLOAT_REGISTER(r));
        return r;
    } else {
        typename V::register_type r = product;
        asm("" : S3_FLOAT_REGISTER(r));
        return r;
    }
#undef S3_FLOAT_REGISTER
#else
    return product;
#endif
}

/// Hides the vectors' values from the compiler at this point of the program, so that it neither
/// regroups the computation before it with the one after it nor loads the vectors from memory
/// again.
template <class... V>
S3_INLINE void pin([[maybe_unused]] V&... v) noexcept {
#if defined(__SSE2__) && !defined(__wasm__)
    const auto one = []<class W>(W& w) S3_INLINE_LAMBDA {
        typename W::register_type r = w;
        asm volatile("" : "+v"(r));
        w = r;
    };
    (one(v), ...);
#endif
}

} // namespace s3::simd
