#pragma once
// `dot` on a matrix unit (simd/tiles.hpp): a tile of 16 activation vectors, as they are staged,
// meets a tile of 16 rows of weights, decoded as for dot_bytes_panels; sums stay in the unit over
// the whole depth.
//
//   tiles 0 … 3    sums of 2 × 16 activation vectors and 2 × 16 rows
//   tiles 4, 5     activations, 64 deep
//   tiles 6, 7     weights: [step of 4][16 rows], 16 steps
//
// The first activations meet each 64 of the depth as soon as these are decoded, so that the unit
// and the vectors work at the same time; the others find them in the second-level cache.
//
// Layout: panels of 32 rows, each the panels of dot_bytes_panels that make 32 rows, one after the
// other, padded with whatever a code 0 stands for.

#include <s3/kernel/dot_bytes_panels.hpp>
#include <s3/simd/tiles.hpp>

namespace s3::kernel {

template <panel_unit Unit>
struct tile_product {
    using engine = typename Unit::engine;
    using layout = typename Unit::layout;
    using arch = typename engine::arch;
    using staged = typename engine::staged;
    using sum = typename engine::sum;
    using lane = typename engine::element;
    using unit = simd::tiles<arch>;
    static constexpr int zero_point = Unit::zero_point;
    static constexpr std::size_t lanes = simd::width32<arch>;
    static constexpr std::size_t tile_rows = 16;
    static constexpr std::size_t tile_depth = 64;
    static constexpr std::size_t tile_steps = tile_depth / layout::depth_per_step;
    static constexpr std::size_t panel_rows = 2 * tile_rows;
    static constexpr std::size_t parts = panel_rows / lanes; ///< panels of the layout
    static constexpr std::size_t step_bytes = panel_rows * sizeof(lane);

    static constexpr std::size_t panels(std::size_t m) { return (m + panel_rows - 1) / panel_rows; }
    static constexpr std::size_t layout_bytes(std::size_t m, std::size_t k) {
        return saturating_mul(saturating_mul(panels(m), parts), part_bytes(k));
    }
    static void pack(const std::uint8_t* stream, const std::int64_t* row_sums, std::size_t m,
                     std::size_t k, std::uint8_t* to) {
        panel_product<Unit>::pack(stream, row_sums, m, k, to);
    }
    static constexpr std::size_t scratch_bytes(std::size_t k, std::size_t n) {
        const std::size_t count = std::min(whole_tiles(n), most_columns);
        return decoded_bytes(k) + sum_bytes + whole_lines(count * stride(k)) +
               whole_lines(panel_rows * sizeof(std::size_t));
    }

    /// `scratch` is 64-byte aligned and holds scratch_bytes(k, n) bytes.
    template <activation_source<staged> Source, sum_sink<sum> Sink>
    static void run(const panel_view<sum>& w, const work_range& range, const Source& source,
                    const Sink& sink, std::byte* scratch) {
        const std::size_t k = w.columns;
        memory m;
        m.decoded = reinterpret_cast<lane*>(scratch);
        m.sums = reinterpret_cast<sum*>(scratch + decoded_bytes(k));
        m.at = reinterpret_cast<std::size_t*>(scratch + decoded_bytes(k) + sum_bytes);
        m.x = reinterpret_cast<staged*>(m.at) + whole_lines(panel_rows * sizeof(std::size_t));
        const std::size_t all = range.n_end - range.n_begin;
        const auto rows = static_cast<std::uint8_t>(std::min(all, tile_rows));
        unit tiles({rows, rows, rows, rows, rows, rows, tile_rows, tile_rows});
        for (std::size_t n = range.n_begin; n < range.n_end; n += most_columns) {
            const std::size_t count = std::min(most_columns, range.n_end - n);
            source(n, count, m.x, stride(k));
            // Tiles are whole: what is behind the last activations meets weights, too.
            std::fill(m.x + count * stride(k), m.x + whole_tiles(count) * stride(k), staged{0});
            for (std::size_t p = range.panel_begin; p < range.panel_end; ++p)
                multiply(tiles, w, p, n, count, m, sink);
        }
    }

private:
    /// Activation vectors that are staged together.
    static constexpr std::size_t most_columns = 512;
    static constexpr std::size_t sum_bytes = panel_rows * panel_rows * sizeof(sum);

    struct memory {
        lane* decoded;
        sum* sums; ///< [activation vector][row]
        std::size_t* at;
        staged* x;
    };

    static constexpr std::size_t part_bytes(std::size_t k) {
        return panel_product<Unit>::panel_bytes(k);
    }
    static constexpr std::size_t tiles_deep(std::size_t k) {
        return (layout::blocks(k) * layout::steps + tile_steps - 1) / tile_steps;
    }
    static constexpr std::size_t decoded_bytes(std::size_t k) {
        return tiles_deep(k) * tile_steps * step_bytes;
    }
    /// Bytes from one activation vector to the next; no multiple of 4 KiB, which would put all of
    /// them into one set of the cache.
    static constexpr std::size_t stride(std::size_t k) { return tiles_deep(k) * tile_depth + 64; }
    static constexpr std::size_t whole_tiles(std::size_t n) {
        return (n + tile_rows - 1) / tile_rows * tile_rows;
    }

    /// One panel times `count` staged activation vectors, which are n, n + 1, … of the sink.
    template <class Sink>
    static S3_NOINLINE void multiply(unit& tiles, const panel_view<sum>& w, std::size_t panel,
                                     std::size_t n, std::size_t count, const memory& m,
                                     const Sink& sink) {
        const std::size_t k = w.columns, row = panel * panel_rows;
        const std::size_t valid = std::min(panel_rows, w.rows - row);
        decoder<Unit, parts> weights{w.data + panel * parts * part_bytes(k), part_bytes(k),
                                     parts * part_bytes(k), m.decoded};
        for (std::size_t c = 0; c < count; c += panel_rows) {
            const std::size_t some = std::min(panel_rows, count - c);
            const staged* x = m.x + c * stride(k);
            if (c == 0)
                add_up<true>(tiles, weights, k, x, some, m);
            else
                add_up<false>(tiles, weights, k, x, some, m);
            for (std::size_t i = 0; i < some; ++i)
                for (std::size_t r = 0; r < panel_rows; r += lanes) {
                    sum* const to = m.sums + i * panel_rows + r;
                    simd::store<arch>(
                        to, simd::lanes<sum, arch>(simd::load<sum, arch>(to) +
                                                   simd::load<sum, arch>(w.initial + row + r)));
                }
            sink.place(n + c, some, m.at);
            sink(m.at, some, row, valid, m.sums, panel_rows);
        }
    }

    /// sums[vector][row] of `count` activation vectors, over the whole depth. `Decodes`: weights
    /// are decoded on the way, for those that come after.
    template <bool Decodes>
    static void add_up(unit& t, decoder<Unit, parts> weights, std::size_t k, const staged* x,
                       std::size_t count, const memory& m) {
        const bool two = count > tile_rows;
        t.template zero<0>();
        t.template zero<1>();
        t.template zero<2>();
        t.template zero<3>();
        const std::size_t all = layout::blocks(k) * layout::steps;
        const lane* from = m.decoded;
        for (std::size_t s = 0; s < all; s += tile_steps, x += tile_depth) {
            if constexpr (Decodes) {
                const std::size_t some = std::min(tile_steps, all - s);
                weights.skip(some);
                std::fill(weights.to, weights.to + (tile_steps - some) * panel_rows, lane{0});
            }
            t.template load<6>(from, step_bytes);
            t.template load<4>(x, stride(k));
            t.template load<7>(from + tile_rows, step_bytes);
            t.template dot<0, 4, 6>();
            t.template dot<1, 4, 7>();
            if (two) {
                t.template load<5>(x + tile_rows * stride(k), stride(k));
                t.template dot<2, 5, 6>();
                t.template dot<3, 5, 7>();
            }
            from += tile_steps * panel_rows;
        }
        constexpr std::size_t next = panel_rows * sizeof(sum);
        t.template store<0>(m.sums, next);
        t.template store<1>(m.sums + tile_rows, next);
        if (two) {
            t.template store<2>(m.sums + tile_rows * panel_rows, next);
            t.template store<3>(m.sums + tile_rows * panel_rows + tile_rows, next);
        }
    }
};

/// Preferred wherever the process may use tiles: the unit's peak is some eight times that of dot
/// products of vectors, though how much of it this kernel reaches is not measured yet. A single
/// activation vector is bound by memory, and has no use for tiles.
template <weight_format F, activation X, architecture Arch>
struct dot_bytes_tiles {
    static constexpr const char* name = "dot_bytes_tiles";
    static constexpr s3::family family = s3::family::dot;
    static constexpr bool exists = has_byte_dot<F, X, Arch> && simd::has_tiles<Arch>;
    static constexpr rank_range ranks{0, 390};
    static constexpr int rank(const product_request& r) noexcept {
        return r.batch > 1 ? ranks.most : 50;
    }
    static bool permitted() noexcept { return simd::tiles_permitted<Arch>(); }
    static auto loop() { return std::type_identity<tile_product<byte_dot<F, Arch>>>{}; }
};

} // namespace s3::kernel
