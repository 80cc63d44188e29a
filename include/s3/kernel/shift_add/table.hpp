#pragma once
// `shift_add` by tables of partial sums: lanes are columns of activations. For each group of G
// consecutive weights every possible signed sum of the G activations is built by doubling and
// adding (Dⁿ entries, D the number of values of the format); then one addition per row and group
// takes the right entry. No multiplication anywhere.
//
//   ternary  G = 3 or 4, 27 or 81 entries      shift3  G = 2, 49 entries
//   dense2   G = 3, 64 entries                 dense3  G = 2, 64 entries      4, 5 bits  G = 1
//
// Lanes are int16 where sums of many groups fit it (activations are centred at 128 for that, and
// widened to int32 once per segment), else uint32 (modulo 2^32), or float.
//
// Layout: per row the int32 constant that undoes the centring; then, per block of `groups` groups
// and row, `words` 64-bit words with a field for each group, the number of its table entry.

#include <s3/kernel/shift_add/digits.hpp>
#include <s3/kernel/shift_add/transpose.hpp>
#include <s3/kernel/tile.hpp>

#include <algorithm>
#include <limits>

namespace s3::kernel {

/// Weights of a group: more of them save additions, but their table costs Dⁿ to build. The wider
/// the vectors, the fewer groups' tables fit the cache.
template <shift_weight_format F, class Arch>
inline constexpr std::size_t group_size = F::bits == 2
                                              ? (F::has_zero&& Arch::vector_bytes < 64 ? 4 : 3)
                                          : F::bits == 3 ? 2
                                                         : 1;

template <shift_weight_format F, class Arch, class Lane, std::size_t Group = group_size<F, Arch>>
requires(std::same_as<Lane, std::int16_t>&& Group* F::max_value <= 32) ||
    std::same_as<Lane, std::uint32_t> || std::same_as<Lane, float> struct table {
    using arch = Arch;
    using staged = std::conditional_t<std::same_as<Lane, float>, float, std::uint8_t>;
    using sum = std::conditional_t<std::same_as<Lane, float>, float, std::int32_t>;
    using vector = simd::lanes<Lane, Arch>;

    static constexpr const char* name = "shift_add/table";
    static constexpr bool narrow = std::same_as<Lane, std::int16_t>;
    static constexpr int zero_point = std::same_as<Lane, float> ? 0 : 128;
    static constexpr int center = narrow ? 128 : 0;

    static constexpr std::size_t width = sizeof(vector) / sizeof(Lane);
    static constexpr std::size_t vectors = entry_vectors<Arch>;
    static constexpr std::size_t lanes = vectors * width;
    static constexpr std::size_t values = digits<F>::count;
    static constexpr std::size_t entries = power(values, Group);
    static constexpr std::size_t table_bytes = entries * vectors * sizeof(vector);

    template <std::size_t V>
    using numbers_of = entry_fields<entries, V * sizeof(vector)>;
    using numbers = numbers_of<vectors>;

    /// Groups whose sums fit a lane.
    static constexpr std::size_t groups_fit =
        narrow ? std::size_t{32767} / (128 * Group * F::max_value)
               : std::numeric_limits<std::size_t>::max();
    /// Groups of a block: their tables stay in the first-level cache, or nearly: what spills over
    /// costs less than storing and loading sums more often.
    static constexpr std::size_t groups =
        numbers::groups(std::min(42 * 1024 / table_bytes, groups_fit));
    static constexpr std::size_t words = numbers::words(groups);
    static constexpr std::size_t block_weights = groups * Group;
    static constexpr std::size_t blocks_per_segment = groups_fit / groups;

    /// Rows whose sums are kept at a time.
    static constexpr std::size_t row_block = 2048;
    static constexpr std::size_t panel_rows = 16;
    static constexpr std::size_t emit_rows = 128;

    static constexpr std::size_t panels(std::size_t m) { return (m + panel_rows - 1) / panel_rows; }
    static constexpr std::size_t blocks(std::size_t k) {
        return std::max<std::size_t>((k + block_weights - 1) / block_weights, 1);
    }
    static constexpr std::size_t layout_bytes(std::size_t m, std::size_t k) {
        return align(saturating_mul(m, sizeof(std::int32_t))) +
               saturating_mul(saturating_mul(m, blocks(k)), words * sizeof(std::uint64_t));
    }
    static void pack(const std::uint8_t* stream, const std::int64_t* row_sums, std::size_t m,
                     std::size_t k, std::uint8_t* to) {
        auto* constants = reinterpret_cast<std::int32_t*>(to);
        for (std::size_t row = 0; row < m; ++row)
            constants[row] = centring<F>(center, row_sums[row], blocks(k) * block_weights - k);
        pack_fields<F, Group, groups, numbers>(
            stream, m, k, blocks(k),
            reinterpret_cast<std::uint64_t*>(to + align(m * sizeof(std::int32_t))));
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
    using lane_sum = std::conditional_t<std::same_as<Lane, float>, float, std::uint32_t>;

    static constexpr std::size_t align(std::size_t bytes) {
        return bytes > std::numeric_limits<std::size_t>::max() - 63 ? bytes
                                                                    : (bytes + 63) / 64 * 64;
    }

    /// What the scratch memory holds, by offset: tables first.
    struct areas {
        std::size_t stride, columns, transposed, partial, sums, turned, bytes;
        constexpr explicit areas(std::size_t k) {
            // Whole blocks, whole tiles of the transposition, and no power of two.
            stride = (blocks(k) * block_weights + 15) / 16 * 16 + 64 / sizeof(staged);
            columns = align(groups * table_bytes);
            transposed = columns + align(lanes * stride * sizeof(staged));
            partial = transposed + align(lanes * stride * sizeof(staged));
            sums = partial + (narrow ? row_block * lanes * sizeof(Lane) : 0);
            turned = sums + row_block * lanes * sizeof(lane_sum);
            bytes = turned + emit_rows * lanes * sizeof(lane_sum);
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
        auto* sums = reinterpret_cast<lane_sum*>(scratch + at.sums);
        auto* turned = reinterpret_cast<lane_sum*>(scratch + at.turned);
        const std::size_t row_end = std::min(range.panel_end * panel_rows, w.rows);
        source(n, count, columns, at.stride);
        std::fill(columns + count * at.stride, columns + all * at.stride, staged(0));
        transpose(columns, at.stride, x, all, all, at.stride);
        for (std::size_t row = range.panel_begin * panel_rows; row < row_end; row += row_block) {
            const std::size_t rows = std::min(row_block, row_end - row);
            accumulate<V>(w, row, rows, x, scratch, sums);
            for (std::size_t r = 0; r < rows; r += emit_rows) {
                const std::size_t some = std::min(emit_rows, rows - r);
                transpose(sums + r * all, all, turned, emit_rows, (some + 3) / 4 * 4, all);
                for (std::size_t c = 0; c < count; ++c)
                    sink(n + c, row + r, some,
                         reinterpret_cast<const sum*>(turned + c * emit_rows));
            }
        }
    }

    /// sums[row][lanes] of `rows` rows: initial + Σ w·x.
    template <std::size_t V>
    static void accumulate(const panel_view<sum>& w, std::size_t row, std::size_t rows,
                           const staged* x, std::byte* scratch, lane_sum* sums) {
        const auto* constants = reinterpret_cast<const std::int32_t*>(w.data);
        const auto* fields =
            reinterpret_cast<const std::uint64_t*>(w.data + align(w.rows * sizeof(std::int32_t))) +
            row * words;
        auto* tables = reinterpret_cast<Lane*>(scratch);
        auto* partial = reinterpret_cast<Lane*>(scratch + areas(w.columns).partial);
        const auto start = [&](std::size_t r) {
            const auto initial = static_cast<lane_sum>(w.initial ? w.initial[row + r] : sum(0));
            return narrow ? initial + static_cast<lane_sum>(constants[row + r]) : initial;
        };
        constexpr std::size_t all = V * width;
        for (std::size_t r = 0; r < rows; ++r)
            std::fill_n(sums + r * all, all, start(r));
        const std::size_t end = blocks(w.columns);
        for (std::size_t b = 0; b < end; ++b) {
            build<V>(x + b * block_weights * all, tables);
            const std::uint64_t* now = fields + b * w.rows * words;
            if constexpr (narrow) {
                const std::size_t in_segment = b % blocks_per_segment;
                if (in_segment == 0)
                    add_rows<V, true>(now, tables, partial, rows);
                else
                    add_rows<V, false>(now, tables, partial, rows);
                if (in_segment + 1 == blocks_per_segment || b + 1 == end)
                    widen(partial, sums, rows * all);
            } else {
                add_rows<V, false>(now, tables, sums, rows);
            }
        }
    }

    /// tables[g][entry][V] for one block, from x[k][lanes]. Entry Σ digit_i·D^i is Σ
    /// value(digit_i)·x_i.
    template <std::size_t V>
    static S3_NOINLINE void build(const staged* S3_RESTRICT x, Lane* S3_RESTRICT tables) {
        constexpr std::size_t all = V * width;
        for (std::size_t g = 0; g < groups; ++g, x += Group * all, tables += entries * all)
            for (std::size_t v = 0; v < V; ++v)
                build_vector<all>(x + v * width, tables + v * width);
    }
    template <std::size_t Apart>
    static S3_INLINE void build_vector(const staged* S3_RESTRICT x, Lane* S3_RESTRICT table) {
        std::size_t filled = 1;
        simd::store<Arch>(table, vector(Lane(0)));
        for (std::size_t i = 0; i < Group; ++i, x += Apart) {
            Lane wide[width];
            for (std::size_t l = 0; l < width; ++l)
                wide[l] = static_cast<Lane>(x[l] - static_cast<staged>(center));
            vector shifted[F::exponents];
            shifted[0] = simd::load<Lane, Arch>(wide);
            for (std::size_t e = 1; e < F::exponents; ++e)
                shifted[e] = static_cast<vector>(shifted[e - 1] + shifted[e - 1]);
            // Digit 0 comes last: it overwrites what the others are made from.
            for (unsigned d = values; d-- > (F::has_zero ? 1 : 0);) {
                const triple t = digits<F>::value(d);
                const vector by = shifted[static_cast<std::size_t>(t.shift)];
                for (std::size_t j = 0; j < filled; ++j) {
                    const vector old = simd::load<Lane, Arch>(table + j * Apart);
                    simd::store<Arch>(table + (d * filled + j) * Apart,
                                      static_cast<vector>(t.sign > 0 ? old + by : old - by));
                }
            }
            filled *= values;
        }
    }

    /// sums[row][V] (+)= the entries that a block's fields name.
    template <std::size_t V, bool Fresh>
    static S3_NOINLINE void add_rows(const std::uint64_t* S3_RESTRICT fields,
                                     const Lane* S3_RESTRICT tables, Lane* S3_RESTRICT sums,
                                     std::size_t rows) {
        constexpr std::size_t entry_bytes = V * sizeof(vector);
        const auto* base = reinterpret_cast<const std::byte*>(tables);
        for (; rows > 0; --rows, fields += words, sums += V * width) {
            vector s[V];
            S3_UNROLL for (std::size_t v = 0; v < V; ++v) s[v] =
                Fresh ? vector(Lane(0)) : simd::load<Lane, Arch>(sums + v * width);
            simd::unrolled<static_cast<int>(groups)>([&](
                auto group) __attribute__((always_inline)) {
                constexpr std::size_t g = group;
                const auto* entry = reinterpret_cast<const Lane*>(
                    base + g * entries * entry_bytes + numbers_of<V>::template offset<g>(fields));
                S3_UNROLL for (std::size_t v = 0; v < V; ++v) s[v] =
                    static_cast<vector>(s[v] + simd::load<Lane, Arch>(entry + v * width));
            });
            S3_UNROLL for (std::size_t v = 0; v < V; ++v) simd::store<Arch>(sums + v * width, s[v]);
        }
    }

    /// sums += partial. A call of its own: inlined, compilers do not make vectors of it.
    static S3_NOINLINE void widen(const Lane* S3_RESTRICT partial, lane_sum* S3_RESTRICT sums,
                                  std::size_t count) {
        for (std::size_t i = 0; i < count; i += width)
            for (std::size_t l = 0; l < width; ++l)
                sums[i + l] += static_cast<lane_sum>(std::int32_t{partial[i + l]});
    }
};

} // namespace s3::kernel
