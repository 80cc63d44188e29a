#pragma once
// All architecture tags (simd/tags.hpp explains what a tag is), and the one to use, `arch::native`:
// the last row in the table of instruction sets (simd/isa_table.hpp) that the compiler's flags
// allow.

#include <s3/simd/arm_neon.hpp>
#include <s3/simd/arm_neon_dot.hpp>
#include <s3/simd/arm_neon_i8mm.hpp>
#include <s3/simd/tags.hpp>
#include <s3/simd/x86_amx.hpp>
#include <s3/simd/x86_avx2.hpp>
#include <s3/simd/x86_avx512.hpp>
#include <s3/simd/x86_avx512_vbmi.hpp>
#include <s3/simd/x86_avx512_vnni.hpp>
#include <s3/simd/x86_avx_vnni.hpp>
#include <s3/simd/x86_sse41.hpp>

#include <concepts>

namespace s3 {
template <class A>
concept architecture = requires {
    { A::name } -> std::convertible_to<const char*>;
    { A::vector_bytes } -> std::convertible_to<std::size_t>;
};
} // namespace s3

namespace s3::arch {

/// A list of tags that can be used, in the order of the table.
template <class... Tags>
struct tag_list {};

namespace detail {
// A tag is a complete type only where the compiler's flags allow its instructions.
template <class... Known>
constexpr auto available(tag_list<Known...> known, tag_list<>) noexcept {
    return known;
}
template <class... Known, class First, class... Rest>
constexpr auto available(tag_list<Known...>, tag_list<First, Rest...>) noexcept {
    if constexpr (requires { sizeof(First); })
        return available(tag_list<Known..., First>{}, tag_list<Rest...>{});
    else
        return available(tag_list<Known...>{}, tag_list<Rest...>{});
}
template <class First, class... Rest>
constexpr auto last(tag_list<First, Rest...>) noexcept {
    if constexpr (sizeof...(Rest) == 0)
        return First{};
    else
        return last(tag_list<Rest...>{});
}
} // namespace detail

// clang-format off
#define S3_SET(name, ...) , name
/// All tags that can be used: `scalar`, `portable` if xsimd has vectors for this machine, and the
/// instruction sets that the compiler's flags allow.
using all = decltype(detail::available(tag_list<>{},
                                       tag_list<scalar, portable S3_INSTRUCTION_SETS(S3_SET)>{}));
#undef S3_SET
// clang-format on

/// The last of `all`: the best instruction set that the compiler's flags allow.
using native = decltype(detail::last(all{}));

/// Whether kernels for `Arch` may use the instructions of `Feature`, a set that `Arch` may include.
template <class Arch, class Feature>
inline constexpr bool has = std::is_base_of_v<Feature, Arch>;

} // namespace s3::arch

namespace s3::simd {

/// The architecture with vectors of half the size, or `scalar`.
template <class Arch>
using half = typename Arch::half;

template <class Arch>
inline constexpr std::size_t register_count = Arch::registers;
template <class Arch>
inline constexpr bool has_bytes = Arch::has_bytes;
template <class Arch>
inline constexpr bool has_quad_dot = Arch::has_quad_dot;
template <class Arch>
inline constexpr bool has_matrix_dot = Arch::has_matrix_dot;
template <class Arch>
inline constexpr bool has_lane_shift = Arch::has_lane_shift;
template <class Arch>
inline constexpr bool has_permute16 = Arch::has_permute16;
template <class Arch>
inline constexpr bool fast_permute16 = Arch::fast_permute16;
template <class Arch>
inline constexpr bool streams_to_second_level = Arch::streams_to_second_level;
template <class Arch>
inline constexpr bool has_tiles = Arch::has_tiles;

} // namespace s3::simd
