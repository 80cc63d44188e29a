#pragma once
// `shift_add` of ternary weights with activations of at most 4 bits, by tables of partial sums in
// byte lanes: twice as many columns per addition as 16-bit lanes have. An entry is the signed sum
// of G activations plus a bias that makes it unsigned; two entries fit a byte. Their sum s, seen as
// 16-bit lanes, is added to one accumulator, and s >> 8 to another: the second holds the sums of
// the odd lanes, and 2^8 times those taken from the first leaves those of the even ones.
//
// Staged activations are bytes of which the low four bits count, so that int8 activations of four
// bits may be staged as x ^ 8. Layout: per block of `groups` groups and row, `words` 64-bit words
// with a field for each group, the number of its table entry.

#include <s3/kernel/shift_add/digits.hpp>
#include <s3/kernel/shift_add/transpose.hpp>
#include <s3/kernel/tile.hpp>

namespace s3::kernel {

#if S3_HAS_SIMD

template <shift_weight_format F, class Arch, std::size_t Group = Arch::vector_bytes<64 ? 4 : 3>
requires(digits<F>::count == 3 && Arch::vector_bytes >= 16 &&
         std::endian::native == std::endian::little) struct byte_table {
    using arch = Arch;
    using staged = std::uint8_t;
    using sum = std::int32_t;
    using vector = simd::lanes<std::uint8_t, Arch>;
    using half_vector = simd::lanes<std::uint16_t, Arch>;

    static constexpr const char* name = "shift_add/byte_table";
    static constexpr int activation_bits = 4;
    static constexpr int zero_point = 8;

    static constexpr std::size_t width = sizeof(vector);
    static constexpr std::size_t vectors = entry_vectors<Arch>;
    static constexpr std::size_t lanes = vectors * width;
    static constexpr std::size_t entries = power(3, Group);
    static constexpr std::size_t table_bytes = entries * lanes;
    template <std::size_t V>
    using numbers_of = entry_fields<entries, V * width>;
    using numbers = numbers_of<vectors>;

    static constexpr std::size_t largest = (1 << activation_bits) - 1;
    static constexpr std::size_t bias = Group * largest;
    static_assert(2 * 2 * bias <= 255);

    /// Groups of a block: their tables stay in the first-level cache, or nearly: what spills over
    /// costs less than storing and loading sums more often.
    static constexpr std::size_t groups = numbers::groups(41 * 1024 / table_bytes);
    static constexpr std::size_t words = numbers::words(groups);
    static constexpr std::size_t block_weights = groups * Group;
    /// Blocks whose sums fit 16 bits.
    static constexpr std::size_t blocks_per_segment = 65535 / (2 * bias * groups);

    /// Rows whose sums are kept at a time.
    static constexpr std::size_t row_block = 2048;
    static constexpr std::size_t panel_rows = 16;
    static constexpr std::size_t emit_rows = 128;

    static constexpr std::size_t panels(std::size_t m) { return (m + panel_rows - 1) / panel_rows; }
    static constexpr std::size_t blocks(std::size_t k) {
        return std::max<std::size_t>((k + block_weights - 1) / block_weights, 1);
    }
    static constexpr std::size_t layout_bytes(std::size_t m, std::size_t k) {
        return saturating_mul(saturating_mul(m, blocks(k)), words * sizeof(std::uint64_t));
    }
    static void pack(const std::uint8_t* stream, const std::int64_t*, std::size_t m, std::size_t k,
                     std::uint8_t* to) {
        pack_fields<F, Group, groups, numbers>(stream, m, k, blocks(k),
                                               reinterpret_cast<std::uint64_t*>(to));
    }

    static constexpr std::size_t scratch_bytes(std::size_t k, std::size_t) {
        return areas(k).bytes;
    }

    template <class Source, class Sink>
    static void run(const panel_view<sum>& w, const work_range& range, Source&& source, Sink&& sink,
                    std::byte* scratch) {
        for (std::size_t n = range.n_begin; n < range.n_end; n += lanes) {
            const std::size_t count = std::min(lanes, range.n_end - n);
            if (count > width)
                add_columns<vectors>(w, range, n, count, source, sink, scratch);
            else
                add_columns<1>(w, range, n, count, source, sink, scratch);
        }
    }

private:
    static constexpr std::size_t align(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

    /// What the scratch memory holds, by offset: tables first.
    struct areas {
        std::size_t stride, columns, transposed, partial, sums, turned, bytes;
        constexpr explicit areas(std::size_t k) {
            // Whole blocks, whole tiles of the transposition, and no power of two.
            stride = (blocks(k) * block_weights + 15) / 16 * 16 + 64;
            columns = align(groups * table_bytes);
            transposed = columns + align(lanes * stride);
            partial = transposed + align(lanes * stride);
            sums = partial + row_block * 2 * lanes;
            turned = sums + row_block * lanes * sizeof(sum);
            bytes = turned + emit_rows * lanes * sizeof(sum);
        }
    };

    /// `count` columns from n on, in V vectors.
    template <std::size_t V, class Source, class Sink>
    static void add_columns(const panel_view<sum>& w, const work_range& range, std::size_t n,
                            std::size_t count, Source&& source, Sink&& sink, std::byte* scratch) {
        constexpr std::size_t all = V * width;
        const areas at(w.columns);
        auto* columns = reinterpret_cast<staged*>(scratch + at.columns);
        auto* x = reinterpret_cast<staged*>(scratch + at.transposed);
        auto* sums = reinterpret_cast<sum*>(scratch + at.sums);
        auto* turned = reinterpret_cast<sum*>(scratch + at.turned);
        const std::size_t row_end = std::min(range.panel_end * panel_rows, w.rows);
        source(n, count, columns, at.stride);
        std::fill(columns + count * at.stride, columns + all * at.stride, staged{0});
        transpose(columns, at.stride, x, all, all, at.stride);
        for (std::size_t row = range.panel_begin * panel_rows; row < row_end; row += row_block) {
            const std::size_t rows = std::min(row_block, row_end - row);
            accumulate<V>(w, row, rows, x, scratch, sums);
            for (std::size_t r = 0; r < rows; r += emit_rows) {
                const std::size_t some = std::min(emit_rows, rows - r);
                transpose(sums + r * all, all, turned, emit_rows, (some + 3) / 4 * 4, all);
                // Sums lie in the order in which lanes were split: even ones first.
                for (std::size_t c = 0; c < count; ++c)
                    sink(n + c, row + r, some, turned + (c / 2 + c % 2 * (all / 2)) * emit_rows);
            }
        }
    }

    /// sums[row][lanes] of `rows` rows: initial + Σ w·x.
    template <std::size_t V>
    static void accumulate(const panel_view<sum>& w, std::size_t row, std::size_t rows,
                           const staged* x, std::byte* scratch, sum* sums) {
        constexpr std::size_t all_lanes = V * width;
        const std::size_t all = blocks(w.columns);
        const auto offset = static_cast<std::uint32_t>(all * groups * bias);
        auto* tables = reinterpret_cast<std::uint8_t*>(scratch);
        auto* partial = reinterpret_cast<std::uint16_t*>(scratch + areas(w.columns).partial);
        const auto* fields = reinterpret_cast<const std::uint64_t*>(w.data) + row * words;
        for (std::size_t b = 0; b < all; ++b, fields += w.rows * words) {
            build<V>(x + b * block_weights * all_lanes, tables);
            const std::size_t in_segment = b % blocks_per_segment;
            if (in_segment == 0)
                add_rows<V, true>(fields, tables, partial, rows);
            else
                add_rows<V, false>(fields, tables, partial, rows);
            if (in_segment + 1 == blocks_per_segment || b + 1 == all)
                for (std::size_t r = 0; r < rows; ++r) {
                    const sum initial = w.initial ? w.initial[row + r] : 0;
                    widen<all_lanes / 2>(
                        partial + r * all_lanes, sums + r * all_lanes, b < blocks_per_segment,
                        static_cast<sum>(static_cast<std::uint32_t>(initial) - offset));
                }
        }
    }

    /// tables[g][entry][V] for one block, from x[k][lanes].
    template <std::size_t V>
    static S3_NOINLINE void build(const staged* S3_RESTRICT x, std::uint8_t* S3_RESTRICT tables) {
        constexpr std::size_t all = V * width;
        const auto low_bits = simd::broadcast<std::uint8_t, Arch>(largest);
        for (std::size_t g = 0; g < groups; ++g, tables += entries * all)
            for (std::size_t v = 0; v < V; ++v) {
                const staged* from = x + g * Group * all + v * width;
                std::uint8_t* table = tables + v * width;
                std::size_t filled = 1;
                simd::store<Arch>(table, simd::broadcast<std::uint8_t, Arch>(bias));
                for (std::size_t i = 0; i < Group; ++i, from += all, filled *= 3) {
                    const vector by = simd::load<std::uint8_t, Arch>(from) & low_bits;
                    for (std::size_t j = 0; j < filled; ++j) {
                        const vector old = simd::load<std::uint8_t, Arch>(table + j * all);
                        simd::store<Arch>(table + (filled + j) * all, vector(old + by));
                        simd::store<Arch>(table + (2 * filled + j) * all, vector(old - by));
                    }
                }
            }
    }

    /// partial[row][2][V] (+)= the entries that a block's fields name: all lanes, and the odd ones.
    template <std::size_t V, bool Fresh>
    static S3_NOINLINE void add_rows(const std::uint64_t* S3_RESTRICT fields,
                                     const std::uint8_t* S3_RESTRICT tables,
                                     std::uint16_t* S3_RESTRICT partial, std::size_t rows) {
        constexpr std::size_t half = width / 2;
        for (; rows > 0; --rows, fields += words, partial += V * width) {
            half_vector sums[2 * V];
            S3_UNROLL for (std::size_t i = 0; i < 2 * V; ++i) sums[i] =
                Fresh ? simd::broadcast<std::uint16_t, Arch>(0)
                      : simd::load<std::uint16_t, Arch>(partial + i * half);
            simd::unrolled<static_cast<int>((groups + 1) / 2)>([&](
                auto pair) __attribute__((always_inline)) {
                constexpr std::size_t g = 2 * pair;
                const std::uint8_t* first = entry<V, g>(fields, tables);
                const std::uint8_t* second = nullptr;
                if constexpr (g + 1 < groups)
                    second = entry<V, g + 1>(fields, tables);
                S3_UNROLL for (std::size_t v = 0; v < V; ++v) {
                    vector s = simd::load<std::uint8_t, Arch>(first + v * width);
                    if constexpr (g + 1 < groups)
                        s = s + simd::load<std::uint8_t, Arch>(second + v * width);
                    const half_vector pairs = simd::as<std::uint16_t>(s);
                    sums[v] = sums[v] + pairs;
                    sums[V + v] = sums[V + v] + (pairs >> 8);
                }
            });
            S3_UNROLL for (std::size_t i = 0; i < 2 * V; ++i)
                simd::store<Arch>(partial + i * half, sums[i]);
        }
    }
    template <std::size_t V, std::size_t G>
    [[nodiscard]] static S3_INLINE const std::uint8_t* entry(const std::uint64_t* fields,
                                                             const std::uint8_t* tables) noexcept {
        return tables + G * entries * V * width + numbers_of<V>::template offset<G>(fields);
    }

    /// sums += partial, or start + partial; even lanes before odd ones.
    template <std::size_t Half>
    static S3_INLINE void widen(const std::uint16_t* S3_RESTRICT partial, sum* S3_RESTRICT sums,
                                bool fresh, sum start) {
        for (std::size_t l = 0; l < Half; ++l) {
            const unsigned odd = partial[Half + l];
            const auto even = static_cast<std::uint16_t>(partial[l] - (odd << 8));
            sums[l] = (fresh ? start : sums[l]) + even;
            sums[Half + l] = (fresh ? start : sums[Half + l]) + static_cast<sum>(odd);
        }
    }
};

#endif

} // namespace s3::kernel
