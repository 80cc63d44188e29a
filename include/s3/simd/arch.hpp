#pragma once
// Architectures: the tags by which kernels are chosen at compile time, poorest first. Each names
// the xsimd architecture that carries its portable operations; what xsimd lacks (byte dot products,
// byte look-ups) is added per tag in `simd/`. `arch::native` is the best that the compiler's flags
// allow. To add an architecture: a tag here, and overloads of the primitives that it does better.

#include <s3/simd/compat.hpp>

#include <concepts>
#include <cstddef>
#include <type_traits>

namespace s3::arch {

/// No vectors at all: the reference loops.
struct scalar {
    static constexpr const char* name = "scalar";
    static constexpr std::size_t vector_bytes = 4;
};

#if S3_HAS_SIMD
/// xsimd alone, at whatever width the compiler's flags allow.
struct portable {
    using simd = xsimd::default_arch;
    static constexpr const char* name = "portable";
    static constexpr std::size_t vector_bytes =
        sizeof(typename xsimd::batch<int, simd>::register_type);
};
#endif

#if defined(__SSE4_1__)
struct sse41 {
    using simd = xsimd::sse4_1;
    static constexpr const char* name = "sse4.1";
    static constexpr std::size_t vector_bytes = 16;
};
#endif
#if defined(__AVX2__) && defined(__FMA__)
struct avx2 : sse41 {
    using simd = xsimd::fma3<xsimd::avx2>;
    static constexpr const char* name = "avx2";
    static constexpr std::size_t vector_bytes = 32;
};
#endif
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
struct avx512 : avx2 {
    using simd = xsimd::avx512bw;
    static constexpr const char* name = "avx512";
    static constexpr std::size_t vector_bytes = 64;
};
#endif
#if defined(__AVX512VNNI__) && defined(__AVX512VBMI__) && defined(__AVX512BW__) &&                 \
    defined(__AVX512VL__)
struct avx512_vnni : avx512 {
    static constexpr const char* name = "avx512-vnni";
};
/// The same machine by vectors of half the size, for few channels.
struct avx2_vnni : avx2 {
    static constexpr const char* name = "avx2-vnni";
};
#endif
#if defined(__aarch64__)
struct neon {
    using simd = xsimd::neon64;
    static constexpr const char* name = "neon";
    static constexpr std::size_t vector_bytes = 16;
};
#if defined(__ARM_FEATURE_DOTPROD)
struct neon_dot : neon {
    static constexpr const char* name = "neon-dotprod";
};
#endif
#endif

#if defined(__AVX512VNNI__) && defined(__AVX512VBMI__) && defined(__AVX512BW__) &&                 \
    defined(__AVX512VL__)
using native = avx512_vnni;
#elif defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) &&                    \
    defined(__AVX512DQ__)
using native = avx512;
#elif defined(__AVX2__) && defined(__FMA__)
using native = avx2;
#elif defined(__SSE4_1__)
using native = sse41;
#elif defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
using native = neon_dot;
#elif defined(__aarch64__)
using native = neon;
#elif S3_HAS_SIMD
using native = portable;
#else
using native = scalar;
#endif

/// Whether kernels for `Arch` may use what `Feature`, a poorer tag of the same family, offers.
template <class Arch, class Feature>
inline constexpr bool has = std::is_base_of_v<Feature, Arch>;

} // namespace s3::arch

namespace s3 {
template <class A>
concept architecture = requires {
    { A::name } -> std::convertible_to<const char*>;
    { A::vector_bytes } -> std::convertible_to<std::size_t>;
};
} // namespace s3
