#pragma once
// Numbering of groups of weights: a group's number is Σ digit_i·Bⁱ, a digit being what stands for
// one weight's value.

#include <s3/core/format.hpp>

#include <cstddef>

namespace s3::kernel {

/// The values of a format, numbered without the reserved code.
template <shift_weight_format F>
struct digits {
    static constexpr unsigned count = F::codes - (F::has_zero ? 1 : 0);
    static constexpr unsigned sign = F::codes / 2;

    static constexpr unsigned of(unsigned code) { return code - (F::has_zero && code >= sign); }
    static constexpr triple value(unsigned digit) {
        return F::decode(digit + (F::has_zero && digit >= sign));
    }
};

/// The codes themselves, where a power of two in numbers is worth more than few numbers; the
/// reserved one counts as zero.
template <shift_weight_format F>
struct raw_digits {
    static constexpr unsigned count = F::codes;

    static constexpr unsigned of(unsigned code) { return code; }
    static constexpr triple value(unsigned digit) {
        return F::valid(digit) ? F::decode(digit) : triple{};
    }
};

[[nodiscard]] constexpr std::size_t power(std::size_t base, std::size_t exponent) noexcept {
    return exponent == 0 ? 1 : base * power(base, exponent - 1);
}

} // namespace s3::kernel
