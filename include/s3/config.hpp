#pragma once
// Compile-time hooks. A host may define S3_ASSERT before the first include to route the library's
// precondition checks into its own; by default they vanish under NDEBUG.

#ifndef S3_ASSERT
#include <cassert>
#define S3_ASSERT(condition) assert(condition)
#endif

#if !defined(__GNUC__) // clang defines it as well
#error "s3 is written for GCC and Clang: it needs their attributes and vector built-ins"
#endif
#define S3_INLINE inline __attribute__((always_inline))
#define S3_NOINLINE __attribute__((noinline))
#define S3_RESTRICT __restrict__
/// The attribute goes behind the parameters of a lambda that must be inlined into the loop that
/// calls it.
#define S3_INLINE_LAMBDA __attribute__((always_inline))

// A failed result's `value()` throws, so it exists only where exceptions do.
#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define S3_HAS_EXCEPTIONS 1
#else
#define S3_HAS_EXCEPTIONS 0
#endif

// S3_UNROLL_FOR(init; condition; step) is a `for` that compilers unroll fully. Loops over arrays of
// vectors need it: such an array stays in registers only where all of its indices are constants.
#if defined(__clang__)
#define S3_UNROLL_FOR(...) _Pragma("clang loop unroll(full)") for (__VA_ARGS__)
#else
#define S3_UNROLL_FOR(...) _Pragma("GCC unroll 64") for (__VA_ARGS__)
#endif
