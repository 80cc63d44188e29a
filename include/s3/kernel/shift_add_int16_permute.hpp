#pragma once
// `shift_add` by permutation of 16-bit sums, for any number of columns from one up: one permutation
// (vpermw, vpermi2w) looks the sums of a group of activations up for 32 rows, and one addition
// follows. Tables are made by shifting, negating and adding; there is no multiplication anywhere.
//
//   ternary           3 weights, 27 of 32 sums, named by 5 bits
//   other 2-bit       3 weights, 64 sums, named by their codes, 6 bits
//   3-bit             2 weights, 64 sums, named by their codes, 6 bits
//
// Sums are int16 within a segment (activations are centred at 128 for that), then widen to int32.
// A block is three vectors. A 16-bit element of each has ⌊16/bits⌋ fields; of 6-bit fields, the top
// 4 bits of the three, from the first up, give two more, so that none is wasted.

#include <s3/kernel/parts/permute.hpp>

#if defined(__AVX512BW__)
#include <immintrin.h>
#endif

namespace s3::kernel {

/// Whether `pair` exists for this machine.
#if defined(__AVX512BW__)
template <class Arch>
inline constexpr bool has_pair = arch::has<Arch, arch::avx512>;
#else
template <class Arch>
inline constexpr bool has_pair = false;
#endif

#if defined(__AVX512BW__)

template <shift_weight_format F, class Arch>
requires(has_pair<Arch>&& F::bits <= 3) struct pair_unit {
    using arch = Arch;
    using format = F;

    static constexpr const char* name = "shift_add/pair";
    static constexpr int center = 128;

    using element = std::uint16_t;
    static constexpr std::size_t lanes = 32;
    static constexpr std::size_t panel_vectors = 4;
    static constexpr std::size_t columns = 6;

    static constexpr std::size_t group = 6 / F::bits;
    /// Whether a table is one vector.
    static constexpr bool small = power(digits<F>::count, group) <= lanes;
    using numbers = std::conditional_t<small, digits<F>, raw_digits<F>>;
    static constexpr std::size_t table_size = small ? lanes : 2 * lanes;
    static constexpr int field_bits = small ? 5 : 6;
    static constexpr std::size_t per_vector = 16 / field_bits;
    static constexpr std::size_t fields = 3 * per_vector + (small ? 0 : 2); ///< of a block
    static constexpr std::size_t block_weights = fields * group;
    static constexpr std::size_t block_vectors = 3;
    static constexpr std::size_t vector_bytes = 64;
    static constexpr std::size_t block_bytes = block_vectors * vector_bytes; ///< of 32 rows
    /// Blocks whose sums fit int16, and whose tables stay in the first-level cache.
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

    /// Tables of `count` blocks of one column. The second vector of a table has the last weight's
    /// sign reversed.
    static S3_NOINLINE void build(const std::uint8_t* S3_RESTRICT x, std::size_t count,
                                  std::byte* S3_RESTRICT to) {
        auto* tables = reinterpret_cast<std::int16_t*>(to);
        std::uint32_t
            twice[segment_blocks * block_weights]; // a 32-bit broadcast needs no permutation
        for (std::size_t i = 0; i < count * block_weights; ++i) {
            const auto centred = static_cast<std::uint16_t>(x[i] - center);
            twice[i] = centred | std::uint32_t{centred} << 16;
        }
        const auto at = [&](std::size_t i) {
            return _mm512_set1_epi32(static_cast<int>(twice[i]));
        };
        const __m512i zero = _mm512_setzero_si512();
        for (std::size_t i = 0; i < count * block_weights; i += group, tables += table_size) {
            __m512i sum = terms<0>.add(zero, at(i));
            if constexpr (group == 3)
                sum = terms<1>.add(sum, at(i + 1));
            if constexpr (small) {
                _mm512_store_si512(tables, terms<group - 1>.add(sum, at(i + group - 1)));
            } else {
                const __m512i last = terms<group - 1>.add(zero, at(i + group - 1));
                _mm512_store_si512(tables, _mm512_add_epi16(sum, last));
                _mm512_store_si512(tables + lanes, _mm512_sub_epi16(sum, last));
            }
        }
    }

    /// sums[C][R] += the entries that `blocks` blocks of R vectors of rows name.
    template <std::size_t R, std::size_t C>
    static S3_NOINLINE void add_rows(const std::uint8_t* S3_RESTRICT data, std::size_t blocks,
                                     const std::byte* S3_RESTRICT columns_tables,
                                     std::int32_t* S3_RESTRICT sums) {
        const auto* tables = reinterpret_cast<const std::int16_t*>(columns_tables);
        constexpr std::size_t prefetch = 8192;
        constexpr int choose = 0xca; // of vpternlogd: first ? second : third
        __m512i partial[C][R], index[R];
        S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
            S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r)
                partial[c][r] = _mm512_setzero_si512();
        for (; blocks > 0; --blocks, data += R * block_bytes, tables += fields * table_size) {
            S3_UNROLL_FOR(std::size_t line = 0; line < R * block_bytes; line += 64)
                __builtin_prefetch(data + prefetch + line);
            S3_UNROLL_FOR(std::size_t v = 0; v < 3; ++v) {
                S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r)
                    index[r] = _mm512_loadu_si512(data + (v * R + r) * 64);
                look_up_all<per_vector>(partial, index, tables + v * per_vector * table_size);
            }
            if constexpr (small)
                continue;
            S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r) {
                const std::uint8_t* v = data + r * 64;
                const __m512i bits0 = _mm512_srli_epi16(_mm512_loadu_si512(v), 12);
                const __m512i bits4 = _mm512_srli_epi16(_mm512_loadu_si512(v + R * 64), 8);
                const __m512i bits8 = _mm512_srli_epi16(_mm512_loadu_si512(v + 2 * R * 64), 4);
                index[r] =
                    _mm512_ternarylogic_epi32(_mm512_set1_epi16(0x00f0), bits4, bits0, choose);
                index[r] =
                    _mm512_ternarylogic_epi32(_mm512_set1_epi16(0x0f00), bits8, index[r], choose);
            }
            look_up_all<2>(partial, index, tables + 6 * table_size);
        }
        S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
            S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r) {
                std::int32_t* to = sums + c * panel_vectors * lanes + r * lanes;
                const __m512i low = _mm512_cvtepi16_epi32(_mm512_castsi512_si256(partial[c][r]));
                const __m512i high =
                    _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(partial[c][r], 1));
                _mm512_storeu_si512(to, _mm512_add_epi32(_mm512_loadu_si512(to), low));
                _mm512_storeu_si512(to + 16, _mm512_add_epi32(_mm512_loadu_si512(to + 16), high));
            }
    }

private:
    /// What the group's weight number I contributes to the first 32 entries of a table.
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
        S3_INLINE __m512i add(__m512i sum, __m512i x) const noexcept {
            if constexpr (F::exponents > 1)
                x = _mm512_sllv_epi16(x, _mm512_load_si512(shift));
            sum = _mm512_mask_add_epi16(sum, present & ~negative, sum, x);
            return negative == 0 ? sum : _mm512_mask_sub_epi16(sum, negative, sum, x);
        }
    };
    template <std::size_t I>
    static constexpr term<I> terms{};

    /// partial[c][r] += the entry of column c's table that index[r] names.
    template <std::size_t R, std::size_t C>
    static S3_INLINE void look_up(__m512i (&partial)[C][R], const __m512i (&index)[R],
                                  const std::int16_t* table) {
        S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c) {
            const std::int16_t* t = table + c * column_tables;
            __m512i low = _mm512_load_si512(t), high = low;
            if constexpr (!small)
                high = _mm512_load_si512(t + lanes);
            asm volatile("" : "+v"(low), "+v"(high)); // one load for all rows
            S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r) {
                const __m512i entry = small ? _mm512_permutexvar_epi16(index[r], low)
                                            : _mm512_permutex2var_epi16(low, index[r], high);
                partial[c][r] = _mm512_add_epi16(partial[c][r], entry);
                // Regrouping the additions would need more registers than there are.
                asm volatile("" : "+v"(partial[c][r]));
            }
        }
    }
    /// The same for `Count` fields of the index, one after the other.
    template <std::size_t Count, std::size_t R, std::size_t C>
    static S3_INLINE void look_up_all(__m512i (&partial)[C][R], __m512i (&index)[R],
                                      const std::int16_t* table) {
        look_up(partial, index, table);
        S3_UNROLL_FOR(std::size_t f = 1; f < Count; ++f) {
            S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r)
                index[r] = _mm512_srli_epi16(index[r], field_bits);
            look_up(partial, index, table + f * table_size);
        }
    }
};

#else

template <shift_weight_format F, class Arch>
struct pair_unit;

#endif

template <shift_weight_format F, class Arch>
using pair = permuted<pair_unit<F, Arch>>;

} // namespace s3::kernel
