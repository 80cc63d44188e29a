#pragma once
// The matrix product with a scale for each group of a row's weights. The sum of a group is exact in
// int32; then it becomes a float, is multiplied by the group's scale, and is added to the sum of
// the groups before it:
//
//   y[n][m] = Σ over groups g, in order, of  float(Σ over k in g of w[m][k]·x[n][k]) · scale[m][g]
//
// Each of the three operations on floats rounds on its own, so that results have the same bits on
// every machine. The scale is multiplied before by that of the activations' group, where they have
// one. A row that is not divided is one group.
//
// Weights are laid out and decoded as in parts/panel_product.hpp: for a few columns as they come
// from memory, for many from cache, where R panels of some groups lie decoded.

#include <s3/kernel/parts/decoder.hpp>
#include <s3/kernel/parts/group_scales.hpp>
#include <s3/kernel/parts/panel_product.hpp>
#include <s3/simd/registers.hpp>

namespace s3::kernel {

/// The prepared weights of a `rows` × `columns` matrix, of which `group` consecutive ones of a row
/// share a scale: whole blocks, or all of them.
struct group_view {
    const std::uint8_t* data = nullptr;
    std::size_t rows = 0;
    std::size_t columns = 0;
    std::size_t group = 0;
    group_scales scales;

    [[nodiscard]] std::size_t groups() const noexcept { return columns == 0 ? 1 : columns / group; }
};

/// Activation vectors as a kernel stages them, padded with zeros to whole blocks.
template <class Staged>
struct group_activations {
    const Staged* data = nullptr;
    std::size_t stride = 0;              ///< elements from one vector to the next
    const std::int32_t* start = nullptr; ///< [vector][group]: what the sum of a group starts from
    const float* scale = nullptr;        ///< [vector][group], or null where a group has no scale
};

/// Where sums go: s(n, columns, row, count, sums, stride) takes `count` rows, from number `row` on,
/// of activation vectors n … n + columns − 1, which lie `stride` sums apart.
template <class S>
concept group_sink = requires(const S& s, std::size_t n, const float* sums) {
    s(n, n, n, n, sums, n);
};

template <panel_unit Unit>
struct group_product {
    using unit = Unit;
    using engine = typename Unit::engine;
    using layout = typename Unit::layout;
    using arch = typename engine::arch;
    using staged = typename engine::staged;
    using panels_of = panel_product<Unit>;
    using activations = group_activations<staged>;
    static constexpr std::size_t lanes = simd::width32<arch>;
    static constexpr std::size_t stream_columns = Unit::stream_columns;
    /// The largest number of panels that are decoded together.
    static constexpr std::size_t rows = simd::register_count<arch> >= 32 ? 4 : 2;

    static constexpr std::size_t panels(std::size_t m) { return panels_of::panels(m); }
    static constexpr std::size_t stage_stride(std::size_t k) { return panels_of::stage_stride(k); }
    static constexpr std::size_t layout_bytes(std::size_t m, std::size_t k) {
        return panels_of::layout_bytes(m, k);
    }
    static void pack(const std::uint8_t* stream, std::size_t m, std::size_t k, std::uint8_t* to) {
        panels_of::pack(stream, nullptr, m, k, to);
    }
    static constexpr std::size_t scratch_bytes(std::size_t k, std::size_t n) {
        const std::size_t columns = panels_of::stage_columns(k, n);
        return decoded_bytes + whole_lines((columns + most_columns) * rows * lanes * sizeof(float));
    }

    /// Computes a range of outputs. `scratch` is aligned to 64 bytes and has scratch_bytes(k, n)
    /// bytes, where n is the number of columns in the range.
    template <group_sink Sink>
    static void run(const group_view& w, const work_range& range, const activations& x,
                    const Sink& sink, std::byte* scratch) {
        const std::size_t all = range.n_end - range.n_begin;
        if (all <= stream_columns) {
            few_columns(w, range, x, sink, reinterpret_cast<float*>(scratch));
            return;
        }
        memory m{reinterpret_cast<lane*>(scratch),
                 reinterpret_cast<float*>(scratch + decoded_bytes)};
        const std::size_t together = panels_of::stage_columns(w.columns, all);
        for (std::size_t n = range.n_begin; n < range.n_end; n += together) {
            const batch b{x, n, std::min(together, range.n_end - n)};
            std::size_t p = range.panel_begin;
            for (; range.panel_end - p >= rows; p += rows)
                many_columns<rows>(w, p, b, m, sink);
            for (; p < range.panel_end; ++p)
                many_columns<1>(w, p, b, m, sink);
        }
    }

private:
    using lane = typename engine::element;
    using sums = typename engine::sums;
    using reals = simd::lanes<float, arch>;
    static constexpr std::size_t most_columns = 6; ///< of a tile: each number takes long to compile
    static constexpr std::size_t decoded_bytes =
        panels_of::most_blocks(rows) * layout::steps * rows * arch::vector_bytes;

    /// Activation vectors that are multiplied together.
    struct batch {
        activations x;
        std::size_t first, count;
    };
    struct memory {
        lane* decoded; ///< the decoded weights of R panels, for a part of their depth
        float* kept;   ///< sums of a batch that wait for the next part of the depth
    };

    /// What the sum of a group starts from, for column c.
    static S3_INLINE sums start_of(const activations& x, std::size_t index) noexcept {
        if constexpr (requires { Unit::weight_offset; })
            return simd::as<lane>(simd::broadcast<std::int32_t, arch>(x.start[index]));
        else
            return simd::broadcast<lane, arch>(lane{0});
    }
    /// The product of a group's sum and its scale.
    static S3_INLINE reals scaled(const sums& s, const reals& scale) noexcept {
        return simd::rounded_product(simd::to_float(simd::as<std::int32_t>(s)), scale);
    }
    /// The scale of a group for column c: that of the weights, times that of the activations.
    static S3_INLINE reals with_activations(const reals& scale, const activations& x,
                                            std::size_t index) noexcept {
        return x.scale == nullptr
                   ? scale
                   : simd::rounded_product(scale, simd::broadcast<float, arch>(x.scale[index]));
    }
    static constexpr std::size_t steps_of(std::size_t columns) noexcept {
        return layout::blocks(columns) * layout::steps;
    }

    template <class Sink>
    static void few_columns(const group_view& w, const work_range& range, const activations& x,
                            const Sink& sink, float* to) {
        const std::size_t n = range.n_begin, count = range.n_end - n;
        if (count == 0)
            return;
        for (std::size_t p = range.panel_begin; p < range.panel_end; ++p) {
            few<stream_columns>(w, p, x, n, count, to);
            const std::size_t row = p * lanes;
            sink(n, count, row, std::min(lanes, w.rows - row), to, lanes);
        }
    }
    template <std::size_t C>
    static S3_INLINE void few(const group_view& w, std::size_t panel, const activations& x,
                              std::size_t n, std::size_t count, float* to) {
        constexpr std::size_t fewer = stream<Unit>::computed(C - 1) < C ? C - 1 : C - 2;
        if (count > fewer)
            from_memory<C>(w, panel, x, n, to);
        else if constexpr (fewer > 0)
            few<fewer>(w, panel, x, n, count, to);
    }
    /// Multiplies one panel by C columns, the sums of which go to to[c·lanes].
    template <std::size_t C>
    static S3_NOINLINE void from_memory(const group_view& w, std::size_t panel,
                                        const activations& x, std::size_t n, float* to) {
        constexpr std::size_t chains = C == 1 ? 4 : C == 2 ? 2 : 1;
        using tile = tile_for<engine, 1, C, chains>;
        const std::size_t groups = w.groups(), steps = steps_of(w.group);
        packed<Unit, 2 * C >= layout::bits> weights{
            w.data + panel * layout::panel_bytes(w.columns, arch::vector_bytes)};
        reals total[C];
        S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
            total[c] = simd::broadcast<float, arch>(-0.0f); // added to v it gives v, also if v is 0
        const staged* at = x.data + n * x.stride;
        for (std::size_t g = 0; g < groups; ++g, at += steps * layout::depth_per_step) {
            const std::size_t index = panel * groups + g;
            const reals scale = w.scales.template load<arch>(index * lanes);
            const auto of_column = [&](std::size_t c)
                                       S3_INLINE_LAMBDA { return (n + c) * groups + g; };
            const spaced_columns<staged> columns{&at, std::max<std::size_t>(steps, 1), x.stride};
            accumulate<tile>(
                weights,
                typename spaced_columns<staged>::template source<typename tile::reads, C>(columns),
                steps,
                [&](std::size_t c, std::size_t)
                    S3_INLINE_LAMBDA { return start_of(x, of_column(c)); },
                [&](std::size_t c, const sums(&s)[1]) S3_INLINE_LAMBDA {
                    total[c] = total[c] + scaled(s[0], with_activations(scale, x, of_column(c)));
                });
            weights.skip(steps);
        }
        S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
            simd::store<arch>(to + c * lanes, total[c]);
    }

    /// A part of the depth of R panels, whose weights are decoded together: whole groups, or a
    /// piece of the only one.
    struct depth_part {
        std::size_t first_step, first_group;
        std::size_t groups;
        std::size_t steps; ///< of a group, or of the piece
        bool begins, ends; ///< whether the part begins, or ends, the depth
        bool divides;      ///< whether there are several groups: then none goes beyond a part
    };

    template <std::size_t R, class Sink>
    static void many_columns(const group_view& w, std::size_t panel, const batch& b, memory& m,
                             const Sink& sink) {
        constexpr std::size_t height = R * lanes;
        constexpr std::size_t block_bytes = layout::bits * arch::vector_bytes;
        const std::size_t row = panel * lanes, valid = std::min(height, w.rows - row);
        const std::size_t groups = w.groups(), blocks = layout::blocks(w.columns);
        // The unit in which the depth is cut, in blocks.
        const std::size_t unit = groups > 1 ? layout::blocks(w.group) : 1;
        const std::size_t units = std::max<std::size_t>(blocks / unit, 1);
        const std::size_t most = panels_of::most_blocks(rows) / unit;
        const std::size_t parts = (units + most - 1) / most, each = (units + parts - 1) / parts;
        const std::size_t bytes = layout::panel_bytes(w.columns, arch::vector_bytes);
        float* const finished = m.kept + b.count * height;
        for (std::size_t u = 0; u < units; u += each) {
            const std::size_t some = std::min(each, units - u);
            const std::size_t part_blocks = std::min(some * unit, blocks - u * unit);
            depth_part part{
                u * unit * layout::steps, 0,         1, part_blocks * layout::steps, u == 0,
                u + some == units,        groups > 1};
            if (part.divides)
                part.first_group = u, part.groups = some, part.steps = unit * layout::steps;
            decoder<Unit, R>{w.data + panel * bytes + u * unit * block_bytes, bytes,
                             part.ends ? R * bytes - u * unit * block_bytes
                                       : part_blocks * block_bytes,
                             m.decoded}
                .skip(part_blocks * layout::steps);
            constexpr std::size_t C = std::min(register_tile<engine, R>::columns, most_columns);
            for (std::size_t c = 0, tile; c < b.count; c += tile) {
                const std::size_t left = b.count - c, tiles = (left + C - 1) / C;
                tile = (left + tiles - 1) / tiles;
                multiply<R, C>(w, panel, part, b, c, tile, m, finished);
                if (part.ends)
                    sink(b.first + c, tile, row, valid, finished, height);
            }
        }
    }
    template <std::size_t R, std::size_t C>
    static void multiply(const group_view& w, std::size_t panel, const depth_part& part,
                         const batch& b, std::size_t c, std::size_t count, const memory& m,
                         float* finished) {
        if (count == C)
            from_cache<R, C>(w, panel, part, b, c, m, finished);
        else if constexpr (C > 1)
            multiply<R, C - 1>(w, panel, part, b, c, count, m, finished);
    }
    /// Multiplies the decoded part by C columns. Their sums, of floats or still of integers, stay
    /// in `m` until the last part leaves them in `finished`.
    template <std::size_t R, std::size_t C>
    static S3_NOINLINE void from_cache(const group_view& w, std::size_t panel,
                                       const depth_part& part, const batch& b, std::size_t column,
                                       const memory& m, float* finished) {
        using tile = tile_for<engine, R, C>;
        constexpr std::size_t height = R * lanes;
        const activations x = b.x;
        const std::size_t n = b.first + column, groups = w.groups();
        float* const kept = m.kept + column * height;
        const lane* decoded_at = m.decoded;
        const staged* at = x.data + n * x.stride + part.first_step * layout::depth_per_step;
        for (std::size_t i = 0; i < part.groups; ++i) {
            const std::size_t g = part.first_group + i;
            const bool first = part.begins && i == 0, last = i + 1 == part.groups;
            const float* const from = i == 0 ? kept : finished;
            float* const to = last && !part.ends ? kept : finished;
            const auto of_column = [&](std::size_t c)
                                       S3_INLINE_LAMBDA { return (n + c) * groups + g; };
            const spaced_columns<staged> columns{&at, std::max<std::size_t>(part.steps, 1),
                                                 x.stride};
            accumulate<tile>(
                decoded<engine, R>{decoded_at},
                typename spaced_columns<staged>::template source<typename tile::reads, C>(columns),
                part.steps,
                [&](std::size_t c, std::size_t r) S3_INLINE_LAMBDA {
                    return part.divides || part.begins ? start_of(x, of_column(c))
                                                       : simd::as<lane>(simd::load<float, arch>(
                                                             kept + c * height + r * lanes));
                },
                [&](std::size_t c, const sums(&s)[R]) S3_INLINE_LAMBDA {
                    S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r) {
                        const std::size_t place = c * height + r * lanes;
                        if (!part.divides && !part.ends) {
                            simd::store<arch>(to + place, simd::as<float>(s[r]));
                            continue;
                        }
                        const reals scale =
                            w.scales.template load<arch>(((panel + r) * groups + g) * lanes);
                        const reals here = scaled(s[r], with_activations(scale, x, of_column(c)));
                        simd::store<arch>(
                            to + place, first || !part.divides
                                            ? here
                                            : reals(simd::load<float, arch>(from + place) + here));
                    }
                });
            decoded_at += part.steps * R * lanes;
            at += part.steps * layout::depth_per_step;
        }
    }
};

} // namespace s3::kernel
