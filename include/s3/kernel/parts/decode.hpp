#pragma once
// Codes to values in vectors, by the format's decoding rule: extending the sign of an integer,
// applying a sign and a shift, or looking up a table. `fits_bytes` tells which formats kernels on
// byte lanes can decode.

#include <s3/format/weight_format.hpp>
#include <s3/simd/lanes.hpp>

#include <cstddef>
#include <cstdint>

namespace s3::kernel {

/// Whether kernels on byte lanes can decode a format: its values fit int8, and a code either is
/// such a value itself or has at most four bits, which a byte shuffle can use as an index.
template <weight_format F>
inline constexpr bool fits_bytes = F::min_value >= -128 && F::max_value <= 127 &&
                                   (F::bits <= 4 ||
                                    (F::bits == 8 && F::decoding == decode::twos_complement));

namespace detail {
/// The values of all codes, converted to T.
template <weight_format F, class T>
struct value_table_of {
    T value[static_cast<std::size_t>(F::codes)] = {};
    constexpr value_table_of() {
        for (unsigned code = 0; code < unsigned{F::codes}; ++code)
            value[code] = static_cast<T>(F::value(code));
    }
};
template <weight_format F, class T>
inline constexpr value_table_of<F, T> value_table{};
} // namespace detail

/// The values of the codes in 32-bit lanes, as lanes of T, looked up one by one.
template <weight_format F, class Arch, class T>
S3_INLINE simd::lanes<T, Arch> look_up(const simd::lanes<std::uint32_t, Arch>& codes) noexcept {
    constexpr std::size_t width = simd::width32<Arch>;
    alignas(64) std::uint32_t code[width];
    alignas(64) T value[width];
    simd::store<Arch>(code, codes);
    for (std::size_t i = 0; i < width; ++i)
        value[i] = detail::value_table<F, T>.value[code[i]];
    return simd::load<T, Arch>(value);
}

/// The integer values, as 32-bit lanes, of the codes in bits [Pos, Pos + F::bits) of each lane.
template <weight_format F, class Arch, int Pos>
S3_INLINE simd::lanes<std::uint32_t, Arch>
decode_word(const simd::lanes<std::uint32_t, Arch>& v) noexcept {
    using u32 = simd::lanes<std::uint32_t, Arch>;
    const auto constant = [](std::uint32_t c) { return simd::broadcast<std::uint32_t, Arch>(c); };
    const u32 code = (Pos == 0 ? v : v >> Pos) & constant((1u << F::bits) - 1);
    if constexpr (F::decoding == decode::table) {
        return look_up<F, Arch, std::uint32_t>(code);
    } else if constexpr (F::decoding == decode::twos_complement) {
        const u32 sign = constant(1u << (F::bits - 1));
        return (code ^ sign) - sign;
    } else {
        static_assert(F::decoding == decode::sign_shift);
        const u32 magnitude_code = code & constant((1u << (F::bits - 1)) - 1);
        const u32 negative = constant(0) - (code >> (F::bits - 1));
        u32 magnitude = constant(1) << magnitude_code;
        // In a format with zero, code m means 2^(m−1). Halving 2^m is right for code 0, too: it
        // gives 0.
        if constexpr (F::has_zero)
            magnitude = magnitude >> 1;
        return (magnitude ^ negative) - negative;
    }
}

} // namespace s3::kernel
