#pragma once
// Shift formats, whose weights are sign · sparse · 2^shift (see format/triple.hpp).
//
//   with zero (S3)            E = 2^(Bits−1) − 1 exponents, values {0, ±2^0 … ±2^(E−1)}
//   without zero (DenseShift) E = 2^(Bits−1)     exponents, values {±2^0 … ±2^(E−1)}
//
// A code is [sign | magnitude]: its top bit is 1 for negative values. In a format with zero,
// magnitude 0 means zero and magnitude m means 2^(m−1); without zero, m means 2^m. In a format with
// zero, the code "sign set, magnitude 0" (minus zero) is reserved: it is never written and is an
// error when read.

#include <s3/core/bit_cast.hpp>
#include <s3/format/triple.hpp>
#include <s3/format/weight_format.hpp>

#include <algorithm>
#include <cstdint>

namespace s3 {

template <int Bits, bool Zero>
requires(Bits >= 2 && Bits <= 5) struct shift_format {
    static constexpr int bits = Bits;
    static constexpr int codes = 1 << Bits;
    static constexpr bool has_zero = Zero;
    static constexpr bool is_shift = true;
    static constexpr bool trains = true;
    static constexpr s3::decode decoding = s3::decode::sign_shift;
    /// Number of exponents E; shifts run from 0 to E − 1.
    static constexpr int exponents = (1 << (Bits - 1)) - (Zero ? 1 : 0);
    static constexpr int max_value = 1 << (exponents - 1);
    static constexpr int min_value = -max_value;

private:
    static constexpr char digit = '0' + Bits;
    static constexpr char shift_text[] = {'s', '3', ':', ':', 's', 'h', 'i', 'f', 't', digit, 0};
    static constexpr char dense_text[] = {'s', '3', ':', ':', 'd', 'e', 'n', 's', 'e', digit, 0};
    static constexpr unsigned sign_bit = 1u << (Bits - 1);

public:
    static constexpr const char* cpp_name = Zero ? shift_text : dense_text;
    static constexpr const char* name = cpp_name + 4;

    [[nodiscard]] static constexpr bool valid(unsigned code) noexcept {
        return code < unsigned{codes} && !(Zero && code == sign_bit);
    }
    [[nodiscard]] static constexpr triple decode(unsigned code) noexcept {
        const int magnitude = static_cast<int>(code & (sign_bit - 1));
        if (Zero && magnitude == 0)
            return {};
        return {(code & sign_bit) != 0 ? -1 : 1, 1, magnitude - (Zero ? 1 : 0)};
    }
    /// Precondition: the triple's shift is in [0, E), and in a format without zero the triple is
    /// not 0.
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

    /// Rounds a real number to a value of the format. The threshold between 2^k and 2^(k+1) is
    /// 1.5·2^k, or √2·2^k for nearest::log2; between 0 and 1 it is ½, or 1/√2. In a format without
    /// zero, numbers below 1 in size become ±1. Numbers beyond the largest value become that value.
    [[nodiscard]] static constexpr int round(double real, nearest rule = {}) noexcept {
        const auto pattern = bit_cast<std::uint64_t>(real);
        const int size = (1 << magnitude_of(pattern, rule)) >> zero;
        const int sign = -static_cast<int>(pattern >> 63);
        return (size ^ sign) - sign;
    }
    /// The same as code_of(round(real, rule)), but faster.
    [[nodiscard]] static constexpr int rounded_code(double real, nearest rule = {}) noexcept {
        const auto pattern = bit_cast<std::uint64_t>(real);
        const int magnitude = magnitude_of(pattern, rule);
        const int sign = static_cast<int>(pattern >> 63) << (Bits - 1);
        return magnitude | (sign & (Zero ? -static_cast<int>(magnitude != 0) : -1));
    }

private:
    static constexpr int zero = Zero ? 1 : 0;

    /// The magnitude bits of the code that a double, given by its bit pattern, rounds to. There are
    /// no branches on the value, because a processor could not predict them: weights are as good as
    /// random.
    static constexpr int magnitude_of(std::uint64_t pattern, nearest rule) noexcept {
        constexpr int mantissa_bits = 52, bias = 1023;
        constexpr std::uint64_t octave = std::uint64_t{1} << mantissa_bits;
        constexpr auto root_of_two = bit_cast<std::uint64_t>(2 * 0.70710678118654752);
        const std::uint64_t size = pattern & ~(std::uint64_t{1} << 63);
        int exponent;
        if (rule == nearest::log2) {
            const std::uint64_t next = size + octave - root_of_two % octave;
            exponent = static_cast<int>(next >> mantissa_bits) - bias;
        } else {
            const int half_octave = static_cast<int>(size >> (mantissa_bits - 1)) - 2 * bias;
            // From 1.5·2^k on the exponent is k + 1. From ½ on, rather than from ¾, it is 0.
            exponent = ((half_octave + 1) >> 1) + (half_octave == -2 ? 1 : 0);
        }
        return std::clamp(exponent + zero, 0, exponents - 1 + zero);
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

} // namespace s3
