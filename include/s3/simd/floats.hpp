#pragma once
// Codes → float lanes by a table in a register. `has_float_lookup<F, Arch>` tells whether the
// instruction set can index a table of F's size; elsewhere a kernel computes values from codes.

#include <s3/simd/lanes.hpp>

namespace s3::simd {

template <class F, class Arch>
inline constexpr bool has_float_lookup = F::codes <= Arch::float_table;

namespace detail {
/// The format's values, repeated to fill the table, because the look-up ignores the index bits
/// above those that it needs.
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

/// The value of the code in the lowest bits of every lane; higher bits are ignored.
template <class F, class Arch>
requires has_float_lookup<F, Arch> S3_INLINE lanes<float, Arch>
lookup_float(const lanes<std::uint32_t, Arch>& v)
noexcept {
    return Arch::look_up_float(load<float, Arch>(detail::float_values<F, Arch::float_table>.value),
                               v);
}

} // namespace s3::simd
