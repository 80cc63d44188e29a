#pragma once
// Numbering of groups of weights. The number of a group is Σ digit_i·Bⁱ, where digit_i stands for
// the value of weight i and B is the number of digits. Such numbers select table entries, and are
// kept as fields of 64-bit words.

#include <s3/config.hpp>
#include <s3/core/bitstream.hpp>
#include <s3/core/saturating.hpp>
#include <s3/format/shift.hpp>
#include <s3/pack/layout.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace s3::kernel {

/// Digits that number the values of a format without a gap for the reserved code.
template <shift_weight_format F>
struct digits {
    static constexpr unsigned count = F::codes - (F::has_zero ? 1 : 0);
    static constexpr unsigned sign = F::codes / 2;

    static constexpr unsigned of(unsigned code) { return code - (F::has_zero && code >= sign); }
    static constexpr triple value(unsigned digit) {
        return F::decode(digit + (F::has_zero && digit >= sign));
    }
};

/// Digits that are the codes themselves, for tables in which a power of two entries is worth more
/// than few entries. The reserved code counts as zero.
template <shift_weight_format F>
struct raw_digits {
    static constexpr unsigned count = F::codes;

    static constexpr unsigned of(unsigned code) { return code; }
    static constexpr triple value(unsigned digit) {
        return F::valid(digit) ? F::decode(digit) : triple{};
    }
};

constexpr std::size_t power(std::size_t base, std::size_t exponent) noexcept {
    return exponent == 0 ? 1 : base * power(base, exponent - 1);
}

/// The number of a group of weights, computed from their codes side by side.
template <shift_weight_format F, class Numbers, std::size_t Group>
class group_numbers {
public:
    static constexpr std::size_t bits = Group * F::bits;

    static constexpr std::size_t of(std::size_t codes) noexcept {
        return Numbers::count == F::codes ? codes : table[codes];
    }

private:
    static constexpr auto table = [] {
        std::array<std::uint16_t, std::size_t{1} << bits> all{};
        for (std::size_t codes = 0; codes < all.size(); ++codes)
            for (std::size_t i = Group; i-- > 0;)
                all[codes] = static_cast<std::uint16_t>(
                    all[codes] * Numbers::count +
                    Numbers::of(static_cast<unsigned>(codes >> (i * F::bits)) & (F::codes - 1u)));
        return all;
    }();
};

/// What centring activations (x − center) takes from a row's sum, modulo 2^32: center · Σw. The row
/// is padded with `padding` weights of code 0, and the zeros that they meet are centred, too.
template <shift_weight_format F>
constexpr std::int32_t centring(int center, std::int64_t weights, std::size_t padding) noexcept {
    constexpr auto pad = static_cast<std::uint32_t>(static_cast<std::int32_t>(F::value(0)));
    return static_cast<std::int32_t>(
        static_cast<std::uint32_t>(center) *
        (static_cast<std::uint32_t>(weights) + static_cast<std::uint32_t>(padding) * pad));
}

/// The number of vectors in a table's entry. Two vectors of 32 bytes share one look-up, and one
/// cache line.
template <class Arch>
inline constexpr std::size_t entry_vectors = Arch::vector_bytes == 32 ? 2 : 1;

/// Words of 64 bits with `per_word` fields each, which hold numbers below `Entries`. An entry of
/// the table has `EntryBytes` bytes, a power of two.
template <std::size_t Entries, std::size_t EntryBytes>
struct entry_fields {
    static constexpr std::size_t bits = std::bit_width(Entries - 1);
    static constexpr std::size_t per_word = 64 / bits;

    static constexpr std::size_t words(std::size_t groups) {
        return (groups + per_word - 1) / per_word;
    }
    /// The number of groups in a block: at most `fit`, and if they need more than one word, then so
    /// many that they fill whole words.
    static constexpr std::size_t groups(std::size_t fit) {
        fit = std::min(fit, 2 * per_word);
        return std::max<std::size_t>(fit > per_word ? fit / per_word * per_word : fit, 1);
    }
    static void put(std::uint64_t* row, std::size_t group, std::size_t entry) noexcept {
        row[group / per_word] |= std::uint64_t{entry} << (group % per_word * bits);
    }
    /// The place, in bytes, where a group's entry begins in its table: one rotation and one mask
    /// give it.
    template <std::size_t Group>
    static S3_INLINE std::size_t offset(const std::uint64_t* row) noexcept {
        constexpr int line = std::countr_zero(EntryBytes);
        constexpr int shift = (static_cast<int>(Group % per_word * bits) - line + 64) % 64;
        constexpr std::uint64_t mask = ((std::uint64_t{1} << bits) - 1) << line;
        return std::rotr(row[Group / per_word], shift) & mask;
    }
};

/// The bytes of an int32 for each of m rows, rounded up to whole cache lines.
constexpr std::size_t row_constants_bytes(std::size_t m) noexcept {
    return whole_lines(saturating_mul(m, sizeof(std::int32_t)));
}

/// Lays a bitstream of m × k weights out as [block][row][word], with a field for each group. It
/// goes over a few rows at a time, so that neither reads nor writes are scattered.
template <shift_weight_format F, std::size_t Group, std::size_t Groups, class Fields>
void pack_fields(const std::uint8_t* stream, std::size_t m, std::size_t k, std::size_t blocks,
                 std::uint64_t* to) {
    using numbers = group_numbers<F, digits<F>, Group>;
    constexpr std::size_t some = 16, words = Fields::words(Groups), weights = Groups * Group;
    constexpr std::size_t at_once = 57 / numbers::bits;
    const std::size_t bytes = layout::stream_bytes(m * k, F::bits);
    for (std::size_t first = 0; first < m; first += some)
        for (std::size_t b = 0; b < blocks; ++b)
            for (std::size_t row = first; row < std::min(first + some, m); ++row) {
                const std::size_t column = b * weights, left = k - std::min(k, column);
                std::uint64_t field[words] = {};
                S3_UNROLL_FOR(std::size_t g = 0; g < Groups; g += at_once) {
                    const std::size_t count = std::min(at_once, Groups - g), done = g * Group;
                    std::uint64_t codes =
                        done < left
                            ? layout::take_bits(stream, bytes, (row * k + column + done) * F::bits,
                                                std::min(count * Group, left - done) * F::bits)
                            : 0;
                    S3_UNROLL_FOR(std::size_t i = 0; i < count; ++i, codes >>= numbers::bits)
                        Fields::put(field, g + i, numbers::of(codes & ((1u << numbers::bits) - 1)));
                }
                std::copy_n(field, words, to + (b * m + row) * words);
            }
}

} // namespace s3::kernel
