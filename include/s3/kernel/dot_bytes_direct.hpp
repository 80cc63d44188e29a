#pragma once
// Convolution with few channels, NHWC, one group, dilation of width 1: under every row of the
// filter lie kw·C contiguous bytes of the image. Where padding or signs are in the way, a band of
// image rows is staged once, as unsigned bytes (signed ones + 128); then an output pixel's window
// is kh runs of bytes at known places, and no tap needs a pointer or a copy of its own. A 1-D
// convolution is a band of one row, and to a 1 × 1 filter all images are one row.
//
// Weights: int8, decoded beforehand since there are few, [block of R panels][row of the filter]
// [step of 4 bytes][R] vectors, zero where a run is rounded up to whole steps.

#include <s3/format/activation.hpp>
#include <s3/kernel/dot_bytes_panels.hpp>
#include <s3/kernel/parts/pixels.hpp>
#include <s3/kernel/seams.hpp>
#include <s3/pack/pack.hpp>
#include <s3/simd/arch.hpp>

namespace s3::kernel {

template <weight_format F, activation X, class Arch>
inline constexpr bool has_window = simd::has_bytes<Arch>&& std::integral<X>&& fits_bytes<F>;

/// Where the windows of adjacent output pixels lie: run r of pixel c is the `steps` steps from
/// runs[r] + c·distance on.
struct window_runs {
    const std::uint8_t* const* runs;
    std::size_t count;
    std::size_t steps;
    std::size_t distance;
};

/// R × C sums in registers: R vectors of weights meet the windows of C pixels.
template <class Engine, std::size_t R>
struct window_tile {
    using arch = typename Engine::arch;
    static constexpr std::size_t lanes = simd::width32<arch>;
    using vectors = typename Engine::sums[R];
    /// finish(c, vectors) for C pixels c from pixel `first` on. Where sums must be widened on the
    /// way, it stores them in sums[c·stride + row].
    template <std::size_t C, class Finish>
    static S3_NOINLINE void run(const std::int32_t* S3_RESTRICT w, const window_runs& x,
                                std::size_t first, const std::int32_t* initial,
                                const std::int32_t* sums, std::size_t stride,
                                const Finish& finish) {
        using partial = typename Engine::partial;
        constexpr std::size_t bytes = Engine::columns_per_step;
        const std::size_t distance = x.distance;
        std::size_t left = x.count * x.steps, r = 0, at = 0;
        const std::int32_t* from = initial;
        std::size_t from_stride = 0;
        do {
            partial p[C][R];
            S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
                S3_UNROLL_FOR(std::size_t i = 0; i < R; ++i)
                    if constexpr (Engine::narrow)
                        p[c][i] = partial(0);
                    else
                        p[c][i] =
                            simd::load<std::int32_t, arch>(from + c * from_stride + i * lanes);
            // A stretch of steps ends with its run, or where the partial sums must widen.
            std::size_t room = std::min<std::size_t>(left, Engine::widen_every);
            left -= room;
            while (room > 0) {
                const std::size_t now = std::min(room, x.steps - at);
                // One pointer for three pixels: the others are at 1 and 2 distances from it.
                const std::uint8_t* q[(C + 2) / 3];
                S3_UNROLL_FOR(std::size_t g = 0; g < (C + 2) / 3; ++g)
                    q[g] = x.runs[r] + (first + 3 * g) * distance + at * bytes;
                for (std::size_t s = 0; s < now; ++s, w += R * lanes) {
                    typename Engine::weights v[R];
                    S3_UNROLL_FOR(std::size_t i = 0; i < R; ++i)
                        v[i] = Engine::load(w + i * lanes);
                    S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c) {
                        const auto xc = Engine::broadcast(q[c / 3] + c % 3 * distance);
                        S3_UNROLL_FOR(std::size_t i = 0; i < R; ++i)
                            p[c][i] = Engine::step(p[c][i], xc, v[i]);
                    }
                    S3_UNROLL_FOR(std::size_t g = 0; g < (C + 2) / 3; ++g)
                        q[g] += bytes;
                }
                room -= now;
                at += now;
                if (at == x.steps)
                    at = 0, ++r;
            }
            vectors total[C];
            S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
                S3_UNROLL_FOR(std::size_t i = 0; i < R; ++i)
                    if constexpr (Engine::narrow)
                        total[c][i] =
                            Engine::widen(p[c][i]) +
                            simd::load<std::int32_t, arch>(from + c * from_stride + i * lanes);
                    else
                        total[c][i] = p[c][i];
            // In order: what a vector writes beyond the rows is the next pixel's to overwrite.
            S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
                finish(c, total[c]);
            from = sums;
            from_stride = stride;
        } while (left > 0);
    }
};

template <weight_format F, activation X, class Arch>
requires has_window<F, X, Arch>
struct window {
    using engine = typename byte_dot<F, Arch>::engine;
    using sum = std::int32_t;
    static constexpr const char* name = "dot/window";
    static constexpr std::size_t panels = 2;
    static constexpr std::size_t lanes = simd::width32<Arch>;
    /// Pixels of a tile, two panels by which registers hold, and of small ones; widths are often
    /// multiples of 7 or of 8.
    static constexpr std::size_t columns = simd::register_count<Arch> >= 32 ? 14 : 6;
    static constexpr std::size_t few = simd::register_count<Arch> >= 32 ? 8 : 3;
    static constexpr std::size_t fewest = simd::register_count<Arch> >= 32 ? 4 : 3;
    /// Output pixels whose band is staged together.
    static constexpr std::size_t band = 112;

    struct filter {
        filter_shape shape;
        std::size_t distance = 0; ///< bytes from one output pixel's window to the next one's
        buffer<std::int32_t> weights;
        buffer<std::int32_t> initial;

        std::size_t run_bytes() const noexcept { return shape.width * shape.in_channels; }
        std::size_t steps() const noexcept { return (run_bytes() + 3) / 4; }
        std::size_t rows() const noexcept {
            return (shape.out_channels + lanes - 1) / lanes * lanes;
        }
        /// Pixels that are finished together: some 4 KiB of sums, whole tiles.
        std::size_t strip() const noexcept {
            return std::clamp<std::size_t>(1024 / shape.out_channels / columns, 1,
                                           (band + columns - 1) / columns) *
                   columns;
        }
        /// Bytes of a staged row: whole steps, and pixels that are computed but not wanted.
        std::size_t row_bytes() const noexcept {
            return ((band + columns) * distance + run_bytes() + 67) / 64 * 64;
        }
    };

    static result<filter> prepare(const packed_filter<F>& from, const conv_options& o) {
        filter f{from.shape, o.stride.width * from.shape.in_channels, {}, {}};
        const std::size_t steps = f.steps(), depth = f.shape.height * steps;
        auto weights = buffer<std::int32_t>::make(saturating_mul(f.rows(), depth));
        auto initial = buffer<std::int32_t>::make(f.rows());
        if (!weights)
            return weights.error();
        if (!initial)
            return initial.error();
        auto* bytes = reinterpret_cast<std::int8_t*>(weights->data());
        for (std::size_t m = 0; m < f.shape.out_channels; ++m) {
            const std::size_t first = m / (panels * lanes) * (panels * lanes);
            const std::size_t together = std::min(panels * lanes, f.rows() - first);
            for (std::size_t r = 0, k = 0; r < f.shape.height; ++r)
                for (std::size_t i = 0; i < f.run_bytes(); ++i, ++k) {
                    const std::size_t step = r * steps + i / 4;
                    bytes[4 * (first * depth + step * together + m - first) + i % 4] =
                        static_cast<std::int8_t>(from.matrix.value(m, k));
                }
            if constexpr (std::is_signed_v<X>)
                (*initial)[m] = static_cast<std::int32_t>(-128 * from.matrix.sums()[m]);
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
        return sums_bytes(f) + pixel_sink_bytes(f.shape.out_channels) +
               f.shape.height * (f.row_bytes() + sizeof(place) + sizeof(void*));
    }

    /// Output pixels [begin, end) of x (NHWC). `sink` as in tile.hpp. `scratch` is 64-byte aligned.
    template <class Sink>
    static void run(const filter& f, const image_view<const X>& x, const extent& out,
                    const conv_options& o, std::size_t begin, std::size_t end, const Sink& sink,
                    std::byte* scratch) {
        if (f.shape.height * f.shape.width * o.stride.height * o.stride.width == 1 &&
            o.padding.height + o.padding.width == 0) {
            const std::size_t pixels = units(x.batch, out);
            bands(f, {x.data, 1, 1, pixels, x.channels}, {1, pixels}, o, begin, end, sink, scratch);
        } else {
            bands(f, x, out, o, begin, end, sink, scratch);
        }
    }

private:
    template <class Sink>
    static void bands(const filter& f, const image_view<const X>& x, const extent& out,
                      const conv_options& o, std::size_t begin, std::size_t end, const Sink& sink,
                      std::byte* scratch) {
        const std::size_t rows = f.shape.out_channels, height = f.shape.height;
        auto* sums = reinterpret_cast<std::int32_t*>(scratch);
        scratch += sums_bytes(f);
        const pixel_sink<Sink> store(sink, rows, scratch);
        scratch += pixel_sink_bytes(rows);
        auto* staged = reinterpret_cast<std::uint8_t*>(scratch);
        auto** runs = reinterpret_cast<const std::uint8_t**>(staged + height * f.row_bytes());
        auto* held = reinterpret_cast<place*>(runs + height);
        std::fill_n(held, height, place{});
        for (std::size_t n = begin; n < end;) {
            const std::size_t count = std::min({out.width - n % out.width, end - n, band});
            const auto window = s3::detail::pixel_window::of(n, out, o);
            for (std::size_t r = 0; r < height; ++r) {
                // Rows that the next window shares stay where they are.
                const std::size_t h = window.row(r, o);
                runs[r] = in_place(f, x, o, {window.image, h, window.left, count});
                if (runs[r] != nullptr)
                    continue;
                const std::size_t slot =
                    o.dilation.height == 1 ? (h + o.padding.height) % height : r;
                runs[r] = staged + slot * f.row_bytes();
                const place wanted{window.image, h, window.left, count};
                if (held[slot] != wanted)
                    stage(f, x, o, wanted, staged + slot * f.row_bytes());
                held[slot] = wanted;
            }
            // Rows of zeros at either end need no products.
            std::size_t above = 0, below = height;
            if (!std::is_signed_v<X> && o.padding_value == 0) {
                while (above < below && window.row(above, o) >= x.height)
                    ++above;
                while (above < below && window.row(below - 1, o) >= x.height)
                    --below;
            }
            const window_runs at{runs + above, below - above, f.steps(), f.distance};
            const std::size_t tile = tile_pixels(count), together = f.strip() / tile * tile;
            std::size_t c = 0;
            if constexpr (!engine::narrow &&
                          requires { sink.template finisher<Arch, panels>(0, nullptr, nullptr); })
                if (rows % (panels * lanes) == 0) {
                    if (sink.template finishes_registers<false>())
                        c = finish<false>(f, at, above, n, count, tile, sink);
                    else if (sink.template finishes_registers<true>())
                        c = finish<true>(f, at, above, n, count, tile, sink);
                }
            for (; c < count; c += together) {
                const std::size_t some = std::min(together, count - c);
                for (std::size_t i = 0; i < some; i += tile)
                    multiply(f, at, above, c + i, std::min(tile, some - i), sums + i * rows);
                store(n + c, some, sums);
            }
            n += count;
        }
    }

    /// What a staged row holds: the pixels under the windows of `count` outputs.
    struct place {
        std::size_t image = 0, row = 0, left = 0, count = 0;
        friend bool operator==(const place&, const place&) = default;
    };

    /// The size of a tile of its own for this many pixels.
    static constexpr std::size_t fitting(std::size_t count) noexcept {
        return count > few ? columns : count > fewest ? few : fewest;
    }
    /// The tile that cuts `count` pixels with the least waste. A tile smaller than `few` behind it
    /// is as slow as one of two pixels more.
    static constexpr std::size_t tile_pixels(std::size_t count) noexcept {
        const auto cost = [count](std::size_t tile) {
            const std::size_t rest = count % tile, last = rest == 0 ? 0 : fitting(rest);
            return count - rest + last + (last != 0 && last < few ? 2 : 0);
        };
        return cost(few) < cost(columns) ? few : columns;
    }

    static std::size_t sums_bytes(const filter& f) noexcept {
        return (f.strip() * f.shape.out_channels + panels * lanes) * sizeof(std::int32_t) / 64 *
                   64 +
               64;
    }

    /// sums[pixel][row] of `count` pixels from `first` on, and maybe of some more.
    static void multiply(const filter& f, const window_runs& x, std::size_t first_run,
                         std::size_t first, std::size_t count, std::int32_t* sums) {
        const std::size_t rows = f.shape.out_channels, depth = f.shape.height * x.steps;
        // From the last panels on: what these write beyond the rows is the first ones' to
        // overwrite.
        for (std::size_t m = (rows - 1) / (panels * lanes) * (panels * lanes) + panels * lanes;
             m > 0;) {
            m -= panels * lanes;
            const auto* w = f.weights.data() + m * depth;
            const auto* initial = f.initial.data() + m;
            const std::size_t skipped = first_run * x.steps * lanes;
            if (rows - m > lanes)
                pass<panels>(w + panels * skipped, x, first, count, initial, sums + m, rows);
            else
                pass<1>(w + skipped, x, first, count, initial, sums + m, rows);
        }
    }
    template <std::size_t R>
    static S3_INLINE void pass(const std::int32_t* w, const window_runs& x, std::size_t first,
                               std::size_t count, const std::int32_t* initial, std::int32_t* sums,
                               std::size_t stride) {
        using tile = window_tile<engine, R>;
        const auto store = [=](std::size_t c, const typename tile::vectors& v) S3_INLINE_LAMBDA {
            S3_UNROLL_FOR(std::size_t i = 0; i < R; ++i)
                simd::store<Arch>(sums + c * stride + i * lanes, v[i]);
        };
        const auto run = [&]<std::size_t C>(std::integral_constant<std::size_t, C>) {
            tile::template run<C>(w, x, first, initial, sums, stride, store);
        };
        if (fitting(count) == columns)
            run(std::integral_constant<std::size_t, columns>{});
        else if (fitting(count) == few)
            run(std::integral_constant<std::size_t, few>{});
        else
            run(std::integral_constant<std::size_t, fewest>{});
    }
    /// Whole tiles of `count` pixels from n on, from registers to outputs. Returns their pixels.
    template <bool Residual, class Sink>
    static std::size_t finish(const filter& f, const window_runs& x, std::size_t first_run,
                              std::size_t n, std::size_t count, std::size_t tile,
                              const Sink& sink) {
        std::size_t to[band], c = 0;
        sink.place(n, count, to);
        for (; count - c >= tile; c += tile)
            if (tile == few)
                finish_tile<few, Residual>(f, x, first_run, c, sink, to + c);
            else
                finish_tile<columns, Residual>(f, x, first_run, c, sink, to + c);
        return c;
    }
    template <std::size_t C, bool Residual, class Sink>
    static void finish_tile(const filter& f, const window_runs& x, std::size_t first_run,
                            std::size_t first, const Sink& sink, const std::size_t* to) {
        using tile = window_tile<engine, panels>;
        const std::size_t depth = f.shape.height * x.steps;
        for (std::size_t m = 0; m < f.shape.out_channels; m += panels * lanes) {
            alignas(64) std::int32_t start[panels * lanes];
            const auto finish =
                sink.template finisher<Arch, panels, Residual>(m, f.initial.data() + m, start);
            tile::template run<C>(f.weights.data() + m * depth +
                                      first_run * x.steps * panels * lanes,
                                  x, first, start, nullptr, 0,
                                  [&](std::size_t c, const typename tile::vectors& v)
                                      S3_INLINE_LAMBDA { finish(to[c] + m, v); });
        }
    }

    /// Where the image itself is what would be staged, for whole tiles of pixels; else null.
    static const std::uint8_t* in_place(const filter& f, const image_view<const X>& x,
                                        const conv_options& o, const place& p) noexcept {
        if (std::is_signed_v<X> || p.row >= x.height || p.left >= x.width ||
            (p.count - 1) * o.stride.width + f.shape.width > x.width - p.left)
            return nullptr;
        const std::size_t at = x.index(p.image, p.row, p.left, 0);
        const std::size_t computed = (p.count + columns - 1) / columns * columns;
        const std::size_t bytes =
            (computed - 1) * f.distance + f.steps() * engine::columns_per_step;
        return bytes <= x.data.size() - at
                   ? reinterpret_cast<const std::uint8_t*>(x.data.data()) + at
                   : nullptr;
    }

    /// The pixels of one image row, padding where there are none.
    static void stage(const filter& f, const image_view<const X>& x, const conv_options& o,
                      const place& p, std::uint8_t* to) {
        const std::size_t channels = f.shape.in_channels;
        const std::size_t wanted = (p.count - 1) * o.stride.width + f.shape.width;
        constexpr std::uint8_t flip = std::is_signed_v<X> ? 128 : 0;
        const auto pad =
            static_cast<std::uint8_t>(static_cast<std::uint8_t>(o.padding_value) ^ flip);
        // Numbers below zero wrap: columns left of the image are larger than any in it.
        const bool starts_left = p.left > x.width;
        const std::size_t before = p.row >= x.height ? wanted
                                   : starts_left     ? std::min(wanted, std::size_t{0} - p.left)
                                                     : 0;
        const std::size_t first = starts_left ? 0 : p.left;
        const std::size_t inside = std::min(wanted - before, x.width - std::min(first, x.width));
        to = std::fill_n(to, before * channels, pad);
        if (inside != 0) {
            const X* from = x.data.data() + x.index(p.image, p.row, first, 0);
            for (std::size_t i = 0; i < inside * channels; ++i)
                to[i] = static_cast<std::uint8_t>(static_cast<std::uint8_t>(from[i]) ^ flip);
            to += inside * channels;
        }
        std::fill_n(to, (wanted - before - inside) * channels, pad);
    }
};

/// Serves where pointers to the taps of each pixel cost more than tiles of a line, the last of
/// which is seldom full, and decoded weights and a staged band stay in the cache.
template <weight_format F, activation X, architecture Arch>
struct dot_bytes_direct {
    static constexpr const char* name = "dot_bytes_direct";
    static constexpr s3::family family = s3::family::dot;
    static constexpr connection kind = connection::dense;
    static constexpr bool exists = has_window<F, X, Arch>;
    static constexpr rank_range ranks{0, 150};
    static constexpr int rank(const convolution_request& r) noexcept {
        const filter_shape& f = r.shape;
        const conv_options& o = r.options;
        const bool pointwise = f.height * f.width == 1;
        const bool short_lines = o.stride.width > 1 && r.batch < 64;
        const bool few_channels = std::min(f.in_channels, f.out_channels) < 64;
        return (pointwise ? !short_lines : few_channels || f.height == 1) && r.product == family &&
                       o.groups == 1 && (o.dilation.width == 1 || f.width == 1) &&
                       f.columns() != 0 && f.out_channels != 0 &&
                       f.columns() <= (std::size_t{1} << 18) / f.out_channels &&
                       saturating_mul(o.stride.width, f.height * f.in_channels) <= 2048
                   ? ranks.most
                   : 0;
    }
    static auto loop() { return std::type_identity<window<F, X, Arch>>{}; }
};

/// The same on vectors of half the size, for filters whose output channels would leave half of a
/// whole vector empty.
template <weight_format F, activation X, architecture Arch>
struct dot_bytes_direct_half : dot_bytes_direct<F, X, Arch> {
    using whole = dot_bytes_direct<F, X, Arch>;
    using half = simd::half<Arch>;
    static constexpr const char* name = "dot_bytes_direct_half";
    static constexpr bool exists = has_window<F, X, half>;
    static constexpr rank_range ranks{0, 200};
    static constexpr int rank(const convolution_request& r) noexcept {
        return whole::rank(r) != 0 && r.shape.out_channels <= simd::width32<half> ? ranks.most : 0;
    }
    static auto loop() { return std::type_identity<window<F, X, half>>{}; }
};

} // namespace s3::kernel
