#pragma once
// Compile-time hooks. A host may define S3_ASSERT before the first include to route the library's
// precondition checks into its own; by default they vanish under NDEBUG.

#ifndef S3_ASSERT
#include <cassert>
#define S3_ASSERT(condition) assert(condition)
#endif

#if defined(_MSC_VER) && !defined(__clang__)
#define S3_INLINE __forceinline
#define S3_NOINLINE __declspec(noinline)
#define S3_RESTRICT __restrict
#else
#define S3_INLINE inline __attribute__((always_inline))
#define S3_NOINLINE __attribute__((noinline))
#define S3_RESTRICT __restrict__
#endif

// `value()` of a failed result throws only where exceptions exist.
#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define S3_HAS_EXCEPTIONS 1
#else
#define S3_HAS_EXCEPTIONS 0
#endif

// Full unrolling of short loops over registers: without it they would live in memory.
#if defined(__clang__)
#define S3_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define S3_UNROLL _Pragma("GCC unroll 64")
#else
#define S3_UNROLL
#endif
