#pragma once
// The matrix product of panels of packed weights with staged activations, for any unit (dot/bytes,
// dot/words, shift_add/words): rows are lanes, one activation is broadcast to all of them.
//
//   few columns    stream.hpp: bound by memory
//   many columns   a tile of R panels × 128 steps is decoded once into cache, then R × C sums live
//                  in registers while it meets every column
//
// `source` stages activations: source(n, count, to, stride) writes columns n … n + count − 1, each
// zero-padded to whole blocks. Where they lie in the host's memory as a kernel would stage them,
// source.segments<staged>() is not 0, and source.point(n, count, table, outside) tells where the
// segments are, without a copy (`outside` has room for one segment of padding). `sink` takes
// finished sums: sink(n, row, count, sums). The caller proves that no sum overflows. Nothing is
// read outside the panels and the staged columns.

#include <s3/kernel/planes.hpp>
#include <s3/kernel/register_tile.hpp>
#include <s3/kernel/stream.hpp>

#include <algorithm>
#include <cstddef>

namespace s3::kernel {

template <class Unit>
struct tile {
    using engine = typename Unit::engine;
    using layout = typename Unit::layout;
    using arch = typename engine::arch;
    using staged = typename engine::staged;
    using sum = typename engine::sum;
    using lane = typename engine::element;
    static constexpr const char* name = Unit::name;
    static constexpr int zero_point = Unit::zero_point;
    static constexpr std::size_t stream_columns = Unit::stream_columns;
    static constexpr std::size_t lanes = simd::width32<arch>;
    static constexpr std::size_t rows = 4; ///< panels of a decoded tile
    /// Blocks of a decoded tile: with a few columns' activations it stays in the first-level cache.
    static constexpr std::size_t most_blocks = 144 / layout::steps;

    /// Elements from one staged column to the next: padded, and no multiple of 4 KiB, which would
    /// put all columns into one set of the cache.
    static constexpr std::size_t stage_stride(std::size_t k) {
        return layout::blocks(k) * block_columns + 64 / sizeof(staged);
    }
    /// Columns staged together. More of them share the cost of decoding a tile of weights; their
    /// activations should stay in the second-level cache.
    static constexpr std::size_t stage_columns(std::size_t k, std::size_t n) {
        constexpr std::size_t budget = 768 * 1024, unit = 24, most = 16 * unit;
        const std::size_t fit = budget / (stage_stride(k) * sizeof(staged)) / unit * unit;
        return std::max<std::size_t>(std::min(n, std::clamp(fit, 2 * unit, most)), 1);
    }
    static constexpr std::size_t scratch_bytes(std::size_t k, std::size_t n) {
        const std::size_t nb = stage_columns(k, n);
        return tile_bytes + align((nb + 1) * stage_stride(k) * sizeof(staged)) +
               align(nb * rows * lanes * sizeof(sum)) + align(nb * sizeof(staged*));
    }
    /// Panels of `lanes` rows: the unit in which rows are shared out.
    static constexpr std::size_t panels(std::size_t m) { return (m + lanes - 1) / lanes; }
    static constexpr std::size_t panel_bytes(std::size_t k) {
        return layout::panel_bytes(k, arch::vector_bytes);
    }
    /// The kernel layout of an m × k matrix from its bitstream, into zeroed bytes.
    static constexpr std::size_t layout_bytes(std::size_t m, std::size_t k) {
        return saturating_mul(panels(m), panel_bytes(k));
    }
    static void pack(const std::uint8_t* stream, std::size_t m, std::size_t k, std::uint8_t* to) {
        const std::uint8_t* end = stream + s3::layout::stream_bytes(m * k, layout::bits);
        for (std::size_t row = 0; row < m; ++row)
            layout::pack_row(stream, end, row * k, k,
                             to + row / lanes * panel_bytes(k) + row % lanes * 4,
                             arch::vector_bytes);
    }

    /// `scratch` is 64-byte aligned and holds scratch_bytes(k, n) bytes.
    template <class Source, class Sink>
    static void run(const panel_view<sum>& w, const work_range& range, const Source& source,
                    const Sink& sink, std::byte* scratch) {
        const std::size_t n_count = range.n_end - range.n_begin;
        const std::size_t nb = stage_columns(w.columns, n_count);
        const std::size_t stride = stage_stride(w.columns);
        auto* decoded = reinterpret_cast<lane*>(scratch);
        scratch += tile_bytes;
        auto* x = reinterpret_cast<staged*>(scratch);
        scratch += align((nb + 1) * stride * sizeof(staged));
        auto* sums = reinterpret_cast<sum*>(scratch);
        auto* staged_at =
            reinterpret_cast<const staged**>(scratch + align(nb * rows * lanes * sizeof(sum)));
        for (std::size_t n = range.n_begin; n < range.n_end; n += nb) {
            const std::size_t count = std::min(nb, range.n_end - n);
            if (n_count <= stream_columns) {
                source(n, count, x, stride);
                stream<Unit>::run(w, range, n, count, x, stride, sums, sink);
                continue;
            }
            column_table<staged> table{staged_at, count, total_steps(w.columns)};
            if (const std::size_t segments = source.template segments<staged>(); segments != 0) {
                // The host's own memory serves: the staging area holds pointers into it instead.
                auto* outside = x + nb * stride;
                table.at = reinterpret_cast<const staged**>(x);
                table.steps /= segments;
                source.point(n, count, reinterpret_cast<const staged**>(x), outside);
            } else {
                source(n, count, x, stride);
                for (std::size_t c = 0; c < count; ++c)
                    staged_at[c] = x + c * stride;
            }
            std::size_t p = range.panel_begin;
            for (; range.panel_end - p >= 4; p += 4)
                block<4>(w, p, n, count, table, decoded, sums, sink);
            if (range.panel_end - p >= 2) {
                block<2>(w, p, n, count, table, decoded, sums, sink);
                p += 2;
            }
            if (range.panel_end - p >= 1)
                block<1>(w, p, n, count, table, decoded, sums, sink);
        }
    }

private:
    static constexpr std::size_t align(std::size_t bytes) { return (bytes + 63) / 64 * 64; }
    static constexpr std::size_t tile_bytes =
        rows * most_blocks * layout::steps * arch::vector_bytes;
    static constexpr std::size_t total_steps(std::size_t k) {
        return std::max<std::size_t>((k + layout::columns_per_step - 1) / layout::columns_per_step,
                                     1);
    }

    template <std::size_t R, class Sink>
    static S3_INLINE void emit(const panel_view<sum>& w, std::size_t panel, std::size_t n,
                               std::size_t count, const sum* sums, const Sink& sink) {
        const std::size_t row = panel * lanes;
        const std::size_t valid = std::min<std::size_t>(R * lanes, w.rows - row);
        for (std::size_t c = 0; c < count; ++c)
            sink(n + c, row, valid, sums + c * R * lanes);
    }

    /// R panels from `panel` on, `count` columns from `n` on.
    template <std::size_t R, class Sink>
    static void block(const panel_view<sum>& w, std::size_t panel, std::size_t n, std::size_t count,
                      const column_table<staged>& x, lane* decoded, sum* sums, const Sink& sink) {
        using product = register_tile<engine, R>;
        const std::size_t blocks = layout::blocks(w.columns);
        const std::size_t tiles =
            std::max<std::size_t>((blocks + most_blocks - 1) / most_blocks, 1);
        const std::size_t each = (blocks + tiles - 1) / tiles;
        const std::size_t bytes = panel_bytes(w.columns);
        for (std::size_t t = 0; t < tiles; ++t) {
            const std::size_t b = t * each, now = std::min(each, blocks - b);
            decode<R>(w.data + panel * bytes + b * (layout::bits * arch::vector_bytes), bytes, now,
                      decoded);
            const std::size_t begin = b * layout::steps;
            const std::size_t steps =
                blocks == 0 ? 0 : std::min(now * layout::steps, total_steps(w.columns) - begin);
            const auto* initial = reinterpret_cast<const lane*>(w.initial + panel * lanes);
            for (std::size_t c = 0; c < count; c += product::columns) {
                const std::size_t some = std::min(product::columns, count - c);
                auto* s = reinterpret_cast<lane*>(sums + c * R * lanes);
                product::run(decoded, steps, {x.at + c, x.stride, x.steps}, begin,
                             t == 0 ? initial : s, t == 0 ? 0 : R * lanes, s, some);
                if (t + 1 == tiles)
                    emit<R>(w, panel, n + c, some, sums + c * R * lanes, sink);
            }
        }
    }

    /// R panels × `blocks` blocks → [step][R] vectors.
    template <std::size_t R>
    static void decode(const std::uint8_t* data, std::size_t panel_stride, std::size_t blocks,
                       lane* to) {
        constexpr std::size_t block_bytes = layout::bits * arch::vector_bytes;
        for (std::size_t b = 0; b < blocks; ++b)
            for (std::size_t r = 0; r < R; ++r) {
                const auto planes =
                    layout::template load<arch>(data + r * panel_stride + b * block_bytes);
                lane* out = to + (b * layout::steps * R + r) * lanes;
                simd::unrolled<layout::steps>([&](auto step) __attribute__((always_inline)) {
                    const auto v = Unit::template decode<step>(planes);
                    engine::store(out + step * R * lanes, v);
                });
            }
    }
};

} // namespace s3::kernel
