#pragma once
// `shift_add` by byte shuffles, for few activation vectors, wherever 16 bytes can be looked up at
// once (pshufb, tbl). A field of four bits (two 2-bit weights, or one of 3 or 4 bits) selects one
// of 16 signed sums of activations, kept as a table of low bytes and one of high bytes. Tables are
// built by doubling and adding; there is no multiplication anywhere.
//
// A byte of the layout has the fields of two groups, the first one in its low four bits. A vector
// has the same two groups of all its rows, those of its first half in even bytes:
//
//   byte   0        1          2        3            …
//   row    0        lanes/2    1        lanes/2 + 1  …
//
// Looked-up bytes are summed as 16-bit lanes p, in two accumulators: Σp, and Σ(p >> 8), the sums of
// the odd bytes; the sums of the even bytes follow from both. Within a segment the whole sums fit
// int16, so arithmetic modulo 2^16 suffices and high bytes are simply added to each other as bytes.
// For 4-bit weights they do not fit, and both halves of a sum are kept apart.

#include <s3/format/shift.hpp>
#include <s3/kernel/parts/permute.hpp>
#include <s3/kernel/seams.hpp>
#include <s3/simd/bytes.hpp>

#include <bit>

namespace s3::kernel {

/// Whether `bytes_shuffle_unit` exists for this machine.
template <class Arch>
inline constexpr bool has_bytes_shuffle =
    simd::has_bytes<Arch>&& std::endian::native == std::endian::little;

template <shift_weight_format F, class Arch>
requires(has_bytes_shuffle<Arch>&& F::bits <= 4) struct bytes_shuffle_unit {
    using arch = Arch;
    using format = F;
    using numbers = raw_digits<F>;
    using bytes = simd::lanes<std::uint8_t, Arch>;
    using pairs = simd::lanes<std::uint16_t, Arch>;

    static constexpr int center = 128;

    using element = std::uint8_t;
    static constexpr std::size_t vector_bytes = Arch::vector_bytes;
    static constexpr std::size_t lanes = vector_bytes;
    static constexpr std::size_t half = lanes / 2;
    static constexpr std::size_t panel_vectors = 2;
    static constexpr std::size_t columns = 1;

    static constexpr std::size_t group = F::bits == 2 ? 2 : 1;
    static constexpr std::size_t block_vectors = 1;
    static constexpr std::size_t block_weights = 2 * group;
    /// Whether low and high bytes are summed without wrapping, each in 16 bits.
    static constexpr bool wide = F::bits == 4;
    /// The number added to a table's high bytes to make them unsigned.
    static constexpr std::size_t high_bias = wide ? 128 : 0;
    static constexpr std::size_t segment_blocks =
        (wide ? 65535 / 255 : 32767 / (center * group * F::max_value)) / 2;
    static constexpr std::size_t table_bytes = segment_blocks * 2 * 2 * vector_bytes;

    static constexpr std::size_t lane_of(std::size_t row) { return row % half * 2 + row / half; }
    static void encode(const std::size_t (&field)[2], element (&to)[block_vectors]) noexcept {
        to[0] = static_cast<element>(field[0] | field[1] << 4);
    }

    /// Builds the tables of `count` blocks: for each field a vector of low bytes and a vector of
    /// high bytes, in which the 16 entries repeat every 16 bytes.
    static S3_NOINLINE void build(const std::uint8_t* S3_RESTRICT x, std::size_t count,
                                  std::byte* S3_RESTRICT table) {
        for (std::size_t f = 0; f < 2 * count; ++f, x += group, table += 2 * vector_bytes) {
            unsigned sum[16] = {};
            std::size_t filled = 1;
            for (std::size_t i = 0; i < group; ++i, filled *= F::codes) {
                unsigned shifted[F::exponents] = {x[i] - unsigned{center}};
                for (std::size_t e = 1; e < F::exponents; ++e)
                    shifted[e] = shifted[e - 1] + shifted[e - 1];
                for (unsigned code = F::codes; code-- > 0;) {
                    const triple t = numbers::value(code);
                    const unsigned by =
                        t.sparse != 0 ? shifted[static_cast<std::size_t>(t.shift)] : 0;
                    for (std::size_t j = 0; j < filled; ++j)
                        sum[code * filled + j] = t.sign < 0 ? sum[j] - by : sum[j] + by;
                }
            }
            std::uint8_t low[16], high[16];
            for (std::size_t i = 0; i < 16; ++i) {
                low[i] = static_cast<std::uint8_t>(sum[i]);
                high[i] = static_cast<std::uint8_t>((sum[i] >> 8) + high_bias);
            }
            for (std::size_t i = 0; i < vector_bytes; i += 16) {
                std::memcpy(table + i, low, 16);
                std::memcpy(table + vector_bytes + i, high, 16);
            }
        }
    }

    /// Adds to sums[row], for R vectors of rows, the table entries that the fields of `blocks`
    /// blocks select.
    template <std::size_t R, std::size_t C>
    static S3_NOINLINE void add_rows(const std::uint8_t* S3_RESTRICT data, std::size_t blocks,
                                     const std::byte* S3_RESTRICT tables,
                                     std::int32_t* S3_RESTRICT sums) {
        constexpr std::size_t prefetch = 8192;
        const auto field = simd::broadcast<std::uint8_t, Arch>(15);
        const auto* table = reinterpret_cast<const std::uint8_t*>(tables);
        const std::size_t bias = 2 * blocks * high_bias;
        byte_sum low[R];
        high_sum high[R];
        for (; blocks > 0; --blocks, data += R * vector_bytes, table += 4 * vector_bytes)
            S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r) {
                __builtin_prefetch(data + prefetch + r * vector_bytes);
                const bytes codes = simd::load<std::uint8_t, Arch>(data + r * vector_bytes);
                const bytes first = codes & field;
                const bytes second =
                    simd::as<std::uint8_t>(pairs(simd::as<std::uint16_t>(codes) >> 4)) & field;
                low[r].add(look_up(table, first));
                high[r].add(look_up(table + vector_bytes, first));
                low[r].add(look_up(table + 2 * vector_bytes, second));
                high[r].add(look_up(table + 3 * vector_bytes, second));
            }
        S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r) {
            std::uint16_t l[2][half], h[2][half];
            low[r].store(l);
            high[r].store(h);
            for (std::size_t odd = 0; odd < 2; ++odd)
                for (std::size_t i = 0; i < half; ++i) {
                    std::int32_t more;
                    if constexpr (wide)
                        more = l[odd][i] + ((h[odd][i] - static_cast<std::int32_t>(bias)) << 8);
                    else
                        more = static_cast<std::int16_t>(l[odd][i] + (h[odd][i] << 8));
                    std::int32_t& to = sums[r * lanes + odd * half + i];
                    to = static_cast<std::int32_t>(static_cast<std::uint32_t>(to) +
                                                   static_cast<std::uint32_t>(more)); // as vectors
                }
        }
    }

private:
    /// Sums of bytes, kept in 16 bits. store() separates the sums of even bytes from those of odd
    /// bytes.
    struct byte_sum {
        pairs all = simd::broadcast<std::uint16_t, Arch>(0);
        pairs odd = simd::broadcast<std::uint16_t, Arch>(0);

        S3_INLINE void add(const bytes& v) noexcept {
            const pairs p = simd::as<std::uint16_t>(v);
            all = all + p;
            odd = odd + (p >> 8);
        }
        S3_INLINE void store(std::uint16_t (&to)[2][half]) const noexcept {
            simd::store<Arch>(to[0], pairs(all - (odd << 8)));
            simd::store<Arch>(to[1], odd);
        }
    };
    /// Sums of bytes modulo 256; store() separates even bytes from odd ones as above.
    struct wrapped_sum {
        bytes all = simd::broadcast<std::uint8_t, Arch>(0);

        S3_INLINE void add(const bytes& v) noexcept { all = all + v; }
        S3_INLINE void store(std::uint16_t (&to)[2][half]) const noexcept {
            const pairs p = simd::as<std::uint16_t>(all);
            simd::store<Arch>(to[0], p);
            simd::store<Arch>(to[1], pairs(p >> 8));
        }
    };
    using high_sum = std::conditional_t<wide, byte_sum, wrapped_sum>;

    static S3_INLINE bytes look_up(const std::uint8_t* table, const bytes& index) noexcept {
        return simd::look_up16<Arch>(simd::load<std::uint8_t, Arch>(table), index);
    }
};

/// It serves batches that are too small to fill the lanes of tables, and is slower than
/// permutations of 16-bit lanes, where the machine has those.
template <weight_format F, activation X, architecture Arch>
struct shift_add_bytes_shuffle {
    static constexpr const char* name = "shift_add_bytes_shuffle";
    static constexpr s3::family family = s3::family::shift_add;
    static constexpr bool exists = [] {
        if constexpr (F::is_shift)
            return std::integral<X> && has_bytes_shuffle<Arch> && F::bits <= 4;
        else
            return false;
    }();
    /// Whether it may be faster than the multiplier.
    static constexpr bool may_win = std::is_same_v<F, ternary> && !simd::has_quad_dot<Arch>;
    static constexpr rank_range ranks{60, may_win&& Arch::vector_bytes < 32 ? 110 : 65};
    static constexpr int rank(const product_request& r) noexcept {
        if (r.batch >= 16)
            return 60;
        return may_win && r.batch >= Arch::vector_bytes / 2 && r.rows >= 256 ? 110 : 65;
    }
    static auto loop() { return std::type_identity<permuted<bytes_shuffle_unit<F, Arch>>>{}; }
};

} // namespace s3::kernel
