#pragma once
// A weight format is a codebook, known at compile time, between codes of `bits` bits and integer
// values; all that the library knows of a format is in this one type. A new format is one header
// beside this one and one line in format/list.hpp. Its static members are:
//
//   bits, codes            width of a code, 2 … 8, and the number of codes, 2^bits
//   valid(code)            whether the code may be written; a reserved one is an error when read
//   value(code)            the code's integer, for each of all `codes` codes: kernels tabulate the
//                          reserved ones, too, without ever using their values
//   code_of(value)         the inverse of `value`; −1 for an integer that the format cannot hold
//   min_value, max_value   the smallest and the largest value
//   has_zero               whether zero is a value
//   decoding               how the value may be computed from the code, see `decode`
//   is_shift               whether every value is sign · sparse · 2^shift, in codes of sign_shift;
//                          such a format has two more members:
//     decode(code)         the code's triple (format/triple.hpp)
//     exponents            the number of exponents: shifts are 0 … exponents − 1
//   trains                 whether train/ has latents for it
//   round(real, nearest)   the value that a finite real number becomes at unit scale
//   name                   in files and messages: 1 … 16 characters
//   cpp_name               the type's name in generated C++
//
// The concept checks the codebook code by code, so a type that misstates its own codebook is not a
// weight format, and a kernel that relies on `decoding` cannot compute wrong sums.

#include <s3/format/triple.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace s3 {

/// How a kernel may turn a code into its value. Every format can be decoded by a table of its
/// `codes` values; the other two need no memory.
enum class decode : unsigned char {
    table,           ///< no rule: look the code up
    twos_complement, ///< the code is the value, sign-extended from `bits` bits
    sign_shift       ///< [sign | magnitude]: see format/shift.hpp
};

/// How real numbers round: to the nearest value (ties away from zero in shift formats and
/// codebooks, to even in integers), or to the nearest exponent of two where a format has exponents.
enum class nearest : unsigned char { value, log2 };

namespace detail {

template <class F>
[[nodiscard]] constexpr std::size_t name_length() {
    std::size_t length = 0;
    while (F::name[length] != 0)
        ++length;
    return length;
}

/// The value that code `c` must have under F's decoding rule.
template <class F>
[[nodiscard]] constexpr int ruled_value(unsigned c) {
    constexpr unsigned sign = 1u << (F::bits - 1);
    const int magnitude = static_cast<int>(c & (sign - 1));
    if (F::decoding == decode::twos_complement)
        return c < sign ? magnitude : magnitude - static_cast<int>(sign);
    const int size = F::has_zero ? magnitude == 0 ? 0 : 1 << (magnitude - 1) : 1 << magnitude;
    return c < sign ? size : -size;
}

/// Whether the members of F agree with each other.
template <class F>
[[nodiscard]] constexpr bool consistent_codebook() {
    if (F::bits < 2 || F::bits > 8 || F::codes != 1 << F::bits)
        return false;
    if (name_length<F>() == 0 || name_length<F>() > 16)
        return false;
    if (F::is_shift != (F::decoding == decode::sign_shift))
        return false;
    int low = std::numeric_limits<int>::max(), high = std::numeric_limits<int>::min();
    bool zero = false;
    for (unsigned c = 0; c < unsigned{F::codes}; ++c) {
        if (!F::valid(c))
            continue;
        const int v = F::value(c);
        if (F::code_of(v) != static_cast<int>(c))
            return false;
        if (F::decoding != decode::table && v != ruled_value<F>(c))
            return false;
        if constexpr (F::is_shift)
            if (F::decode(c).value() != v || F::decode(c).shift >= F::exponents)
                return false;
        low = v < low ? v : low;
        high = v > high ? v : high;
        zero = zero || v == 0;
    }
    // Overflow proofs compute Σ|w| in 64 bits and products of a weight and an activation in 32.
    constexpr int limit = 1 << 15;
    return low == F::min_value && high == F::max_value && zero == F::has_zero && low >= -limit &&
           high <= limit && F::code_of(low - 1) == -1 && F::code_of(high + 1) == -1;
}

template <class F>
concept decodes_triples = requires(unsigned code) {
    { F::decode(code) } -> std::same_as<triple>;
    { F::exponents } -> std::convertible_to<int>;
};
} // namespace detail

template <class F>
concept weight_format = requires(unsigned code, int value, double real) {
    { F::bits } -> std::convertible_to<int>;
    { F::codes } -> std::convertible_to<int>;
    { F::has_zero } -> std::convertible_to<bool>;
    { F::is_shift } -> std::convertible_to<bool>;
    { F::trains } -> std::convertible_to<bool>;
    { F::decoding } -> std::convertible_to<decode>;
    { F::min_value } -> std::convertible_to<int>;
    { F::max_value } -> std::convertible_to<int>;
    { F::name } -> std::convertible_to<const char*>;
    { F::cpp_name } -> std::convertible_to<const char*>;
    { F::valid(code) } -> std::same_as<bool>;
    { F::value(code) } -> std::same_as<int>;
    { F::code_of(value) } -> std::same_as<int>;
    { F::round(real, nearest::value) } -> std::same_as<int>;
}
&&(!F::is_shift || detail::decodes_triples<F>)&&detail::consistent_codebook<F>();

/// Formats whose weights are sign · sparse · 2^shift.
template <class F>
concept shift_weight_format = weight_format<F> && F::is_shift;

} // namespace s3
