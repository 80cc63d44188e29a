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

/// The constant that a unit adds to weights; what sums start from undoes it.
template <class Unit>
inline constexpr int added_to_weights = [] {
    if constexpr (requires { Unit::weight_offset; })
        return Unit::weight_offset;
    else
        return 0;
}();

/// Where sums go: s(n, columns, row, count, sums, stride) takes `count` rows, from number `row` on,
/// of activation vectors n … n + columns − 1, which lie `stride` sums apart.
template <class S>
concept group_sink = requires(const S& s, std::size_t n, const float* sums) {
    s(n, n, n, n, sums, n);
};

/// Layout and loop of a product with scales for groups. pack() writes m × k weights, of which
/// `group` share a scale, to layout_bytes() bytes. Activation vectors are staged stage_stride(k)
/// apart, and behind those of a batch `spare_columns` more are read. What sums start from is needed
/// where added_to_weights<unit> is not 0. run(weights, range, activations, sink, scratch) computes
/// a range of the outputs.
template <class L>
concept group_loop = requires(const std::uint8_t* stream, std::size_t m, std::size_t k,
                              std::size_t group, std::uint8_t* to) {
    typename L::unit;
    typename L::staged;
    { L::spare_columns } -> std::convertible_to<std::size_t>;
    { L::panels(m) } -> std::same_as<std::size_t>;
    { L::stage_stride(k) } -> std::same_as<std::size_t>;
    { L::layout_bytes(m, k, group) } -> std::same_as<std::size_t>;
    { L::scratch_bytes(k, m) } -> std::same_as<std::size_t>;
    { L::pack(stream, m, k, group, to) } -> std::same_as<status>;
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
    static constexpr std::size_t spare_columns = 1; ///< behind a batch that are read, too
    /// The largest number of panels that are decoded together.
    static constexpr std::size_t rows = simd::register_count<arch> >= 32 ? 4 : 2;

    static constexpr std::size_t panels(std::size_t m) { return panels_of::panels(m); }
    static constexpr std::size_t stage_stride(std::size_t k) { return panels_of::stage_stride(k); }
    static constexpr std::size_t layout_bytes(std::size_t m, std::size_t k, std::size_t) {
        return panels_of::layout_bytes(m, k);
    }
    static status pack(const std::uint8_t* stream, std::size_t m, std::size_t k, std::size_t,
                       std::uint8_t* to) {
        panels_of::pack(stream, nullptr, m, k, to);
        return {};
    }
    static constexpr std::size_t scratch_bytes(std::size_t k, std::size_t n) {
        const std::size_t columns = panels_of::stage_columns(k, n);
        return decoded_bytes + scale_bytes +
               whole_lines((columns + most_columns<rows>)*rows * lanes * sizeof(float));
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
                 reinterpret_cast<float*>(scratch + decoded_bytes),
                 reinterpret_cast<float*>(scratch + decoded_bytes + scale_bytes)};
        const std::size_t together = panels_of::stage_columns(w.columns, all);
        for (std::size_t n = range.n_begin; n < range.n_end; n += together) {
            const batch b{x, n, std::min(together, range.n_end - n)};
            std::size_t p = range.panel_begin;
            const auto next = [&]<std::size_t R>(std::integral_constant<std::size_t, R>) {
                if (w.groups() > 1)
                    many_columns<R, true>(w, p, b, m, sink);
                else
                    many_columns<R, false>(w, p, b, m, sink);
                p += R;
            };
            while (range.panel_end - p >= rows)
                next(std::integral_constant<std::size_t, rows>{});
            while (p < range.panel_end)
                next(std::integral_constant<std::size_t, 1>{});
        }
    }

private:
    using lane = typename engine::element;
    using sums = typename engine::sums;
    using reals = simd::lanes<float, arch>;
    /// The columns of a tile of R panels. With few vectors of weights, more would gain little, and
    /// each number takes long to compile.
    template <std::size_t R>
    static constexpr std::size_t
        most_columns = std::min<std::size_t>(register_tile<engine, R>::columns, R == 1 ? 4 : 6);
    static constexpr std::size_t decoded_bytes =
        panels_of::most_blocks(rows) * layout::steps * rows * arch::vector_bytes;

    static constexpr std::size_t scale_bytes =
        whole_lines(panels_of::most_blocks(rows) * rows * lanes * sizeof(float));

    /// Activation vectors that are multiplied together.
    struct batch {
        activations x;
        std::size_t first, count;
    };
    struct memory {
        lane* decoded; ///< the decoded weights of R panels, for a part of their depth
        float* scales; ///< [group][row]: theirs
        float* kept;   ///< sums of a batch that wait for the next part of the depth
    };

    /// What the sum of a group starts from, for column c.
    static S3_INLINE sums start_of(const activations& x, std::size_t index) noexcept {
        if constexpr (added_to_weights<Unit> != 0)
            return simd::as<lane>(simd::broadcast<std::int32_t, arch>(x.start[index]));
        else
            return simd::broadcast<lane, arch>(lane{0});
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
        using tile = tile_for<engine, 1, C, stream<Unit>::chains(C)>;
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
                    total[c] = total[c] +
                               scaled<arch>(simd::as<std::int32_t>(s[0]),
                                            with_activations<arch>(scale, x.scale, of_column(c)));
                });
            weights.skip(steps);
        }
        S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
            simd::store<arch>(to + c * lanes, total[c]);
    }

    /// A part of the depth of some panels, whose weights are decoded together: whole groups, or a
    /// piece of the only one.
    struct depth_part {
        std::size_t first_step, first_group;
        std::size_t groups;
        std::size_t steps; ///< of a group, or of the piece
        bool begins, ends; ///< whether the part begins, or ends, the depth
    };

    /// Multiplies R panels by a batch. `Divides` tells whether rows have several groups: none is
    /// longer than a part then.
    template <std::size_t R, bool Divides, class Sink>
    static void many_columns(const group_view& w, std::size_t panel, const batch& b, memory& m,
                             const Sink& sink) {
        constexpr std::size_t height = R * lanes, C = most_columns<R>;
        constexpr std::size_t block_bytes = layout::bits * arch::vector_bytes;
        const std::size_t row = panel * lanes, valid = std::min(height, w.rows - row);
        const std::size_t blocks = layout::blocks(w.columns);
        const std::size_t unit = Divides ? layout::blocks(w.group) : 1; // in which depth is cut
        const std::size_t units = std::max<std::size_t>(blocks / unit, 1);
        const std::size_t most = panels_of::most_blocks(rows) / unit;
        const std::size_t parts = (units + most - 1) / most, each = (units + parts - 1) / parts;
        const std::size_t bytes = layout::panel_bytes(w.columns, arch::vector_bytes);
        float* const finished = m.kept + b.count * height;
        for (std::size_t u = 0; u < units; u += each) {
            const std::size_t some = std::min(each, units - u), first = u * unit;
            const std::size_t part_blocks = std::min(some * unit, blocks - first);
            const depth_part part{first * layout::steps,
                                  Divides ? u : 0,
                                  Divides ? some : 1,
                                  (Divides ? unit : part_blocks) * layout::steps,
                                  u == 0,
                                  u + some == units};
            const std::size_t here = first * block_bytes;
            decoder<Unit, R> packed{w.data + panel * bytes + here, bytes,
                                    part.ends ? R * bytes - here : part_blocks * block_bytes,
                                    m.decoded};
            w.scales.template decode<R, arch>(panel, w.groups(), part.first_group, part.groups,
                                              m.scales);
            // The first columns decode the weights on their way.
            constexpr std::size_t decoding = panels_of::template decoding_columns<R>;
            bool decodes = decoding != 0 && b.count >= decoding;
            if (!decodes)
                packed.skip(part_blocks * layout::steps);
            for (std::size_t c = 0, tile; c < b.count; c += tile) {
                const std::size_t left = b.count - c, tiles = (left + C - 1) / C;
                tile = decodes ? decoding : (left + tiles - 1) / tiles;
                if constexpr (decoding != 0)
                    if (decodes)
                        add_up<R, decoding, Divides>(packed, part, b, c, w.groups(), m, finished);
                if (!decodes)
                    multiply<R, C, Divides>(w, part, b, c, tile, m, finished);
                decodes = false;
                if (!part.ends)
                    continue;
                if constexpr (!Divides)
                    scale_rows<R>(b, c, tile, m.scales, finished);
                sink(b.first + c, tile, row, valid, finished, height);
            }
        }
    }
    /// Turns the integer sums of rows into floats, each with the scale of its row.
    template <std::size_t R>
    static void scale_rows(const batch& b, std::size_t column, std::size_t count,
                           const float* scales, float* at) noexcept {
        for (std::size_t c = 0; c < count; ++c)
            for (std::size_t r = 0; r < R; ++r, at += lanes) {
                const reals s = simd::load<float, arch>(at);
                simd::store<arch>(at, scaled<arch>(simd::as<std::int32_t>(s),
                                                   with_activations<arch>(
                                                       simd::load<float, arch>(scales + r * lanes),
                                                       b.x.scale, b.first + column + c)));
            }
    }

    template <std::size_t R, std::size_t C, bool Divides>
    static void multiply(const group_view& w, const depth_part& part, const batch& b, std::size_t c,
                         std::size_t count, const memory& m, float* finished) {
        if (count == C)
            add_up<R, C, Divides>(decoded<engine, R>{m.decoded}, part, b, c, w.groups(), m,
                                  finished);
        else if constexpr (C > 1)
            multiply<R, C - 1, Divides>(w, part, b, c, count, m, finished);
    }
    /// Multiplies a part by C columns. Their sums, of floats, or of integers where a part does not
    /// end the row, wait in m.kept until the last part leaves them in `finished`.
    template <std::size_t R, std::size_t C, bool Divides, class Weights>
    static S3_NOINLINE void add_up(Weights weights, const depth_part& part, const batch& b,
                                   std::size_t column, std::size_t groups, const memory& m,
                                   float* finished) {
        using tile = tile_for<engine, R, C>;
        constexpr std::size_t height = R * lanes;
        const activations x = b.x;
        const std::size_t n = b.first + column, last = part.groups - 1, steps = part.steps;
        const bool ends = part.ends;
        float* const kept = m.kept + column * height;
        const float* from = part.begins ? finished : kept;
        if (part.begins)
            begin<R, C, Divides>(x, n, finished);
        const float* scales = m.scales;
        const staged* at = x.data + n * x.stride + part.first_step * layout::depth_per_step;
        for (std::size_t g = 0; g <= last; ++g) {
            float* const to = g == last && !ends ? kept : finished;
            const std::size_t first = n * groups + part.first_group + g;
            const spaced_columns<staged> columns{&at, std::max<std::size_t>(steps, 1), x.stride};
            accumulate<tile>(
                weights,
                typename spaced_columns<staged>::template source<typename tile::reads, C>(columns),
                steps,
                [&](std::size_t c, std::size_t r) S3_INLINE_LAMBDA {
                    if constexpr (Divides)
                        return start_of(x, first + c * groups);
                    else
                        return simd::as<lane>(
                            simd::load<float, arch>(from + c * height + r * lanes));
                },
                [&](std::size_t c, const sums(&s)[R]) S3_INLINE_LAMBDA {
                    const float* const begin = from + c * height;
                    float* const end = to + c * height;
                    const bool scales_activations = Divides && x.scale != nullptr;
                    const reals of_activations = simd::broadcast<float, arch>(
                        scales_activations ? x.scale[first + c * groups] : 1.0f);
                    S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r) {
                        // GCC would otherwise have two forms of each sum in the loop above.
                        const sums sum = simd::in_register(s[r]);
                        reals v = simd::as<float>(sum);
                        if constexpr (Divides) {
                            reals scale = simd::load<float, arch>(scales + r * lanes);
                            if (scales_activations)
                                scale = simd::rounded_product(scale, of_activations);
                            v = simd::load<float, arch>(begin + r * lanes) +
                                scaled<arch>(simd::as<std::int32_t>(sum), scale);
                        }
                        simd::store<arch>(end + r * lanes, v);
                    }
                });
            from = finished;
            scales += height;
            weights.pass(steps);
            at += steps * layout::depth_per_step;
        }
    }
    /// What sums begin with: floats, −0, since that added to v is v, also if v is 0; or integers,
    /// what the sum of the only group starts from.
    template <std::size_t R, std::size_t C, bool Divides>
    static void begin(const activations& x, std::size_t n, float* to) noexcept {
        for (std::size_t c = 0; c < C; ++c) {
            reals v = simd::broadcast<float, arch>(-0.0f);
            if constexpr (!Divides)
                v = simd::as<float>(start_of(x, n + c));
            for (std::size_t r = 0; r < R; ++r, to += lanes)
                simd::store<arch>(to, v);
        }
    }
};

} // namespace s3::kernel
