#pragma once
// Numbering of groups of weights: a group's number is Σ digit_i·Bⁱ, a digit being what stands for
// one weight's value. Numbers of table entries are kept as fields of 64-bit words.

#include <s3/config.hpp>
#include <s3/core/format.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

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

/// Numbers below `Entries` in words of `per_word` fields; `EntryBytes`, a power of two, is the size
/// of what they number.
template <std::size_t Entries, std::size_t EntryBytes>
struct entry_fields {
    static constexpr std::size_t bits = std::bit_width(Entries - 1);
    static constexpr std::size_t per_word = 64 / bits;

    static constexpr std::size_t words(std::size_t groups) {
        return (groups + per_word - 1) / per_word;
    }
    /// At most `fit` groups, and whole words where there is more than one.
    static constexpr std::size_t groups(std::size_t fit) {
        fit = std::min(fit, 2 * per_word);
        return std::max<std::size_t>(fit > per_word ? fit / per_word * per_word : fit, 1);
    }
    static void put(std::uint64_t* row, std::size_t group, std::size_t entry) noexcept {
        row[group / per_word] |= std::uint64_t{entry} << (group % per_word * bits);
    }
    /// Where the entry of a group begins in its table, in bytes: one rotation and one mask.
    template <std::size_t Group>
    [[nodiscard]] static S3_INLINE std::size_t offset(const std::uint64_t* row) noexcept {
        constexpr int line = std::countr_zero(EntryBytes);
        constexpr int shift = static_cast<int>(Group % per_word * bits) - line;
        constexpr std::uint64_t mask = ((std::uint64_t{1} << bits) - 1) << line;
        return std::rotr(row[Group / per_word], shift) & mask;
    }
};

} // namespace s3::kernel
