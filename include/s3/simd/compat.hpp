#pragma once
// The only file that includes xsimd. It bridges versions 8.1 to 14, so that the rest of the library
// sees one set of names. On a machine for which xsimd has no batch (riscv64, s390x, x86 without
// SSE2), S3_HAS_SIMD is 0, nothing of xsimd is used, and kernels run on `arch::scalar`.

#include <s3/config.hpp>

#include <cstddef>

#if defined(__GNUC__)
#pragma GCC system_header
#endif
#include <xsimd/config/xsimd_config.hpp>

#if XSIMD_VERSION_MAJOR < 8 || (XSIMD_VERSION_MAJOR == 8 && XSIMD_VERSION_MINOR < 1)
#error "s3 needs xsimd 8.1 or newer"
#endif

#if defined(XSIMD_NO_SUPPORTED_ARCHITECTURE)
#define S3_HAS_SIMD 0
#elif XSIMD_WITH_SSE2 || XSIMD_WITH_NEON || XSIMD_VERSION_MAJOR >= 11
#define S3_HAS_SIMD 1
#else
#define S3_HAS_SIMD 0
#endif

#if S3_HAS_SIMD
#if defined(__GNUC__) && !defined(__clang__)
// g++ before 13 warns of its own AVX-512 intrinsics wherever they are inlined.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#if XSIMD_VERSION_MAJOR < 10 && !S3_HAS_EXCEPTIONS && defined(__clang__)
// xsimd's allocator, which this library never uses, throws, and clang rejects that outright where
// exceptions are off. A declaration is all that xsimd's other headers need.
#define XSIMD_ALIGNED_ALLOCATOR_HPP
namespace xsimd {
template <class T, std::size_t Align = 64>
class aligned_allocator;
}
#endif
#include <xsimd/xsimd.hpp>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif
