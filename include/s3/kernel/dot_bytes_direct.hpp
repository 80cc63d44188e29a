#pragma once
// Convolution with few channels, of what parts/row_filter.hpp describes. Image rows are staged once
// where padding or signs require it (parts/row_cache.hpp). An output pixel's window is then one run
// of bytes per filter row, at known places, so taps need neither pointers nor copies of their own
// (parts/window_product.hpp).

#include <s3/format/activation.hpp>
#include <s3/kernel/dot_bytes_panels.hpp>
#include <s3/kernel/parts/pixels.hpp>
#include <s3/kernel/parts/row_cache.hpp>
#include <s3/kernel/parts/row_filter.hpp>
#include <s3/kernel/parts/window_product.hpp>
#include <s3/kernel/seams.hpp>
#include <s3/simd/arch.hpp>

namespace s3::kernel {

/// Serves every format whose values fit bytes; only `prepare` depends on the format.
template <multiply_engine Engine, std::integral X>
struct direct_convolution {
    using engine = Engine;
    using arch = typename Engine::arch;
    using sum = std::int32_t;
    static constexpr std::size_t panels = 2;
    static constexpr std::size_t lanes = simd::width32<arch>;
    using product = window_product<engine, panels>;
    using tiles = typename product::tiles;
    /// The largest number of output pixels whose image rows are staged together.
    static constexpr std::size_t line = 112;

    struct filter : row_filter<lanes, panels * lanes, engine::depth_per_step> {
        /// Output pixels whose sums are finished together: whole tiles with about 4 KiB of sums.
        std::size_t pixels_together() const noexcept {
            return std::clamp<std::size_t>(1024 / this->shape.out_channels / tiles::wide, 1,
                                           (line + tiles::wide - 1) / tiles::wide) *
                   tiles::wide;
        }
        /// Bytes of a staged row: they include the padding of runs to whole steps, and the pixels
        /// that the last tile computes in excess.
        std::size_t row_bytes() const noexcept {
            return ((line + tiles::wide) * this->distance + this->run_bytes() + 67) / 64 * 64;
        }
        /// The bytes of a staged row that whole tiles read for `count` pixels.
        std::size_t read_bytes(std::size_t count) const noexcept {
            const std::size_t computed = (count + tiles::wide - 1) / tiles::wide * tiles::wide;
            return (computed - 1) * this->distance + this->steps() * engine::depth_per_step;
        }
    };

    template <weight_format F>
    static result<filter> prepare(const packed_filter<F>& from, const conv_options& o) {
        filter f;
        if (auto done = f.template fill<X>(from, o); !done)
            return done.error();
        return f;
    }

    /// Work is counted in output pixels.
    static std::size_t units(std::size_t batch, const extent& out) noexcept {
        return batch * out.height * out.width;
    }
    static std::size_t scratch_bytes(const filter& f) noexcept {
        return sums_bytes(f) + pixel_sink_bytes(f.shape.out_channels) + rows::bytes(f);
    }

    /// Computes output pixels [begin, end) of x (NHWC) and hands them to `sink` (ops/store.hpp).
    /// `scratch` has scratch_bytes(f) bytes, aligned to 64.
    template <class Sink>
    static void run(const filter& f, const image_view<const X>& x, const extent& out,
                    const conv_options& o, std::size_t begin, std::size_t end, const Sink& sink,
                    std::byte* scratch) {
        as_lines(f.shape, x, out, o, [&](const image_view<const X>& images, const extent& size) {
            lines(f, images, size, o, begin, end, sink, scratch);
        });
    }

private:
    using rows = row_cache<X, filter>;

    static std::size_t sums_bytes(const filter& f) noexcept {
        return (f.pixels_together() * f.shape.out_channels + product::block) *
                   sizeof(std::int32_t) / 64 * 64 +
               64;
    }

    /// Computes output pixels [begin, end), a line or a part of one at a time.
    template <class Sink>
    static void lines(const filter& f, const image_view<const X>& x, const extent& out,
                      const conv_options& o, std::size_t begin, std::size_t end, const Sink& sink,
                      std::byte* scratch) {
        auto* sums = reinterpret_cast<std::int32_t*>(scratch);
        scratch += sums_bytes(f);
        const pixel_sink<Sink> store(sink, f.shape.out_channels, scratch);
        scratch += pixel_sink_bytes(f.shape.out_channels);
        rows staged(f, x, o, scratch);
        for (std::size_t n = begin; n < end;) {
            const std::size_t count = std::min({out.width - n % out.width, end - n, line});
            const auto window = s3::detail::pixel_window::of(n, out, o);
            const filter_rows used = rows_inside(f.shape, x, o, window);
            const window_weights w{f.weights.data(),       f.initial.data(),
                                   f.shape.out_channels,   f.depth(),
                                   used.begin * f.steps(), (used.end - used.begin) * f.steps()};
            const spaced_columns<std::uint8_t> at{staged.rows(window, count) + used.begin,
                                                  f.steps(), f.distance};
            const std::size_t done = from_registers(w, at, n, count, sink);
            through_memory(f, w, at, n, done, count, sums, store);
            n += count;
        }
    }

    /// Computes whole tiles of the `count` pixels from n on, if the sink takes sums directly from
    /// registers. Returns how many pixels were computed.
    template <class Sink>
    static std::size_t from_registers(const window_weights& w,
                                      const spaced_columns<std::uint8_t>& x, std::size_t n,
                                      std::size_t count, const Sink& sink) {
        if constexpr (!engine::narrow &&
                      requires { sink.template finisher<arch, panels>(0, nullptr, nullptr); })
            if (w.rows % product::block == 0) {
                if (sink.template finishes_registers<false>())
                    return whole_tiles<false>(w, x, n, count, sink);
                if (sink.template finishes_registers<true>())
                    return whole_tiles<true>(w, x, n, count, sink);
            }
        return 0;
    }
    template <bool Residual, class Sink>
    static std::size_t whole_tiles(const window_weights& w, spaced_columns<std::uint8_t> x,
                                   std::size_t n, std::size_t count, const Sink& sink) {
        const std::size_t tile = tiles::best(count);
        std::size_t to[line];
        sink.place(n, count, to);
        for (; count - x.first >= tile; x.first += tile)
            if (tile == tiles::narrow)
                product::template to_outputs<tiles::narrow, Residual>(w, x, sink, to + x.first);
            else
                product::template to_outputs<tiles::wide, Residual>(w, x, sink, to + x.first);
        return x.first;
    }

    /// Computes pixels n + begin … n + count − 1 by way of memory: the sums of several tiles, then
    /// the outputs of all of them.
    template <class Store>
    static void through_memory(const filter& f, const window_weights& w,
                               spaced_columns<std::uint8_t> x, std::size_t n, std::size_t begin,
                               std::size_t count, std::int32_t* sums, const Store& store) {
        const std::size_t tile = tiles::best(count), together = f.pixels_together() / tile * tile;
        for (; begin < count; begin += together) {
            const std::size_t some = std::min(together, count - begin);
            for (std::size_t i = 0; i < some; i += tile) {
                x.first = begin + i;
                product::to_memory(w, x, std::min(tile, some - i), sums + i * w.rows);
            }
            store(n + begin, some, sums);
        }
    }
};

/// Few channels make a gather expensive: its pointers to the taps of every pixel cost more than the
/// last tile of each line does, which is seldom full. Both the decoded weights and the staged rows
/// must stay in the cache.
template <weight_format F, activation X, architecture Arch>
struct dot_bytes_direct {
    static constexpr const char* name = "dot_bytes_direct";
    static constexpr s3::family family = s3::family::dot;
    static constexpr connection kind = connection::dense;
    static constexpr bool exists = has_byte_dot<F, X, Arch>;
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
    static auto loop() {
        return std::type_identity<direct_convolution<byte_engine_for<F, Arch>, X>>{};
    }
};

/// The same on vectors of half the size, for filters that have too few output channels to fill more
/// than half of a whole vector.
template <weight_format F, activation X, architecture Arch>
struct dot_bytes_direct_half : dot_bytes_direct<F, X, Arch> {
    using whole = dot_bytes_direct<F, X, Arch>;
    using half = simd::half<Arch>;
    static constexpr const char* name = "dot_bytes_direct_half";
    static constexpr bool exists = has_byte_dot<F, X, half>;
    static constexpr rank_range ranks{0, 200};
    static constexpr int rank(const convolution_request& r) noexcept {
        return whole::rank(r) != 0 && r.shape.out_channels <= simd::width32<half> ? ranks.most : 0;
    }
    static auto loop() {
        return std::type_identity<direct_convolution<byte_engine_for<F, half>, X>>{};
    }
};

} // namespace s3::kernel
