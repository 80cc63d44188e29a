#pragma once
// Shapes of a machine's vectors, beyond what an architecture's tag tells.

#include <s3/simd/arch.hpp>

namespace s3::simd {

/// How many vector registers there are.
#if defined(__AVX512VL__) || defined(__aarch64__)
template <class Arch>
inline constexpr std::size_t registers = 32;
#else
template <class Arch>
inline constexpr std::size_t registers = 16;
#endif

namespace detail {
template <class Arch>
constexpr auto half_of() noexcept {
#if defined(__AVX512VNNI__) && defined(__AVX512VBMI__) && defined(__AVX512BW__) &&                 \
    defined(__AVX512VL__)
    if constexpr (arch::has<Arch, arch::avx512_vnni>)
        return arch::avx2_vnni{};
    else
#endif
#if defined(__AVX2__) && defined(__FMA__)
        if constexpr (arch::has<Arch, arch::avx2> && Arch::vector_bytes == 64)
        return arch::avx2{};
    else if constexpr (arch::has<Arch, arch::avx2>)
        return arch::sse41{};
    else
#endif
        return arch::scalar{};
}
} // namespace detail

/// The architecture with vectors of half the size, or `scalar`.
template <class Arch>
using half = decltype(detail::half_of<Arch>());

} // namespace s3::simd
