#pragma once
// `shift_add` by permutation of 16-bit sums, for any batch: one permutation (vpermw, vpermi2w)
// looks up the sums of a group of activations for 32 rows, and one addition follows. Tables are
// built by shifting, negating and adding; there is no multiplication anywhere.
//
//   ternary           groups of 3 weights, 27 sums in a table of 32, selected by 5 bits
//   other 2-bit       groups of 3 weights, 64 sums, selected by the weights' codes, 6 bits
//   3-bit             groups of 2 weights, 64 sums, selected by the weights' codes, 6 bits
//
// Sums are int16 within a segment (activations are centred at 128 for that), then widen to int32. A
// block is three vectors with a 16-bit element per row, which has ⌊16/bits⌋ fields:
//
//   bit       15      10       5       0        15   12        6        0
//   5-bit   | - | f 2  |  f 1  |  f 0  |  6-bit | top |  f 1   |  f 0   |
//
// With 6-bit fields, the top 4 bits of the three elements together are two more fields, so no bit
// is wasted.

#include <s3/format/shift.hpp>
#include <s3/kernel/parts/permute.hpp>
#include <s3/kernel/seams.hpp>
#include <s3/simd/bytes.hpp>
#include <s3/simd/lane_shift.hpp>
#include <s3/simd/permute.hpp>
#include <s3/simd/widen.hpp>

namespace s3::kernel {

/// Whether `int16_permute_unit` exists for this machine: a vector must hold a table of 32 entries
/// of 16 bits, and one instruction must permute them.
template <class Arch>
inline constexpr bool has_int16_permute = simd::has_permute16<Arch>&& Arch::vector_bytes == 64;

template <shift_weight_format F, class Arch>
requires(has_int16_permute<Arch>&& F::bits <= 3) struct int16_permute_unit {
    using arch = Arch;
    using format = F;
    using words = simd::lanes<std::uint16_t, Arch>;

    static constexpr int center = 128;

    using element = std::uint16_t;
    static constexpr std::size_t lanes = 32;
    static constexpr std::size_t panel_vectors = 4;
    static constexpr std::size_t columns = 6;

    static constexpr std::size_t group = 6 / F::bits;
    /// Whether a table is one vector; else it is two.
    static constexpr bool small = power(digits<F>::count, group) <= lanes;
    using numbers = std::conditional_t<small, digits<F>, raw_digits<F>>;
    static constexpr std::size_t table_size = small ? lanes : 2 * lanes;
    static constexpr int field_bits = small ? 5 : 6;
    static constexpr std::size_t per_vector = 16 / field_bits;
    /// The number of fields in a block, which is also its number of groups.
    static constexpr std::size_t fields = 3 * per_vector + (small ? 0 : 2);
    static constexpr std::size_t block_weights = fields * group;
    static constexpr std::size_t block_vectors = 3;
    static constexpr std::size_t vector_bytes = Arch::vector_bytes;
    /// The bytes of a block of 32 rows.
    static constexpr std::size_t block_bytes = block_vectors * vector_bytes;
    /// Blocks of a segment: their sums fit int16, and their tables stay in the first-level cache.
    static constexpr std::size_t segment_blocks =
        std::min(32767 / (center * group * F::max_value) / fields,
                 32 * 1024 / (columns * fields * table_size * sizeof(std::int16_t)));
    static constexpr std::size_t column_tables = segment_blocks * fields * table_size;
    static constexpr std::size_t table_bytes = column_tables * sizeof(std::int16_t);

    static constexpr std::size_t lane_of(std::size_t row) { return row; }
    static S3_INLINE void encode(const std::size_t (&field)[fields],
                                 element (&to)[block_vectors]) noexcept {
        S3_UNROLL_FOR(std::size_t v = 0; v < block_vectors; ++v) {
            std::size_t word = 0;
            S3_UNROLL_FOR(std::size_t i = 0; i < per_vector; ++i) {
                word |= field[v * per_vector + i] << (i * field_bits);
            }
            if constexpr (!small)
                word |= ((field[6] | field[7] << 6) >> (4 * v) & 15) << 12;
            to[v] = static_cast<element>(word);
        }
    }

    /// Builds the tables of `count` blocks for one activation vector. Where a table has a second
    /// vector, its sums are those of the first one with the sign of the last weight reversed.
    static S3_NOINLINE void build(const std::uint8_t* S3_RESTRICT x, std::size_t count,
                                  std::byte* S3_RESTRICT to) {
        auto* tables = reinterpret_cast<std::uint16_t*>(to);
        // Each activation twice: a broadcast of 32 bits needs no permutation, one of 16 bits does.
        std::uint32_t twice[segment_blocks * block_weights];
        for (std::size_t i = 0; i < count * block_weights; ++i) {
            const auto centred = static_cast<std::uint16_t>(x[i] - center);
            twice[i] = centred | std::uint32_t{centred} << 16;
        }
        const auto at = [&](std::size_t i) {
            return simd::as<std::uint16_t>(simd::broadcast<std::uint32_t, Arch>(twice[i]));
        };
        const words zero = zeros();
        for (std::size_t i = 0; i < count * block_weights; i += group, tables += table_size) {
            words sum = terms<0>.add(zero, at(i));
            if constexpr (group == 3)
                sum = terms<1>.add(sum, at(i + 1));
            if constexpr (small) {
                simd::store<Arch>(tables, terms<group - 1>.add(sum, at(i + group - 1)));
            } else {
                const words last = terms<group - 1>.add(zero, at(i + group - 1));
                simd::store<Arch>(tables, words(sum + last));
                simd::store<Arch>(tables + lanes, words(sum - last));
            }
        }
    }

    /// Adds to sums[c][row], for C activation vectors and R vectors of rows, the table entries that
    /// the fields of `blocks` blocks select.
    template <std::size_t R, std::size_t C>
    static S3_NOINLINE void add_rows(const std::uint8_t* S3_RESTRICT data, std::size_t blocks,
                                     const std::byte* S3_RESTRICT columns_tables,
                                     std::int32_t* S3_RESTRICT sums) {
        const auto* tables = reinterpret_cast<const std::uint16_t*>(columns_tables);
        constexpr std::size_t prefetch = 8192;
        words partial[C][R], index[R];
        S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
            S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r)
                partial[c][r] = zeros();
        for (; blocks > 0; --blocks, data += R * block_bytes, tables += fields * table_size) {
            S3_UNROLL_FOR(std::size_t line = 0; line < R * block_bytes; line += 64)
                __builtin_prefetch(data + prefetch + line);
            S3_UNROLL_FOR(std::size_t v = 0; v < 3; ++v) {
                S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r)
                    index[r] = load(data + (v * R + r) * vector_bytes);
                look_up_all<per_vector>(partial, index, tables + v * per_vector * table_size);
            }
            if constexpr (small)
                continue;
            S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r) {
                const std::uint8_t* v = data + r * vector_bytes;
                constexpr std::size_t next = R * vector_bytes;
                const words bits0 = load(v) >> 12, bits4 = load(v + next) >> 8,
                            bits8 = load(v + 2 * next) >> 4;
                index[r] = simd::select_bits<Arch>(all(0x00f0), bits4, bits0);
                index[r] = simd::select_bits<Arch>(all(0x0f00), bits8, index[r]);
            }
            look_up_all<2>(partial, index, tables + 6 * table_size);
        }
        S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
            S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r) {
                std::int32_t* to = sums + c * panel_vectors * lanes + r * lanes;
                const auto sum = simd::as<std::int16_t>(partial[c][r]);
                add(to, simd::widen_low<Arch>(sum));
                add(to + lanes / 2, simd::widen_high<Arch>(sum));
            }
    }

private:
    static S3_INLINE words all(std::uint16_t value) noexcept {
        return simd::broadcast<std::uint16_t, Arch>(value);
    }
    static S3_INLINE words zeros() noexcept { return all(0); }
    static S3_INLINE words load(const std::uint8_t* p) noexcept {
        return simd::as<std::uint16_t>(simd::load<std::uint8_t, Arch>(p));
    }
    static S3_INLINE void add(std::int32_t* to, const simd::lanes<std::int32_t, Arch>& v) noexcept {
        simd::store<Arch>(to, simd::load<std::int32_t, Arch>(to) + v);
    }

    /// What weight number I of the group contributes to the first 32 entries of a table.
    template <std::size_t I>
    struct term {
        alignas(64) std::uint16_t shift[lanes] = {};
        std::uint32_t present = 0, negative = 0;
        constexpr term() {
            for (std::size_t entry = 0; entry < lanes; ++entry) {
                const auto digit = entry / power(numbers::count, I) % numbers::count;
                const triple t = numbers::value(static_cast<unsigned>(digit));
                shift[entry] = static_cast<std::uint16_t>(t.shift);
                present |= unsigned{t.sparse != 0} << entry;
                negative |= unsigned{t.sparse != 0 && t.sign < 0} << entry;
            }
        }
        S3_INLINE words add(const words& sum, words x) const noexcept {
            if constexpr (F::exponents > 1)
                x = simd::lane_shift16<Arch>(x, simd::load<std::uint16_t, Arch>(shift));
            const words more = simd::add_where<Arch>(present & ~negative, sum, x);
            return negative == 0 ? more : simd::subtract_where<Arch>(negative, more, x);
        }
    };
    template <std::size_t I>
    static constexpr term<I> terms{};

    /// Adds to partial[c][r] the entry of column c's table that index[r] selects.
    template <std::size_t R, std::size_t C>
    static S3_INLINE void look_up(words (&partial)[C][R], const words (&index)[R],
                                  const std::uint16_t* table) {
        S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c) {
            const std::uint16_t* t = table + c * column_tables;
            words low = simd::load<std::uint16_t, Arch>(t), high = low;
            if constexpr (!small)
                high = simd::load<std::uint16_t, Arch>(t + lanes);
            simd::pin(low, high); // keeps the table in registers for all rows
            S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r) {
                const words entry = small ? simd::permute16<Arch>(low, index[r])
                                          : simd::permute16<Arch>(low, high, index[r]);
                partial[c][r] = partial[c][r] + entry;
                // Compilers must not regroup the additions: that would need more registers than
                // there are.
                simd::pin(partial[c][r]);
            }
        }
    }
    /// Does the same for `Count` fields of the index, beginning with the lowest.
    template <std::size_t Count, std::size_t R, std::size_t C>
    static S3_INLINE void look_up_all(words (&partial)[C][R], words (&index)[R],
                                      const std::uint16_t* table) {
        look_up(partial, index, table);
        S3_UNROLL_FOR(std::size_t f = 1; f < Count; ++f) {
            S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r)
                index[r] = index[r] >> field_bits;
            look_up(partial, index, table + f * table_size);
        }
    }
};

/// It beats the multiplier for ternary weights: from 256 rows on where the machine has no dot
/// product of four bytes, and from 2048 rows on where it has one.
template <weight_format F, activation X, architecture Arch>
struct shift_add_int16_permute {
    static constexpr const char* name = "shift_add_int16_permute";
    static constexpr s3::family family = s3::family::shift_add;
    static constexpr bool exists = [] {
        if constexpr (F::is_shift)
            return std::integral<X> && has_int16_permute<Arch> && F::bits <= 3;
        else
            return false;
    }();
    /// Whether it may be faster than the multiplier.
    static constexpr bool may_win =
        std::is_same_v<F, ternary> && (!simd::has_quad_dot<Arch> || simd::fast_permute16<Arch>);
    static constexpr rank_range ranks{80, may_win ? 130 : 80};
    static constexpr int rank(const product_request& r) noexcept {
        return may_win && r.batch >= Arch::vector_bytes / 2 &&
                       r.rows >= (simd::has_quad_dot<Arch> ? 2048 : 256)
                   ? 130
                   : 80;
    }
    static auto loop() { return std::type_identity<permuted<int16_permute_unit<F, Arch>>>{}; }
};

} // namespace s3::kernel
