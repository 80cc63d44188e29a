#pragma once
// Weight formats: compile-time codebooks between `Bits`-wide codes and integer values.
//
//   with zero (S3)            E = 2^(Bits−1) − 1 exponents, values {0, ±2^0 … ±2^(E−1)}
//   without zero (DenseShift) E = 2^(Bits−1)     exponents, values {±2^0 … ±2^(E−1)}
//
// A code is [sign | magnitude]: the top bit is 1 for negative values. With zero, magnitude 0 means
// zero and m means 2^(m−1); without, m means 2^m. With zero, the code "sign set, magnitude 0"
// (minus zero) is reserved: it is never written and is an error when read.
// `int8_weights` is the plain two's complement byte, for first and last layers.

#include <s3/core/weight.hpp>

#include <concepts>
#include <cstdint>

namespace s3 {

/// What a codebook must tell. `value(code)` is defined for valid codes; `code_of(value)` is −1 for
/// a value that the format cannot hold.
template <class F>
concept weight_format = requires(unsigned code, int value) {
    { F::bits } -> std::convertible_to<int>;
    { F::codes } -> std::convertible_to<int>;
    { F::has_zero } -> std::convertible_to<bool>;
    { F::is_shift } -> std::convertible_to<bool>;
    { F::min_value } -> std::convertible_to<int>;
    { F::max_value } -> std::convertible_to<int>;
    { F::name } -> std::convertible_to<const char*>;
    { F::valid(code) } -> std::same_as<bool>;
    { F::value(code) } -> std::same_as<int>;
    { F::code_of(value) } -> std::same_as<int>;
};

template <int Bits, bool Zero>
requires(Bits >= 2 && Bits <= 5) struct shift_format {
    static constexpr int bits = Bits;
    static constexpr int codes = 1 << Bits;
    static constexpr bool has_zero = Zero;
    static constexpr bool is_shift = true;
    /// Number of exponents E; shifts run from 0 to E − 1.
    static constexpr int exponents = (1 << (Bits - 1)) - (Zero ? 1 : 0);
    static constexpr int max_value = 1 << (exponents - 1);
    static constexpr int min_value = -max_value;

private:
    static constexpr char name_text[] = {Zero ? 's' : 'd',
                                         Zero ? 'h' : 'e',
                                         Zero ? 'i' : 'n',
                                         Zero ? 'f' : 's',
                                         Zero ? 't' : 'e',
                                         '0' + Bits,
                                         0};
    static constexpr unsigned sign_bit = 1u << (Bits - 1);

public:
    static constexpr const char* name = name_text;

    [[nodiscard]] static constexpr bool valid(unsigned code) noexcept {
        return code < unsigned{codes} && !(Zero && code == sign_bit);
    }
    [[nodiscard]] static constexpr triple decode(unsigned code) noexcept {
        const int magnitude = static_cast<int>(code & (sign_bit - 1));
        if (Zero && magnitude == 0)
            return {};
        return {(code & sign_bit) != 0 ? -1 : 1, 1, magnitude - (Zero ? 1 : 0)};
    }
    /// Precondition: the triple's shift is in [0, E), and it is not zero where the format has none.
    [[nodiscard]] static constexpr unsigned encode(const triple& t) noexcept {
        if (t.sparse == 0)
            return 0;
        return (t.sign < 0 ? sign_bit : 0u) | static_cast<unsigned>(t.shift + (Zero ? 1 : 0));
    }
    [[nodiscard]] static constexpr int value(unsigned code) noexcept {
        return decode(code).value();
    }
    [[nodiscard]] static constexpr int code_of(int v) noexcept {
        if (v < min_value || v > max_value)
            return -1;
        if (v == 0)
            return Zero ? 0 : -1;
        const triple t = to_triple(v);
        return t.value() == v ? static_cast<int>(encode(t)) : -1;
    }
};

/// Ordinary 8-bit integers, served by the `dot` kernels alone.
struct int8_weights {
    static constexpr int bits = 8;
    static constexpr int codes = 256;
    static constexpr bool has_zero = true;
    static constexpr bool is_shift = false;
    static constexpr int min_value = -128;
    static constexpr int max_value = 127;
    static constexpr const char* name = "int8";

    [[nodiscard]] static constexpr bool valid(unsigned code) noexcept { return code < 256; }
    [[nodiscard]] static constexpr int value(unsigned code) noexcept {
        return code < 128 ? static_cast<int>(code) : static_cast<int>(code) - 256;
    }
    [[nodiscard]] static constexpr int code_of(int v) noexcept {
        return v < min_value || v > max_value ? -1 : v & 255;
    }
};

using shift2 = shift_format<2, true>;  ///< {0, ±1}
using shift3 = shift_format<3, true>;  ///< {0, ±1, ±2, ±4}
using shift4 = shift_format<4, true>;  ///< {0, ±1 … ±64}
using shift5 = shift_format<5, true>;  ///< {0, ±1 … ±2^14}
using dense2 = shift_format<2, false>; ///< {±1, ±2}
using dense3 = shift_format<3, false>; ///< {±1 … ±8}
using dense4 = shift_format<4, false>; ///< {±1 … ±128}
using dense5 = shift_format<5, false>; ///< {±1 … ±2^15}
using ternary = shift2;

/// Formats whose weights are sign · sparse · 2^shift.
template <class F>
concept shift_weight_format = weight_format<F> && F::is_shift;

/// Activations that the kernels take: int8 and uint8 (exact, int32 sums) or float.
template <class X>
concept activation =
    std::same_as<X, std::int8_t> || std::same_as<X, std::uint8_t> || std::same_as<X, float>;

template <class X>
concept integer_activation = activation<X> && std::integral<X>;

} // namespace s3
