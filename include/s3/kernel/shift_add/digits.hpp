#pragma once
// Numbering of groups of weights: a group's number is Σ digit_i·Bⁱ, a digit being what stands for
// one weight's value. Numbers of table entries are kept as fields of 64-bit words.

#include <s3/config.hpp>
#include <s3/core/format.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

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

/// What the codes of a group of weights say, by these codes: its number, and the sum of its
/// weights.
template <shift_weight_format F, class Numbers, std::size_t Group>
struct group_codes {
    static constexpr std::size_t bits = Group * F::bits;
    static constexpr std::size_t count = std::size_t{1} << bits;
    struct {
        std::uint16_t number;
        std::int32_t sum;
    } of[count] = {};
    constexpr group_codes() {
        for (std::size_t codes = 0; codes < count; ++codes) {
            std::size_t number = 0;
            std::int32_t all = 0;
            for (std::size_t i = Group; i-- > 0;) {
                const unsigned code =
                    static_cast<unsigned>(codes >> (i * F::bits)) & unsigned{F::codes - 1};
                number = number * Numbers::count + Numbers::of(code);
                all += F::valid(code) ? static_cast<std::int32_t>(F::value(code)) : 0;
            }
            of[codes].number = static_cast<std::uint16_t>(number);
            of[codes].sum = all;
        }
    }
};

/// `count` ≤ 56 bits of a stream of `end` bytes, from number `bit` on.
[[nodiscard]] inline std::uint64_t take_bits(const std::uint8_t* stream, std::size_t end,
                                             std::size_t bit, std::size_t count) noexcept {
    std::uint64_t word = 0;
    if (std::endian::native == std::endian::little && bit / 8 + 8 <= end)
        std::memcpy(&word, stream + bit / 8, 8);
    else
        for (std::size_t i = 0; i < std::min<std::size_t>(8, end - bit / 8); ++i)
            word |= std::uint64_t{stream[bit / 8 + i]} << (8 * i);
    return word >> (bit % 8) & ((std::uint64_t{1} << count) - 1);
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

/// Lays a bitstream out by [block][row][word] with a field for each group, and calls
/// add(row, sum of a group's weights). Few rows at a time, so that neither reads nor writes
/// scatter.
template <shift_weight_format F, std::size_t Group, std::size_t Groups, class Fields, class Add>
void pack_fields(const std::uint8_t* stream, std::size_t m, std::size_t k, std::size_t blocks,
                 std::uint64_t* to, Add&& add) {
    static constexpr group_codes<F, digits<F>, Group> codes{};
    constexpr std::size_t some = 16, words = Fields::words(Groups), weights = Groups * Group;
    const std::size_t end = (m * k * F::bits + 7) / 8;
    for (std::size_t first = 0; first < m; first += some)
        for (std::size_t b = 0; b < blocks; ++b)
            for (std::size_t row = first; row < std::min(first + some, m); ++row) {
                std::uint64_t field[words] = {};
                std::int32_t all = 0;
                for (std::size_t g = 0; g < Groups; ++g) {
                    const std::size_t column = b * weights + g * Group;
                    const std::size_t left = column < k ? std::min(Group, k - column) : 0;
                    const std::uint64_t index =
                        left == 0
                            ? 0
                            : take_bits(stream, end, (row * k + column) * F::bits, left * F::bits);
                    // What pads is code 0, and counts: staged zeros are centred too.
                    const auto& group = codes.of[index];
                    Fields::put(field, g, group.number);
                    all += group.sum;
                }
                std::copy_n(field, words, to + (b * m + row) * words);
                add(row, all);
            }
}

} // namespace s3::kernel
