#pragma once
// The windows of adjacent output pixels, multiplied by all rows (output channels) of a filter. A
// window is a few runs of bytes, one per row of the filter's kernel, and the windows of neighbours
// lie a constant distance apart (spaced_columns). Sums go to memory, [pixel][row], or from
// registers directly to the outputs.

#include <s3/kernel/parts/accumulate.hpp>
#include <s3/kernel/parts/activations.hpp>
#include <s3/kernel/parts/line_tiles.hpp>
#include <s3/kernel/seams.hpp>
#include <s3/simd/arch.hpp>

namespace s3::kernel {

/// Weights in the order [block of R panels][step][R] vectors, and the sums that rows start from. A
/// block has `depth` steps. The first `skipped` of them meet only zeros and are left out; the
/// `steps` after those are computed.
struct window_weights {
    const std::int32_t* data;
    const std::int32_t* initial;
    std::size_t rows;
    std::size_t depth;
    std::size_t skipped;
    std::size_t steps;
};

template <multiply_engine Engine, std::size_t Panels>
struct window_product {
    using arch = typename Engine::arch;
    using windows = spaced_columns<std::uint8_t>;
    using tiles = line_tiles<simd::register_count<arch>>;
    static constexpr std::size_t lanes = simd::width32<arch>;
    static constexpr std::size_t block = Panels * lanes; ///< rows of a block

    /// Writes sums[pixel][row] of `count` pixels from x.first on, and of as many more as the tile
    /// that fits `count` has. Up to `block` sums behind those of the last pixel are overwritten.
    static void to_memory(const window_weights& w, const windows& x, std::size_t count,
                          std::int32_t* sums) {
        // The last rows come first: what they write beyond their pixel is overwritten by the first
        // rows of the next one.
        for (std::size_t m = (w.rows + block - 1) / block * block; m > 0;) {
            m -= block;
            if (w.rows - m > lanes)
                some_pixels<Panels>(w, m, x, count, sums);
            else
                some_pixels<1>(w, m, x, count, sums);
        }
    }

    /// Computes C pixels from x.first on, and passes their sums from registers to the outputs at
    /// to[pixel] by the sink's finisher. Precondition: w.rows is a multiple of `block`.
    template <std::size_t C, bool Residual, class Sink>
    static void to_outputs(const window_weights& w, const windows& x, const Sink& sink,
                           const std::size_t* to) {
        for (std::size_t m = 0; m < w.rows; m += block) {
            alignas(64) std::int32_t start[block];
            const auto finish =
                sink.template finisher<arch, Panels, Residual>(m, w.initial + m, start);
            tile<Panels, C>(w, m, start, x,
                            [&](std::size_t c, const typename Engine::sums(&v)[Panels])
                                S3_INLINE_LAMBDA { finish(to[c] + m, v); });
        }
    }

private:
    /// Computes R panels of rows from row m on for `count` pixels, as one tile.
    template <std::size_t R>
    static S3_INLINE void some_pixels(const window_weights& w, std::size_t m, const windows& x,
                                      std::size_t count, std::int32_t* sums) {
        const auto store = [to = sums + m, stride = w.rows](
                               std::size_t c, const typename Engine::sums(&v)[R]) S3_INLINE_LAMBDA {
            S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r)
                simd::store<arch>(to + c * stride + r * lanes, v[r]);
        };
        const std::size_t size = tiles::fitting(count);
        if (size == tiles::wide)
            tile<R, tiles::wide>(w, m, w.initial + m, x, store);
        else if (size == tiles::narrow)
            tile<R, tiles::narrow>(w, m, w.initial + m, x, store);
        else
            tile<R, tiles::narrowest>(w, m, w.initial + m, x, store);
    }

    /// Computes one tile. Pixels are finished in order: what a vector writes beyond the rows of a
    /// pixel is overwritten by the next pixel.
    template <std::size_t R, std::size_t C, class Finish>
    static S3_NOINLINE void tile(const window_weights& w, std::size_t m,
                                 const std::int32_t* initial, const windows& x,
                                 const Finish& finish) {
        using sums = tile_for<Engine, R, C>;
        accumulate<sums>(
            decoded<Engine, R>{w.data + m * w.depth + w.skipped * R * lanes},
            windows::source<typename sums::reads, C>(x), w.steps,
            [&](std::size_t, std::size_t r)
                S3_INLINE_LAMBDA { return simd::load<std::int32_t, arch>(initial + r * lanes); },
            finish);
    }
};

} // namespace s3::kernel
