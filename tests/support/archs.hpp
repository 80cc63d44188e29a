#pragma once
// The architectures that this build's compiler flags allow: all of them, or the main ones (scalar,
// portable, native), to which most formats are held so that tests compile in reasonable time. The
// builds for other flags have other native ones; S3_TEST_ALL_ARCHS makes all of them main.

#include <s3/simd/arch.hpp>

#include "types.hpp"

#include <type_traits>

namespace s3::test {

template <class List, class... More>
struct append;
template <class... T, class... More>
struct append<type_list<T...>, More...> {
    using type = type_list<T..., More...>;
};

#if S3_HAS_SIMD
using portable_archs = type_list<arch::scalar, arch::portable>;
#else
using portable_archs = type_list<arch::scalar>;
#endif

#if defined(__AVX512VNNI__) && defined(__AVX512VBMI__) && defined(__AVX512BW__) &&                 \
    defined(__AVX512VL__)
using all_archs =
    append<portable_archs, arch::sse41, arch::avx2, arch::avx512, arch::avx512_vnni>::type;
#elif defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) &&                    \
    defined(__AVX512DQ__)
using all_archs = append<portable_archs, arch::sse41, arch::avx2, arch::avx512>::type;
#elif defined(__AVX2__) && defined(__FMA__)
using all_archs = append<portable_archs, arch::sse41, arch::avx2>::type;
#elif defined(__SSE4_1__)
using all_archs = append<portable_archs, arch::sse41>::type;
#elif defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
using all_archs = append<portable_archs, arch::neon, arch::neon_dot>::type;
#elif defined(__aarch64__)
using all_archs = append<portable_archs, arch::neon>::type;
#else
using all_archs = portable_archs;
#endif

#if defined(S3_TEST_ALL_ARCHS)
using main_archs = all_archs;
#elif S3_HAS_SIMD
using main_archs = append<portable_archs, arch::native>::type;
#else
using main_archs = portable_archs;
#endif

} // namespace s3::test
