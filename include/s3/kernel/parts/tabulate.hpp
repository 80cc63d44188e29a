#pragma once
// What kernels that add entries of tables share. Lanes are columns (activation vectors), which are
// transposed for that. Tables hold each signed sum of a group of activations, and a row takes one
// addition per group, of the entry that its weights select. A unit says what lanes are, how tables
// are built and how entries are added:
//
//   format, zero_point, center  as every kernel's; what activations are centred at
//   staged, entry, partial      types of staged activations, of table entries, of add_rows' sums
//   sum, lane_of<V>(column)     the type that sinks get, and the lane of a column's sum
//   width, vectors, group       lanes of a vector, vectors of an entry, weights of a group
//   numbers, groups             fields of table entries, and how many tables a block has
//   table_bytes, bias           bytes of a table; what is added to each entry to make it unsigned
//   segment_blocks              blocks whose sums fit `partial`; 0 if it is as wide as `sum`
//   build<V>(…)                 builds tables[groups][entries][V] of a block from x[k][V]
//   add_rows<V, Fresh>(…)       adds the selected entries to partial[rows][V], or sets it to them
//   widen<V, Fresh>(…)          adds `partial` to the sums, or to start(row): once per segment
//
// Layout: if activations are centred, first an int32 constant per row, which undoes that; then
// [block of `groups` groups][row][64-bit words], which have a field for each group: the number of
// its table entry.

#include <s3/kernel/parts/group_index.hpp>
#include <s3/kernel/parts/panel_product.hpp>
#include <s3/simd/transpose.hpp>

#include <algorithm>
#include <limits>

namespace s3::kernel {

template <class Unit>
struct tabulated : Unit {
    using format = typename Unit::format;
    using staged = typename Unit::staged;
    using sum = typename Unit::sum;
    using entry = typename Unit::entry;
    using partial = typename Unit::partial;

    static constexpr std::size_t lanes = Unit::vectors * Unit::width;
    static constexpr std::size_t words = Unit::numbers::words(Unit::groups);
    static constexpr std::size_t block_weights = Unit::groups * Unit::group;

    /// The number of rows whose sums are kept at a time.
    static constexpr std::size_t row_block = 2048;
    static constexpr std::size_t panel_rows = 16;
    static constexpr std::size_t emit_rows = 128;

    static constexpr std::size_t panels(std::size_t m) { return (m + panel_rows - 1) / panel_rows; }
    static constexpr std::size_t blocks(std::size_t k) {
        return std::max<std::size_t>((k + block_weights - 1) / block_weights, 1);
    }
    static constexpr std::size_t layout_bytes(std::size_t m, std::size_t k) {
        return saturating_add(constants_bytes(m), saturating_mul(saturating_mul(m, blocks(k)),
                                                                 words * sizeof(std::uint64_t)));
    }
    static void pack(const std::uint8_t* stream, const std::int64_t* row_sums, std::size_t m,
                     std::size_t k, std::uint8_t* to) {
        auto* constants = reinterpret_cast<std::int32_t*>(to);
        for (std::size_t row = 0; centred && row < m; ++row)
            constants[row] =
                centring<format>(Unit::center, row_sums[row], blocks(k) * block_weights - k);
        pack_fields<format, Unit::group, Unit::groups, typename Unit::numbers>(
            stream, m, k, blocks(k), reinterpret_cast<std::uint64_t*>(to + constants_bytes(m)));
    }

    static constexpr std::size_t scratch_bytes(std::size_t k, std::size_t) {
        return areas(k).bytes;
    }

    template <class Source, class Sink>
    static void run(const panel_view<sum>& w, const work_range& range, Source&& source, Sink&& sink,
                    std::byte* scratch) {
        for (std::size_t n = range.n_begin; n < range.n_end; n += lanes) {
            const std::size_t count = std::min(lanes, range.n_end - n);
            if (count > Unit::width)
                add_columns<Unit::vectors>(w, range, n, count, source, sink, scratch);
            else
                add_columns<1>(w, range, n, count, source, sink, scratch);
        }
    }

private:
    static constexpr bool centred = Unit::center != 0, segmented = Unit::segment_blocks > 0;

    static constexpr std::size_t constants_bytes(std::size_t m) {
        return centred ? row_constants_bytes(m) : 0;
    }

    /// The offsets, in bytes, of the areas of scratch memory. Tables come first.
    struct areas {
        std::size_t stride, columns, transposed, partials, sums, turned, bytes;
        constexpr explicit areas(std::size_t k) {
            // Whole blocks and whole squares of the transposition; a line more, to avoid powers of
            // two.
            stride = (blocks(k) * block_weights + 15) / 16 * 16 + 64 / sizeof(staged);
            columns = whole_lines(Unit::groups * Unit::table_bytes);
            transposed = columns + whole_lines(lanes * stride * sizeof(staged));
            partials = transposed + whole_lines(lanes * stride * sizeof(staged));
            sums = partials + (segmented ? row_block * lanes * sizeof(partial) : 0);
            turned = sums + row_block * lanes * sizeof(sum);
            bytes = turned + emit_rows * lanes * sizeof(sum);
        }
    };

    /// Computes `count` columns from n on, in V vectors.
    template <std::size_t V, class Source, class Sink>
    static void add_columns(const panel_view<sum>& w, const work_range& range, std::size_t n,
                            std::size_t count, Source&& source, Sink&& sink, std::byte* scratch) {
        constexpr std::size_t all = V * Unit::width;
        const areas at(w.columns);
        auto* columns = reinterpret_cast<staged*>(scratch + at.columns);
        auto* x = reinterpret_cast<staged*>(scratch + at.transposed);
        auto* sums = reinterpret_cast<sum*>(scratch + at.sums);
        auto* turned = reinterpret_cast<sum*>(scratch + at.turned);
        const std::size_t row_end = std::min(range.panel_end * panel_rows, w.rows);
        source(n, count, columns, at.stride);
        std::fill(columns + count * at.stride, columns + all * at.stride, staged(0));
        simd::transpose(columns, at.stride, x, all, all, at.stride);
        for (std::size_t row = range.panel_begin * panel_rows; row < row_end; row += row_block) {
            const std::size_t rows = std::min(row_block, row_end - row);
            accumulate<V>(w, row, rows, x, scratch, sums);
            for (std::size_t r = 0; r < rows; r += emit_rows) {
                const std::size_t some = std::min(emit_rows, rows - r);
                simd::transpose(sums + r * all, all, turned, emit_rows, (some + 3) / 4 * 4, all);
                for (std::size_t c = 0; c < count; ++c)
                    sink(n + c, row + r, some, turned + Unit::template lane_of<V>(c) * emit_rows);
            }
        }
    }

    /// Sets sums[row][V] of `rows` rows, from `row` on, to initial + Σ w·x.
    template <std::size_t V>
    static void accumulate(const panel_view<sum>& w, std::size_t row, std::size_t rows,
                           const staged* x, std::byte* scratch, sum* sums) {
        constexpr std::size_t all = V * Unit::width;
        const std::size_t end = blocks(w.columns);
        const auto* constants = reinterpret_cast<const std::int32_t*>(w.data);
        const auto start = [&](std::size_t r) {
            using modular = std::conditional_t<std::same_as<sum, float>, float, std::uint32_t>;
            auto value = static_cast<modular>(w.initial ? w.initial[row + r] : sum(0));
            if constexpr (centred)
                value += static_cast<modular>(constants[row + r]);
            return static_cast<sum>(value - static_cast<modular>(end * Unit::groups * Unit::bias));
        };
        auto* tables = reinterpret_cast<entry*>(scratch);
        auto* to = reinterpret_cast<partial*>(scratch + areas(w.columns).partials);
        if constexpr (!segmented) {
            to = reinterpret_cast<partial*>(sums);
            for (std::size_t r = 0; r < rows; ++r)
                std::fill_n(sums + r * all, all, start(r));
        }
        const auto* fields =
            reinterpret_cast<const std::uint64_t*>(w.data + constants_bytes(w.rows)) + row * words;
        for (std::size_t b = 0, in_segment = 0; b < end; ++b, fields += w.rows * words) {
            Unit::template build<V>(x + b * block_weights * all, tables);
            if (segmented && in_segment == 0)
                Unit::template add_rows<V, true>(fields, tables, to, rows);
            else
                Unit::template add_rows<V, false>(fields, tables, to, rows);
            if constexpr (segmented)
                if (++in_segment == Unit::segment_blocks || b + 1 == end) {
                    if (b < Unit::segment_blocks)
                        Unit::template widen<V, true>(to, sums, rows, start);
                    else
                        Unit::template widen<V, false>(to, sums, rows, start);
                    in_segment = 0;
                }
        }
    }
};

} // namespace s3::kernel
