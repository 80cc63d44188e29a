#pragma once
// Convolution on a matrix unit (kernel/parts/tile_sums.hpp) of what kernel/parts/row_filter.hpp
// describes: the runs of adjacent output pixels are a constant distance apart, so a tile of
// activations is loaded from the image rows as they are, and nothing is gathered.
//
//   image row    | pixel 0 | pixel 1 | pixel 2 | …          activations of one tile, stride 1,
//   column 0     |<-------- kw·C bytes ------->|            filter of width 3: 64 bytes of each
//   column 1               |<-------- kw·C bytes ------->|  column at a time
//
// Output pixels of a line share the fewest tiles, all of the same height; two tiles are multiplied
// together, of one line or, where a line is one tile, of two.

#include <s3/kernel/dot_bytes_panels.hpp>
#include <s3/kernel/parts/row_cache.hpp>
#include <s3/kernel/parts/row_filter.hpp>
#include <s3/kernel/parts/tile_sums.hpp>

namespace s3::kernel {

/// For any format that fits bytes: which one it was, only `prepare` sees.
template <multiply_engine Engine, std::integral X>
struct direct_tiles {
    using engine = Engine;
    using arch = typename Engine::arch;
    using sum = std::int32_t;
    using unit = simd::tiles<arch>;
    static constexpr std::size_t block_rows = 2 * tile_rows;
    /// The most output pixels whose image rows are staged together.
    static constexpr std::size_t line = 112;

    struct filter : row_filter<tile_rows, block_rows, tile_depth> {
        /// Tiles of the depth under a row of the filter.
        std::size_t deep() const noexcept { return this->steps() / (tile_depth / 4); }
        /// Bytes of a staged row: whole tiles.
        std::size_t row_bytes() const noexcept { return whole_lines(read_bytes(line)); }
        /// Bytes that whole tiles of any height read of a row for `count` pixels.
        std::size_t read_bytes(std::size_t count) const noexcept {
            return (count + tile_rows - 2) * this->distance + deep() * tile_depth;
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
        return 2 * sum_bytes + 2 * whole_lines(rows::bytes(f));
    }

    /// Output pixels [begin, end) of x (NHWC). `sink` as in ops/store.hpp. `scratch` is 64-byte
    /// aligned.
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
    static constexpr std::size_t sum_bytes = unit_sums * sizeof(sum);

    /// Output pixels of one line, and where the image rows under them begin.
    struct span_of_line {
        const std::uint8_t* const* rows;
        std::size_t count;
    };
    /// One or two lines that are multiplied together.
    struct work {
        std::size_t height; ///< columns of a tile
        filter_rows rows = {0, 0};
        span_of_line lines[2] = {};
        std::size_t count = 0; ///< output pixels of all lines
        std::size_t at[2 * line] = {};
    };

    template <class Sink>
    static void lines(const filter& f, const image_view<const X>& x, const extent& out,
                      const conv_options& o, std::size_t begin, std::size_t end, const Sink& sink,
                      std::byte* scratch) {
        auto* const sums = reinterpret_cast<sum*>(scratch);
        scratch += 2 * sum_bytes;
        rows staged[2] = {{f, x, o, scratch}, {f, x, o, scratch + whole_lines(rows::bytes(f))}};
        const std::size_t pieces = (out.width + line - 1) / line;
        const std::size_t most = (out.width + pieces - 1) / pieces;
        const std::size_t height = tile_height(most);
        const auto h = static_cast<std::uint8_t>(height);
        unit t({h, h, h, h, h, h, tile_rows, tile_rows});
        unfinished_sums<Sink> finished{&sink};
        work both[2];
        both[0].height = both[1].height = height;
        std::size_t turn = 0;
        for (std::size_t n = begin; n < end; n += both[turn].count) {
            turn ^= 1; // the sums of the other are not finished yet
            work& w = both[turn];
            w.count = 0;
            w.rows = {f.shape.height, 0};
            const auto add_line = [&](std::size_t l) {
                const std::size_t first = n + w.count;
                const std::size_t count =
                    std::min({out.width - first % out.width, end - first, most});
                const auto window = s3::detail::pixel_window::of(first, out, o);
                const filter_rows used = rows_inside(f.shape, x, o, window);
                w.rows = {std::min(w.rows.begin, used.begin), std::max(w.rows.end, used.end)};
                w.lines[l] = {staged[l].rows(window, count), count};
                sink.place(first, count, w.at + w.count);
                w.count += count;
            };
            add_line(0);
            w.lines[1].count = 0;
            if (w.count == most && most == height && w.count < end - n)
                add_line(1);
            multiply(t, f, w, sums, finished);
        }
        finished.finish(finished.columns);
    }

    /// All output channels of the pixels at hand.
    template <class Unfinished>
    static S3_NOINLINE void multiply(unit& t, const filter& f, const work& w, sum* sums,
                                     Unfinished& finished) {
        const std::size_t rows = f.rows(), h = w.height;
        for (std::size_t row = 0; row < rows; row += block_rows)
            for (std::size_t c = 0; c < w.count; c += 2 * h) {
                sum* const to = finished.sums == sums ? sums + unit_sums : sums;
                const std::size_t columns = std::min(2 * h, w.count - c);
                const std::size_t together = std::min(block_rows, rows - row);
                if (together == block_rows && columns > h)
                    add_up<2, 2>(t, f, w, row, c, to, finished);
                else if (together == block_rows)
                    add_up<2, 1>(t, f, w, row, c, to, finished);
                else if (columns > h)
                    add_up<1, 2>(t, f, w, row, c, to, finished);
                else
                    add_up<1, 1>(t, f, w, row, c, to, finished);
                finished = {finished.sink,
                            w.at + c,
                            columns,
                            to,
                            together,
                            row,
                            std::min(together, f.shape.out_channels - row)};
            }
    }
    /// sums[column][row] of R tiles of rows from `row` on, and C tiles of columns from c on.
    template <std::size_t R, std::size_t C, class Unfinished>
    static S3_INLINE void add_up(unit& t, const filter& f, const work& w, std::size_t row,
                                 std::size_t c, sum* sums, Unfinished& finished) {
        const std::size_t rows = w.rows.end - std::min(w.rows.begin, w.rows.end);
        const bool one_line = w.lines[1].count == 0;
        row_steps<R, C> steps;
        steps.weights = reinterpret_cast<const std::uint8_t*>(f.weights.data()) +
                        row * f.depth() * 4 + w.rows.begin * f.deep() * R * tile_bytes;
        steps.deep = f.deep();
        steps.distance = f.distance;
        simd::unrolled<C>([&](auto i) S3_INLINE_LAMBDA {
            const span_of_line& l = w.lines[one_line ? 0 : i];
            steps.rows[i] = l.rows + w.rows.begin;
            steps.offset[i] = (one_line ? c + i * w.height : 0) * f.distance;
        });
        add_up_tiles<R, C>(t, steps, rows * f.deep(),
                           unit_pass{w.height, f.initial.data() + row, nullptr, sums}, finished);
    }

    static constexpr std::size_t tile_bytes = tile_rows * tile_depth;

    /// The steps of add_up_tiles: weights, and image rows under C tiles of columns.
    template <std::size_t R, std::size_t C>
    struct row_steps {
        static constexpr bool weights_stay = false;
        struct step {
            const std::uint8_t* weights;
            const std::uint8_t* x[C];
        };
        const std::uint8_t* weights;
        std::size_t deep, distance;
        const std::uint8_t* const* rows[C];
        std::size_t offset[C];
        const std::uint8_t* x[C] = {};
        std::size_t left = 0; ///< tiles of the depth in this row

        S3_INLINE std::size_t x_stride() const noexcept { return distance; }
        S3_INLINE step next() noexcept {
            if (left == 0) {
                left = deep;
                simd::unrolled<C>([&](auto c) S3_INLINE_LAMBDA { x[c] = *rows[c]++ + offset[c]; });
            }
            --left;
            step s{weights, {}};
            weights += R * tile_bytes;
            simd::unrolled<C>([&](auto c) S3_INLINE_LAMBDA {
                s.x[c] = x[c];
                x[c] += tile_depth;
            });
            return s;
        }
    };
};

/// Serves where the decoded weights fit the second-level cache. It loses where so few pixels make
/// short lines that most of a tile is empty, and where the last vector of outputs is not whole.
template <weight_format F, activation X, architecture Arch>
struct dot_bytes_direct_tiles {
    static constexpr const char* name = "dot_bytes_direct_tiles";
    static constexpr s3::family family = s3::family::dot;
    static constexpr connection kind = connection::dense;
    static constexpr bool exists = has_byte_dot<F, X, Arch> && simd::has_tiles<Arch>;
    static constexpr rank_range ranks{0, 500};
    static constexpr int rank(const convolution_request& r) noexcept {
        const filter_shape& f = r.shape;
        const conv_options& o = r.options;
        const bool serves = r.product == family && o.groups == 1 &&
                            (o.dilation.width == 1 || f.width == 1) && f.columns() != 0 &&
                            f.out_channels != 0 &&
                            f.columns() <= (std::size_t{1} << 20) / f.out_channels &&
                            saturating_mul(o.stride.width, f.height * f.in_channels) <= 2048;
        const bool whole = f.out_channels % tile_rows == 0 || f.out_channels >= 4 * tile_rows;
        const bool one_row = f.height * f.width * o.stride.height * o.stride.width == 1;
        return !serves ? 0 : whole && (one_row || r.batch >= 64) ? ranks.most : 50;
    }
    static bool permitted() noexcept { return simd::tiles_permitted<Arch>(); }
    static auto loop() { return std::type_identity<direct_tiles<byte_engine_for<F, Arch>, X>>{}; }
};

} // namespace s3::kernel
