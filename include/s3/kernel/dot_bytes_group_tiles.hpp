#pragma once
// `dot` with a scale for each group on a matrix unit (simd/tiles.hpp), which multiplies signed
// weights by signed activations. The sums of a group leave the unit; vectors make floats of them,
// scale them and add them up while the unit multiplies the next group. For groups of whole tiles,
// and for rows that are not divided.
//
// Layout: panels of 32 rows, each the panels of dot_bytes_groups that make 32 rows, padded with
// whatever a code 0 stands for. 1024 of the depth are decoded at a time, which the first-level
// cache keeps for all activation vectors.

#include <s3/kernel/dot_bytes_groups.hpp>
#include <s3/kernel/parts/tile_sums.hpp>

namespace s3::kernel {

template <panel_unit Unit>
struct group_tile_product {
    using unit = Unit;
    using engine = typename Unit::engine;
    using layout = typename Unit::layout;
    using arch = typename engine::arch;
    using staged = typename engine::staged;
    using activations = group_activations<staged>;
    static constexpr std::size_t lanes = simd::width32<arch>;
    static constexpr std::size_t panel_rows = 2 * tile_rows;
    static constexpr std::size_t spare_columns = tile_rows;

    static constexpr std::size_t panels(std::size_t m) { return (m + panel_rows - 1) / panel_rows; }
    static constexpr std::size_t layout_bytes(std::size_t m, std::size_t k, std::size_t) {
        return saturating_mul(panels(m) * parts, part_bytes(k));
    }
    static status pack(const std::uint8_t* stream, std::size_t m, std::size_t k, std::size_t,
                       std::uint8_t* to) {
        panel_product<Unit>::pack(stream, nullptr, m, k, to);
        return {};
    }
    /// No multiple of 4 KiB, which would put all vectors into one set of the cache.
    static constexpr std::size_t stage_stride(std::size_t k) {
        return (k + tile_depth - 1) / tile_depth * tile_depth + 64;
    }
    static constexpr std::size_t scratch_bytes(std::size_t k, std::size_t n) {
        return decoded_bytes + scale_bytes + sum_bytes +
               (std::min(n, most_columns(k)) + tile_rows) * panel_rows * sizeof(float);
    }

    template <group_sink Sink>
    static void run(const group_view& w, const work_range& range, const activations& x,
                    const Sink& sink, std::byte* scratch) {
        const std::size_t all = range.n_end - range.n_begin, most = most_columns(w.columns);
        if (all == 0)
            return;
        const auto height = static_cast<std::uint8_t>(tile_height(std::min(all, most)));
        tiles t({height, height, height, height, height, height, tile_rows, tile_rows});
        memory m{reinterpret_cast<lane*>(scratch),
                 reinterpret_cast<float*>(scratch + decoded_bytes),
                 reinterpret_cast<std::int32_t*>(scratch + decoded_bytes + scale_bytes),
                 reinterpret_cast<float*>(scratch + decoded_bytes + scale_bytes + sum_bytes)};
        for (std::size_t n = range.n_begin; n < range.n_end; n += most) {
            const batch b{x, n, std::min(most, range.n_end - n), height};
            for (std::size_t p = range.panel_begin; p < range.panel_end; ++p)
                if (w.groups() > 1)
                    multiply<true>(t, w, p, b, m, sink);
                else
                    multiply<false>(t, w, p, b, m, sink);
        }
    }

private:
    using tiles = simd::tiles<arch>;
    using lane = typename engine::element;
    using reals = simd::lanes<float, arch>;
    static constexpr std::size_t parts = panel_rows / lanes; ///< panels of vectors in one of tiles
    static constexpr std::size_t depth = 1024;               ///< that is decoded together
    static constexpr std::size_t decoded_bytes = depth * panel_rows;
    static constexpr std::size_t scale_bytes = depth / tile_depth * panel_rows * sizeof(float);
    static constexpr std::size_t pass_sums = 2 * tile_rows * panel_rows;
    static constexpr std::size_t sum_bytes = 2 * pass_sums * sizeof(std::int32_t);

    static constexpr std::size_t block_bytes = layout::bits * arch::vector_bytes;
    alignas(64) static constexpr std::int32_t nothing[tile_rows] = {};

    static constexpr std::size_t part_bytes(std::size_t k) {
        return panel_product<Unit>::panel_bytes(k);
    }
    /// Activation vectors that are multiplied together: half of a second-level cache.
    static constexpr std::size_t most_columns(std::size_t k) {
        constexpr std::size_t budget = 1024 * 1024, several = 2 * tile_rows;
        return std::clamp<std::size_t>(budget / stage_stride(k) / several * several, 2 * several,
                                       16 * several);
    }

    struct batch {
        activations x;
        std::size_t first, count;
        std::size_t height; ///< activation vectors of a tile
    };
    struct memory {
        lane* decoded;      ///< [step][32 rows]
        float* scales;      ///< [group][32 rows]
        std::int32_t* sums; ///< of two groups: [vector][32 rows]
        float* totals;      ///< of a batch: [vector][32 rows]; integers where rows have one group
    };

    template <bool Divides, class Sink>
    static void multiply(tiles& t, const group_view& w, std::size_t panel, const batch& b,
                         const memory& m, const Sink& sink) {
        const std::size_t row = panel * panel_rows, groups = w.groups(),
                          bytes = part_bytes(w.columns);
        std::size_t d = 0;
        do {
            const std::size_t deep = std::min(depth, w.columns - d);
            const std::size_t in_group = Divides ? w.group : deep;
            const std::size_t first = Divides ? d / w.group : 0,
                              some = Divides ? deep / in_group : 1;
            const bool ends = d + deep == w.columns;
            decoder<Unit, parts>{w.data + panel * parts * bytes + layout::blocks(d) * block_bytes,
                                 bytes, layout::blocks(deep) * block_bytes, m.decoded}
                .skip(layout::blocks(deep) * layout::steps);
            w.scales.template decode<parts, arch>(panel * parts, groups, first, some, m.scales);
            for (std::size_t c = 0; c < b.count; c += 2 * b.height) {
                const std::size_t vectors = std::min(2 * b.height, b.count - c);
                const staged* x = b.x.data + (b.first + c) * b.x.stride + d;
                float* const totals = m.totals + c * panel_rows;
                if (d == 0)
                    std::fill_n(totals, 2 * b.height * panel_rows, Divides ? -0.0f : 0.0f);
                const auto pass = [&](std::size_t g, const std::int32_t* from, std::int32_t* to) {
                    const lane* const at = m.decoded + g * in_group * panel_rows / sizeof(lane);
                    if (vectors > b.height)
                        add_up<2>(t, at, x + g * in_group, b, in_group, from, to);
                    else
                        add_up<1>(t, at, x + g * in_group, b, in_group, from, to);
                };
                const auto finish = [&](std::size_t g, const std::int32_t* sums) {
                    scale_sums<Divides>(sums, m.scales + g * panel_rows, b.x,
                                        (b.first + c) * groups + first + g, groups, vectors,
                                        totals);
                };
                if constexpr (Divides) {
                    const auto sums = [&](std::size_t g) { return m.sums + g % 2 * pass_sums; };
                    pass(0, nullptr, sums(0));
                    for (std::size_t g = 1; g < some; ++g) {
                        pass(g, nullptr, sums(g));
                        finish(g - 1, sums(g - 1));
                    }
                    finish(some - 1, sums(some - 1));
                } else {
                    auto* const kept = reinterpret_cast<std::int32_t*>(totals);
                    pass(0, d == 0 ? nullptr : kept, kept);
                    if (ends)
                        finish(0, kept);
                }
                if (ends)
                    sink(b.first + c, vectors, row, std::min(panel_rows, w.rows - row), totals,
                         panel_rows);
            }
            d += deep;
        } while (d < w.columns);
    }

    /// The integer sums of a group: of C tiles of activation vectors from x on, and 32 rows.
    template <std::size_t C>
    static S3_NOINLINE void add_up(tiles& t, const lane* w, const staged* x, const batch& b,
                                   std::size_t deep, const std::int32_t* from, std::int32_t* to) {
        constexpr std::size_t row_bytes = panel_rows * sizeof(std::int32_t);
        const auto place = [&](auto* of, std::size_t i) S3_INLINE_LAMBDA {
            return of + i / 2 * b.height * panel_rows + i % 2 * tile_rows;
        };
        simd::unrolled<2 * C>([&](auto i) S3_INLINE_LAMBDA {
            if (from == nullptr)
                t.template load<i>(nothing, 0);
            else
                t.template load<i>(place(from, i), row_bytes);
        });
        for (std::size_t d = 0; d < deep; d += tile_depth) {
            const auto* const at = reinterpret_cast<const std::uint8_t*>(w) + d * panel_rows;
            simd::unrolled<2>([&](auto r) S3_INLINE_LAMBDA {
                t.template load<6 + r>(at + r * 4 * tile_rows, panel_rows * 4);
            });
            simd::unrolled<C>([&](auto c) S3_INLINE_LAMBDA {
                t.template load_past<4 + c>(x + c * b.height * b.x.stride + d, b.x.stride);
                t.template signed_dot<2 * c, 4 + c, 6>();
                t.template signed_dot<2 * c + 1, 4 + c, 7>();
            });
        }
        simd::unrolled<2 * C>(
            [&](auto i) S3_INLINE_LAMBDA { t.template store<i>(place(to, i), row_bytes); });
    }
    /// Adds the sums of a group, scaled, to the totals; where rows have one group, replaces them.
    template <bool Divides>
    static void scale_sums(const std::int32_t* sums, const float* scales, const activations& x,
                           std::size_t index, std::size_t groups, std::size_t vectors,
                           float* totals) noexcept {
        for (std::size_t c = 0; c < vectors; ++c, index += groups)
            for (std::size_t r = 0; r < parts; ++r, sums += lanes, totals += lanes) {
                const reals s =
                    scaled<arch>(simd::load<std::int32_t, arch>(sums),
                                 with_activations<arch>(simd::load<float, arch>(scales + r * lanes),
                                                        x.scale, index));
                simd::store<arch>(totals, Divides ? reals(simd::load<float, arch>(totals) + s) : s);
            }
    }
};

template <weight_format F, architecture Arch>
struct dot_bytes_group_tiles {
    static constexpr const char* name = "dot_bytes_group_tiles";
    static constexpr s3::family family = s3::family::dot;
    static constexpr bool exists = has_byte_dot<F, std::int8_t, Arch> && simd::has_tiles<Arch>;
    static constexpr rank_range ranks{0, 250};
    static constexpr int rank(const product_request& r) noexcept {
        return r.group % tile_depth != 0 ? 0
               : r.rows < tile_rows      ? 60
               : r.batch <= 2            ? 90
                                         : ranks.most;
    }
    static bool permitted() noexcept { return simd::tiles_permitted<Arch>(); }
    static auto loop() {
        return std::type_identity<group_tile_product<byte_group_dot<F, Arch, true>>>{};
    }
};

} // namespace s3::kernel
