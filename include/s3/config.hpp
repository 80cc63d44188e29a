#pragma once
// Compile-time hooks. A host may define S3_ASSERT before the first include to route the library's
// precondition checks into its own; by default they vanish under NDEBUG.

#ifndef S3_ASSERT
#include <cassert>
#define S3_ASSERT(condition) assert(condition)
#endif

#if !defined(__GNUC__) // clang has it, too
#error "s3 is written for GCC and Clang: it needs their attributes and vector built-ins"
#endif
#define S3_INLINE inline __attribute__((always_inline))
#define S3_NOINLINE __attribute__((noinline))
#define S3_RESTRICT __restrict__
/// Behind the parameters of a lambda that must become part of the loop that calls it.
#define S3_INLINE_LAMBDA __attribute__((always_inline))

// `value()` of a failed result throws only where exceptions exist.
#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define S3_HAS_EXCEPTIONS 1
#else
#define S3_HAS_EXCEPTIONS 0
#endif

// S3_UNROLL_FOR(init; condition; step) is a `for` that compilers unroll fully: arrays of vectors
// that it indexes live in registers only then.
#if defined(__clang__)
#define S3_UNROLL_FOR(...) _Pragma("clang loop unroll(full)") for (__VA_ARGS__)
#else
#define S3_UNROLL_FOR(...) _Pragma("GCC unroll 64") for (__VA_ARGS__)
#endif
