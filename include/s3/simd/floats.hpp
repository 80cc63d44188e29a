#pragma once
// Codes → float lanes by a table in a register, where the instruction set can index one;
// `has_float_ lookup<F, Arch>` tells. Elsewhere the value is computed (kernel/dot/words.hpp).

#include <s3/simd/lanes.hpp>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace s3::simd {

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
template <class Arch>
inline constexpr int float_table = arch::has<Arch, arch::avx512> ? 16
                                   : arch::has<Arch, arch::avx2> ? 8
                                                                 : 0;
#elif defined(__AVX2__) && defined(__FMA__)
template <class Arch>
inline constexpr int float_table = arch::has<Arch, arch::avx2> ? 8 : 0;
#else
template <class Arch>
inline constexpr int float_table = 0;
#endif

template <class F, class Arch>
inline constexpr bool has_float_lookup = F::codes <= float_table<Arch>;

namespace detail {
/// The format's values, repeated: the look-up ignores the bits above its index.
template <class F, std::size_t Size>
struct float_table_of {
    alignas(64) float value[Size] = {};
    constexpr float_table_of() {
        for (unsigned i = 0; i < Size; ++i)
            value[i] = static_cast<float>(F::value(i % unsigned{F::codes}));
    }
};
template <class F, std::size_t Size>
inline constexpr float_table_of<F, Size> float_values{};
} // namespace detail

/// The value of the code in the lowest bits of every lane.
template <class F, class Arch>
requires has_float_lookup<F, Arch> S3_INLINE lanes<float, Arch>
lookup_float([[maybe_unused]] const lanes<std::uint32_t, Arch>& v)
noexcept {
    const auto table = load<float, Arch>(detail::float_values<F, float_table<Arch>>.value);
#if defined(__AVX512F__)
    if constexpr (float_table<Arch> == 16)
        // Masked, with all lanes on: gcc 12 warns of its own undefined operand otherwise.
        return _mm512_maskz_permutexvar_ps(static_cast<__mmask16>(-1), v, table);
#endif
#if defined(__AVX2__)
    if constexpr (float_table<Arch> == 8)
        return _mm256_permutevar8x32_ps(table, v);
#endif
}

} // namespace s3::simd
