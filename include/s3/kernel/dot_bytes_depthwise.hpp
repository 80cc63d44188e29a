#pragma once
// Depthwise convolution of bytes (one input and one output channel per group), NHWC. A 32-bit lane
// is a channel, and its four bytes are taps one above another, so one step of the engine of
// dot_bytes_panels.hpp multiplies four rows of the filter. For a span of an output row and a block
// of 64 channels, each column of the image is interleaved once, in groups of four filter rows:
//
//   image rows 0 … 3   →   column, group 0:   lane of channel c      lane of channel c + 1
//                                             r0  r1  r2  r3         r0  r1  r2  r3      …
//
// Padding is included, and signed bytes are staged + 128; a window then consists of the columns
// under it. Weights lie in the same order, 4 bytes to a lane: [block of 64 channels][column of the
// filter][group of 4 rows][channel].

#include <s3/format/activation.hpp>
#include <s3/kernel/dot_bytes_panels.hpp>
#include <s3/kernel/parts/pixels.hpp>
#include <s3/kernel/seams.hpp>
#include <s3/pack/pack.hpp>
#include <s3/simd/interleave.hpp>

namespace s3::kernel {

/// Serves every format whose values fit bytes; only `prepare` depends on the format.
template <multiply_engine Engine, std::integral X>
struct depthwise_bytes {
    using engine = Engine;
    using arch = typename Engine::arch;
    using sum = std::int32_t;
    static constexpr std::size_t lanes = simd::width32<arch>;
    static constexpr std::size_t block = 64; ///< channels whose columns are interleaved together
    static constexpr std::size_t pixels = 7; ///< of a register tile; divides many image widths
    /// The largest number of output pixels in a span.
    static constexpr std::size_t span_limit = 4 * pixels;

    struct filter {
        filter_shape shape;
        std::size_t groups = 0; ///< groups of four filter rows
        std::size_t stride = 0; ///< image columns from one output pixel to the next
        std::size_t reach = 0;  ///< image columns from a window's first to its last
        buffer<std::int32_t> weights;
        buffer<std::int32_t> initial;

        /// Output pixels of a span: so few that the columns interleaved for them stay in the
        /// first-level cache.
        std::size_t span() const noexcept {
            return std::clamp<std::size_t>(2 * span_limit / (stride * groups) / pixels, 1,
                                           span_limit / pixels) *
                   pixels;
        }
        std::size_t column_bytes() const noexcept { return groups * block * 4; }
        std::size_t columns() const noexcept { return (span() - 1) * stride + reach + 1; }
    };

    template <weight_format F>
    static result<filter> prepare(const packed_filter<F>& from, const conv_options& o) {
        const auto& m = from.matrix;
        filter f{from.shape,
                 (from.shape.height + 3) / 4,
                 o.stride.width,
                 o.dilation.width * (from.shape.width - 1),
                 {},
                 {}};
        const std::size_t steps = f.shape.width * f.groups;
        const std::size_t padded = (m.rows() + block - 1) / block * block;
        auto weights = buffer<std::int32_t>::make(saturating_mul(padded, steps));
        auto initial = buffer<std::int32_t>::make(padded);
        if (!weights)
            return weights.error();
        if (!initial)
            return initial.error();
        auto* bytes = reinterpret_cast<std::int8_t*>(weights->data());
        for (std::size_t c = 0; c < m.rows(); ++c) {
            for (std::size_t h = 0, t = 0; h < f.shape.height; ++h)
                for (std::size_t w = 0; w < f.shape.width; ++w, ++t) {
                    const std::size_t step = c / block * steps + w * f.groups + h / 4;
                    bytes[(step * block + c % block) * 4 + h % 4] =
                        static_cast<std::int8_t>(m.value(c, t));
                }
            if constexpr (std::is_signed_v<X>)
                (*initial)[c] = static_cast<std::int32_t>(-128 * m.sums()[c]);
        }
        f.weights = *std::move(weights);
        f.initial = *std::move(initial);
        return f;
    }

    /// Work is counted in output pixels.
    static std::size_t units(std::size_t batch, const extent& out) noexcept {
        return batch * out.height * out.width;
    }
    static std::size_t scratch_bytes(const filter& f) noexcept {
        return f.columns() * f.column_bytes() + f.span() * block * sizeof(std::int32_t) + block;
    }

    /// Computes output pixels [begin, end) of x (NHWC) and hands them to `sink` (ops/store.hpp).
    /// `scratch` has scratch_bytes(f) bytes, aligned to 64.
    template <class Sink>
    static void run(const filter& f, const image_view<const X>& x, const extent& out,
                    const conv_options& o, std::size_t begin, std::size_t end, const Sink& sink,
                    std::byte* scratch) {
        auto* columns = reinterpret_cast<std::uint8_t*>(scratch);
        auto* sums = reinterpret_cast<std::int32_t*>(columns + f.columns() * f.column_bytes());
        auto* outside = reinterpret_cast<std::uint8_t*>(sums + f.span() * block);
        std::fill_n(outside, block, static_cast<std::uint8_t>(o.padding_value));
        for (std::size_t n = begin; n < end;) {
            const std::size_t count = std::min({out.width - n % out.width, end - n, f.span()});
            const auto window = s3::detail::pixel_window::of(n, out, o);
            [[maybe_unused]] std::size_t to[span_limit];
            if constexpr (finishes<Sink>)
                sink.place(n, count, to);
            for (std::size_t c = 0; c < x.channels; c += block) {
                const std::size_t channels = std::min(block, x.channels - c);
                interleave(f, x, o, window, c, channels, (count - 1) * f.stride + f.reach + 1,
                           outside, columns);
                std::size_t i = 0;
                if constexpr (finishes<Sink>)
                    if (sink.template finishes_registers<false>()) {
                        i = finish<2>(f, o, columns, c, i, channels, count, sink, to);
                        i = finish<1>(f, o, columns, c, i, channels, count, sink, to);
                    }
                if (i == channels)
                    continue;
                const std::size_t first = i;
                for (; i < channels; i += lanes)
                    multiply<1>(f, o, columns, c, i, f.initial.data() + c + i, count,
                                [&](std::size_t p, const vectors<1>& v) S3_INLINE_LAMBDA {
                                    simd::store<arch>(sums + p * block + i, v[0]);
                                });
                store_columns(sink, n, count, c + first, channels - first, sums + first, block);
            }
            n += count;
        }
    }

private:
    template <std::size_t V>
    using vectors = typename engine::sums[V];

    /// Whether a register tile can hold two vectors of channels, and the sink takes sums directly
    /// from registers.
    template <class Sink>
    static constexpr bool finishes =
        simd::register_count<arch> >= 32 && !engine::narrow && requires(const Sink& s) {
        s.template finisher<arch, 2>(0, nullptr, nullptr);
    };

    /// Interleaves `count` columns of the image, from the window's left on, of the channels [c, c +
    /// channels): [column][group][channel], 4 bytes (rows) each.
    static void interleave(const filter& f, const image_view<const X>& x, const conv_options& o,
                           const s3::detail::pixel_window& window, std::size_t c,
                           std::size_t channels, std::size_t count, const std::uint8_t* outside,
                           std::uint8_t* to) {
        // Column numbers below zero wrap, so columns left of the image seem larger than any in it.
        const std::size_t before =
            window.left > x.width ? std::min(count, std::size_t{0} - window.left) : 0;
        const std::size_t first = window.left > x.width ? 0 : window.left;
        const std::size_t inside = std::min(count - before, x.width - std::min(first, x.width));
        const auto each = channels == 64   ? &interleave_columns<64>
                          : channels == 32 ? &interleave_columns<32>
                          : channels == 16 ? &interleave_columns<16>
                                           : &interleave_columns<0>;
        for (std::size_t g = 0; g < f.groups; ++g, to += block * 4) {
            row_pointers padding{}, image{};
            for (std::size_t r = 0; r < 4; ++r) {
                // Beyond the filter's last row weights are zero, so any row of the image serves.
                const std::size_t h = window.row(std::min(4 * g + r, f.shape.height - 1), o);
                const bool exists = h < x.height && inside != 0;
                padding.at[r] = image.at[r] = outside;
                if (exists)
                    image.at[r] = reinterpret_cast<const std::uint8_t*>(x.data.data()) +
                                  x.index(window.image, h, first, c);
                image.step[r] = exists ? x.channels : 0;
            }
            const std::size_t column = f.column_bytes();
            each(padding, before, channels, to, column);
            each(image, inside, channels, to + before * column, column);
            each(padding, count - before - inside, channels, to + (before + inside) * column,
                 column);
        }
    }

    struct row_pointers {
        const std::uint8_t* at[4];
        std::size_t step[4];
    };
    /// Interleaves `count` columns of `Channels` channels, or of `channels` where `Channels` is 0;
    /// a constant number makes the loop over channels faster.
    template <std::size_t Channels>
    static void interleave_columns(row_pointers rows, std::size_t count, std::size_t channels,
                                   std::uint8_t* to, std::size_t column) {
        for (std::size_t i = 0; i < count; ++i, to += column) {
            simd::interleave<arch, std::is_signed_v<X>>(rows.at,
                                                        Channels == 0 ? channels : Channels, to);
            S3_UNROLL_FOR(std::size_t r = 0; r < 4; ++r)
                rows.at[r] += rows.step[r];
        }
    }

    /// Computes, of the channels from c + i on, as many groups of V vectors as there are, and
    /// writes their outputs from registers to the places `to`. Returns the first i that is left.
    template <std::size_t V, class Sink>
    static S3_INLINE std::size_t finish(const filter& f, const conv_options& o,
                                        const std::uint8_t* columns, std::size_t c, std::size_t i,
                                        std::size_t channels, std::size_t count, const Sink& sink,
                                        const std::size_t* to) {
        for (; i + V * lanes <= channels; i += V * lanes) {
            alignas(64) std::int32_t start[V * lanes];
            const std::size_t m = c + i;
            const auto finish = sink.template finisher<arch, V>(m, f.initial.data() + m, start);
            multiply<V>(f, o, columns, c, i, start, count,
                        [&](std::size_t p, const vectors<V>& v)
                            S3_INLINE_LAMBDA { finish(to[p] + m, v); });
        }
        return i;
    }

    /// Computes the V vectors of channels from c + i on for `count` pixels; calls finish(p,
    /// vectors) for each pixel p.
    template <std::size_t V, class Finish>
    static S3_INLINE void
    multiply(const filter& f, const conv_options& o, const std::uint8_t* columns, std::size_t c,
             std::size_t i, const std::int32_t* initial, std::size_t count, const Finish& finish) {
        const std::int32_t* w = f.weights.data() + c * f.shape.width * f.groups + i;
        std::size_t p = 0;
        const auto tiles = [&]<std::size_t C>(std::integral_constant<std::size_t, C>) {
            for (; p + C <= count; p += C)
                tile<C, V>(f, o, columns + p * f.stride * f.column_bytes() + 4 * i, w, initial, p,
                           finish);
        };
        tiles(std::integral_constant<std::size_t, pixels>{});
        tiles(std::integral_constant<std::size_t, 2>{});
        tiles(std::integral_constant<std::size_t, 1>{});
    }

    /// Computes the pixels p … p + C − 1 as one register tile.
    template <std::size_t C, std::size_t V, class Finish>
    static S3_INLINE void tile(const filter& f, const conv_options& o, const std::uint8_t* x,
                               const std::int32_t* w, const std::int32_t* initial, std::size_t p,
                               const Finish& finish) {
        vectors<V> total[C];
        typename engine::partial part[C][V];
        S3_UNROLL_FOR(std::size_t i = 0; i < C; ++i)
            S3_UNROLL_FOR(std::size_t v = 0; v < V; ++v) {
                total[i][v] = simd::load<std::int32_t, arch>(initial + v * lanes);
                if constexpr (engine::narrow)
                    part[i][v] = typename engine::partial(0);
                else
                    part[i][v] = total[i][v];
            }
        const std::size_t column = f.column_bytes(), next = f.stride * column;
        std::size_t room = engine::widen_every;
        for (std::size_t k = 0; k < f.shape.width; ++k, x += o.dilation.width * column)
            for (std::size_t g = 0; g < f.groups; ++g, w += block) {
                typename engine::weights weights[V];
                S3_UNROLL_FOR(std::size_t v = 0; v < V; ++v)
                    weights[v] = engine::load(w + v * lanes);
                S3_UNROLL_FOR(std::size_t i = 0; i < C; ++i)
                    S3_UNROLL_FOR(std::size_t v = 0; v < V; ++v)
                        part[i][v] = engine::step(part[i][v],
                                                  simd::load<std::uint8_t, arch>(
                                                      x + i * next + (g * block + v * lanes) * 4),
                                                  weights[v]);
                if (engine::narrow && --room == 0) {
                    room = engine::widen_every;
                    S3_UNROLL_FOR(std::size_t i = 0; i < C; ++i)
                        S3_UNROLL_FOR(std::size_t v = 0; v < V; ++v) {
                            total[i][v] = total[i][v] + engine::widen(part[i][v]);
                            part[i][v] = typename engine::partial(0);
                        }
                }
            }
        S3_UNROLL_FOR(std::size_t i = 0; i < C; ++i) {
            S3_UNROLL_FOR(std::size_t v = 0; v < V; ++v)
                if constexpr (engine::narrow)
                    total[i][v] = total[i][v] + engine::widen(part[i][v]);
                else
                    total[i][v] = part[i][v];
            finish(p + i, total[i]);
        }
    }
};

template <weight_format F, activation X, architecture Arch>
struct dot_bytes_depthwise {
    static constexpr const char* name = "dot_bytes_depthwise";
    static constexpr s3::family family = s3::family::dot;
    static constexpr connection kind = connection::depthwise;
    static constexpr bool exists = has_byte_dot<F, X, Arch>;
    static constexpr rank_range ranks{0, 400};
    static constexpr int rank(const convolution_request& r) noexcept {
        return r.kind() == kind && fits_cache(r.shape, r.options) ? ranks.most : 0;
    }
    static auto loop() {
        return std::type_identity<depthwise_bytes<byte_engine_for<F, Arch>, X>>{};
    }

private:
    /// Whether the columns interleaved for a few output pixels stay in the first-level cache.
    static constexpr bool fits_cache(const filter_shape& f, const conv_options& o) noexcept {
        return f.height <= 16 && o.stride.width <= 4 && f.width <= 64 &&
               o.dilation.width * (f.width - 1) <= 64;
    }
};

} // namespace s3::kernel
