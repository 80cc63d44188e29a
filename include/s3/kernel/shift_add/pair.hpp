#pragma once
// `shift_add` by permutation, for any number of columns from one up: lanes are rows. The signed
// sums of a group of activations fill one or two registers, so one permutation (vpermw, vpermi2w)
// looks them up for 32 rows, and one addition follows. Tables are made by shifting, negating and
// adding; there is no multiplication anywhere.
//
//   ternary           3 weights, 27 of 32 sums, named by 5 bits
//   other 2-bit       3 weights, 64 sums, named by their codes, 6 bits
//   3-bit             2 weights, 64 sums, named by their codes, 6 bits
//
// Sums are int16 within a segment (activations are centred at 128 for that), then widen to int32.
//
// Layout: per row the int32 constant that undoes the centring; then [segment][panel][block] of
// three vectors per 32 rows of a panel. A 16-bit element of each has ⌊16/bits⌋ fields; of 6-bit
// fields, the top 4 bits of the three, from the first up, give two more, so that none is wasted.

#include <s3/kernel/shift_add/digits.hpp>
#include <s3/kernel/tile.hpp>

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
requires(has_pair<Arch>&& F::bits <= 3) struct pair {
    using arch = Arch;
    using staged = std::uint8_t;
    using sum = std::int32_t;

    static constexpr const char* name = "shift_add/pair";
    static constexpr int zero_point = 128;
    static constexpr int center = 128;

    static constexpr std::size_t lanes = 32; ///< rows of a vector
    static constexpr std::size_t panel_vectors = 4;
    static constexpr std::size_t panel_rows = panel_vectors * lanes;
    static constexpr std::size_t columns = 6; ///< of a register tile

    static constexpr std::size_t group = 6 / F::bits; ///< weights of a field
    /// Whether a table is one vector.
    static constexpr bool small = power(digits<F>::count, group) <= lanes;
    using numbers = std::conditional_t<small, digits<F>, raw_digits<F>>;
    static constexpr std::size_t table_size = small ? lanes : 2 * lanes;
    static constexpr int field_bits = small ? 5 : 6;
    static constexpr std::size_t per_vector = 16 / field_bits;
    static constexpr std::size_t fields = 3 * per_vector + (small ? 0 : 2); ///< of a block
    static constexpr std::size_t block_weights = fields * group;
    static constexpr std::size_t block_bytes = 3 * 64; ///< of 32 rows
    /// Blocks whose sums fit int16, and whose tables stay in the first-level cache.
    static constexpr std::size_t segment_blocks =
        std::min(32767 / (center * group * F::max_value) / fields,
                 32 * 1024 / (columns * fields * table_size * sizeof(std::int16_t)));
    static constexpr std::size_t segment_weights = segment_blocks * block_weights;

    /// Rows whose sums are kept at a time.
    static constexpr std::size_t row_block = 4096;

    static constexpr std::size_t panels(std::size_t m) { return (m + panel_rows - 1) / panel_rows; }
    static constexpr std::size_t vectors(std::size_t m) { return (m + lanes - 1) / lanes; }
    static constexpr std::size_t blocks(std::size_t k) {
        return (k + block_weights - 1) / block_weights;
    }
    static constexpr std::size_t layout_bytes(std::size_t m, std::size_t k) {
        return constants_bytes(m) +
               saturating_mul(saturating_mul(vectors(m), blocks(k)), block_bytes);
    }
    static void pack(const std::uint8_t* stream, std::size_t m, std::size_t k, std::uint8_t* to) {
        auto* constants = reinterpret_cast<std::int32_t*>(to);
        for (std::size_t row = 0; row < m; ++row) {
            std::int32_t all = 0;
            for (std::size_t b = 0; b < blocks(k); ++b) {
                std::uint8_t* block = to + block_offset(m, k, row / panel_rows, b) +
                                      (row % panel_rows / lanes) * 64 + row % lanes * 2;
                const auto put = [&](std::size_t vector, std::size_t bit, std::size_t value) {
                    std::uint8_t* at = block + vector * 64 * panel_width(m, row / panel_rows);
                    std::uint16_t word;
                    std::memcpy(&word, at, 2);
                    word = static_cast<std::uint16_t>(word | value << bit);
                    std::memcpy(at, &word, 2);
                };
                for (std::size_t f = 0; f < fields; ++f) {
                    std::size_t number = 0;
                    for (std::size_t i = group; i-- > 0;) {
                        const std::size_t column = b * block_weights + f * group + i;
                        const unsigned code =
                            column < k ? layout::get<F::bits>(stream, row * k + column) : 0;
                        number = number * numbers::count + numbers::of(code);
                        all += F::value(code);
                    }
                    if (f < 3 * per_vector)
                        put(f / per_vector, f % per_vector * field_bits, number);
                    else // 12 spare bits, of which this field has six
                        for (std::size_t v = 0; v < 3; ++v) {
                            const std::size_t spare = number << (f % 2 * 6) >> (4 * v) & 15;
                            put(v, 12, spare);
                        }
                }
            }
            constants[row] = center * all;
        }
    }

    static constexpr std::size_t scratch_bytes(std::size_t k, std::size_t) {
        return areas(k).bytes;
    }

    template <class Source, class Sink>
    static void run(const panel_view<sum>& w, const work_range& range, Source&& source, Sink&& sink,
                    std::byte* scratch) {
        const areas at(w.columns);
        auto* tables = reinterpret_cast<std::int16_t*>(scratch);
        auto* x = reinterpret_cast<staged*>(scratch + at.x);
        auto* sums = reinterpret_cast<sum*>(scratch + at.sums);
        constexpr std::size_t most = row_block / panel_rows;
        const std::size_t all = blocks(w.columns);
        for (std::size_t n = range.n_begin; n < range.n_end; n += columns) {
            const std::size_t count = std::min(columns, range.n_end - n);
            source(n, count, x, at.stride);
            for (std::size_t p = range.panel_begin; p < range.panel_end; p += most) {
                const std::size_t end = std::min(p + most, range.panel_end);
                begin(w, p, end, count, sums);
                for (std::size_t b = 0; b < all; b += segment_blocks) {
                    const std::size_t now = std::min(all - b, segment_blocks);
                    for (std::size_t c = 0; c < count; ++c)
                        build(x + c * at.stride + b * block_weights, now,
                              tables + c * column_tables);
                    for (std::size_t q = p; q < end; ++q)
                        add_tile<panel_vectors, columns>(
                            w.data + block_offset(w.rows, w.columns, q, b), now, tables,
                            panel_width(w.rows, q), count, sums + (q - p) * panel_rows * count);
                }
                for (std::size_t q = p; q < end; ++q) {
                    const std::size_t rows = std::min(panel_rows, w.rows - q * panel_rows);
                    for (std::size_t c = 0; c < count; ++c)
                        sink(n + c, q * panel_rows, rows,
                             sums + ((q - p) * count + c) * panel_rows);
                }
            }
        }
    }

private:
    static constexpr std::size_t column_tables = segment_blocks * fields * table_size;

    static constexpr std::size_t align(std::size_t bytes) {
        return bytes > std::numeric_limits<std::size_t>::max() - 63 ? bytes
                                                                    : (bytes + 63) / 64 * 64;
    }
    static constexpr std::size_t constants_bytes(std::size_t m) {
        return align(saturating_mul(m, sizeof(std::int32_t)));
    }
    /// Vectors across panel p: fewer in the last.
    static constexpr std::size_t panel_width(std::size_t m, std::size_t p) {
        return std::min(panel_vectors, vectors(m) - p * panel_vectors);
    }
    /// Where block b of panel p begins: segments lie one after the other.
    static constexpr std::size_t block_offset(std::size_t m, std::size_t k, std::size_t p,
                                              std::size_t b) {
        const std::size_t segment = b / segment_blocks * segment_blocks;
        const std::size_t in_segment = std::min(segment_blocks, blocks(k) - segment);
        return constants_bytes(m) +
               block_bytes * (segment * vectors(m) + p * panel_vectors * in_segment +
                              (b - segment) * panel_width(m, p));
    }

    /// What the scratch memory holds, by offset: tables first.
    struct areas {
        std::size_t stride, x, sums, bytes;
        constexpr explicit areas(std::size_t k) {
            stride = blocks(k) * block_weights + 64;
            x = columns * column_tables * sizeof(std::int16_t);
            sums = x + align(columns * stride);
            bytes = sums + row_block * columns * sizeof(sum);
        }
    };

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
        [[nodiscard]] S3_INLINE __m512i add(__m512i sum, __m512i x) const noexcept {
            if constexpr (F::exponents > 1)
                x = _mm512_sllv_epi16(x, _mm512_load_si512(shift));
            sum = _mm512_mask_add_epi16(sum, present & ~negative, sum, x);
            return negative == 0 ? sum : _mm512_mask_sub_epi16(sum, negative, sum, x);
        }
    };
    template <std::size_t I>
    static constexpr term<I> terms{};

    /// sums[panel][column][row] start from what does not depend on the activations.
    static void begin(const panel_view<sum>& w, std::size_t p, std::size_t end, std::size_t count,
                      sum* sums) {
        const auto* constants = reinterpret_cast<const std::int32_t*>(w.data);
        for (; p < end; ++p)
            for (std::size_t c = 0; c < count; ++c, sums += panel_rows) {
                const std::size_t row = p * panel_rows;
                const std::size_t rows = std::min(panel_rows, w.rows - row);
                for (std::size_t r = 0; r < rows; ++r)
                    sums[r] = constants[row + r] + (w.initial ? w.initial[row + r] : 0);
            }
    }

    /// Tables of `count` blocks of one column. The second vector of a table has the last weight's
    /// sign reversed.
    static S3_NOINLINE void build(const staged* S3_RESTRICT x, std::size_t count,
                                  std::int16_t* S3_RESTRICT tables) {
        std::uint32_t twice[segment_weights]; // a 32-bit broadcast needs no permutation
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

    /// Finds the instance for `width` vectors of rows and `count` columns.
    template <std::size_t R, std::size_t C>
    static S3_INLINE void add_tile(const std::uint8_t* data, std::size_t blocks,
                                   const std::int16_t* tables, std::size_t width, std::size_t count,
                                   sum* sums) {
        if constexpr (R > 1)
            if (width < R)
                return add_tile<R - 1, C>(data, blocks, tables, width, count, sums);
        if constexpr (C > 1)
            if (count < C)
                return add_tile<R, C - 1>(data, blocks, tables, width, count, sums);
        add_rows<R, C>(data, blocks, tables, sums);
    }

    /// partial[c][r] += the entry of column c's table that index[r] names.
    template <std::size_t R, std::size_t C>
    static S3_INLINE void look_up(__m512i (&partial)[C][R], const __m512i (&index)[R],
                                  const std::int16_t* table) {
        S3_UNROLL for (std::size_t c = 0; c < C; ++c) {
            const std::int16_t* t = table + c * column_tables;
            __m512i low = _mm512_load_si512(t), high = low;
            if constexpr (!small)
                high = _mm512_load_si512(t + lanes);
            asm volatile("" : "+v"(low), "+v"(high)); // one load for all rows
            S3_UNROLL for (std::size_t r = 0; r < R; ++r) {
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
        S3_UNROLL for (std::size_t f = 1; f < Count; ++f) {
            S3_UNROLL for (std::size_t r = 0; r < R; ++r) index[r] =
                _mm512_srli_epi16(index[r], field_bits);
            look_up(partial, index, table + f * table_size);
        }
    }

    /// sums[C][R] += the entries that `blocks` blocks of R vectors of rows name.
    template <std::size_t R, std::size_t C>
    static S3_NOINLINE void add_rows(const std::uint8_t* S3_RESTRICT data, std::size_t blocks,
                                     const std::int16_t* S3_RESTRICT tables,
                                     sum* S3_RESTRICT sums) {
        constexpr std::size_t prefetch = 8192;
        constexpr int choose = 0xca; // of vpternlogd: first ? second : third
        __m512i partial[C][R], index[R];
        S3_UNROLL for (std::size_t c = 0; c < C; ++c) S3_UNROLL for (std::size_t r = 0; r < R; ++r)
            partial[c][r] = _mm512_setzero_si512();
        for (; blocks > 0; --blocks, data += R * block_bytes, tables += fields * table_size) {
            S3_UNROLL for (std::size_t line = 0; line < R * block_bytes; line += 64)
                __builtin_prefetch(data + prefetch + line);
            S3_UNROLL for (std::size_t v = 0; v < 3; ++v) {
                S3_UNROLL for (std::size_t r = 0; r < R; ++r) index[r] =
                    _mm512_loadu_si512(data + (v * R + r) * 64);
                look_up_all<per_vector>(partial, index, tables + v * per_vector * table_size);
            }
            if constexpr (small)
                continue;
            S3_UNROLL for (std::size_t r = 0; r < R; ++r) {
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
        S3_UNROLL for (std::size_t c = 0; c < C; ++c)
            S3_UNROLL for (std::size_t r = 0; r < R; ++r) {
            sum* to = sums + c * panel_rows + r * lanes;
            const __m512i low = _mm512_cvtepi16_epi32(_mm512_castsi512_si256(partial[c][r]));
            const __m512i high = _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(partial[c][r], 1));
            _mm512_storeu_si512(to, _mm512_add_epi32(_mm512_loadu_si512(to), low));
            _mm512_storeu_si512(to + 16, _mm512_add_epi32(_mm512_loadu_si512(to + 16), high));
        }
    }
};

#else

template <shift_weight_format F, class Arch>
struct pair;

#endif

} // namespace s3::kernel
