#pragma once
// Integer formats: two's complement integers of 2 … 8 bits, −2^(Bits−1) … 2^(Bits−1) − 1. Only the
// `dot` kernels serve them. First and last layers usually have `int8_weights`.

#include <s3/core/bit_cast.hpp>
#include <s3/format/weight_format.hpp>

#include <cstdint>

namespace s3 {

template <int Bits>
requires(Bits >= 2 && Bits <= 8) struct integer_format {
    static constexpr int bits = Bits;
    static constexpr int codes = 1 << Bits;
    static constexpr bool has_zero = true;
    static constexpr bool is_shift = false;
    static constexpr bool trains = false;
    static constexpr decode decoding = decode::twos_complement;
    static constexpr int max_value = codes / 2 - 1;
    static constexpr int min_value = -codes / 2;

private:
    static constexpr char name_text[] = {'i', 'n', 't', '0' + Bits, 0};
    static constexpr char cpp_text[] = {'s', '3', ':', ':',        'i', 'n', 't', 'e',
                                        'g', 'e', 'r', '_',        'f', 'o', 'r', 'm',
                                        'a', 't', '<', '0' + Bits, '>', 0};

public:
    static constexpr const char* name = name_text;
    static constexpr const char* cpp_name = cpp_text;

    [[nodiscard]] static constexpr bool valid(unsigned code) noexcept {
        return code < unsigned{codes};
    }
    [[nodiscard]] static constexpr int value(unsigned code) noexcept {
        return static_cast<int>(code) - (code > unsigned{max_value} ? codes : 0);
    }
    [[nodiscard]] static constexpr int code_of(int v) noexcept {
        return v < min_value || v > max_value ? -1 : v & (codes - 1);
    }
    /// Rounds to the nearest integer, halves to even, and clamps to the format's range. Integers
    /// have no exponents, so `nearest` changes nothing.
    [[nodiscard]] static constexpr int round(double real, nearest = {}) noexcept {
        // The low mantissa bits of 1.5·2^52 + x are x, rounded to even as every floating-point sum
        // is. The result is read as bits so that no compiler flag lets the addition be optimised
        // away.
        constexpr double large = 0x1.8p52;
        const double inside = real < min_value ? min_value : real > max_value ? max_value : real;
        return static_cast<int>(bit_cast<std::int64_t>(inside + large) -
                                bit_cast<std::int64_t>(large));
    }
    /// The same as code_of(round(real)), but faster.
    [[nodiscard]] static constexpr int rounded_code(double real, nearest = {}) noexcept {
        return round(real) & (codes - 1);
    }
};

using int4_weights = integer_format<4>; ///< −8 … 7
using int8_weights = integer_format<8>; ///< −128 … 127

} // namespace s3
