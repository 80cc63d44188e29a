#pragma once
// What kernels that look sums up by permutation share. Lanes are rows. The signed sums of a group
// of activations fill a register or two, and a permutation of these finds the sums of as many rows
// as a vector has lanes. A unit says how a vector of weights is laid out, how tables are built, and
// how a tile of rows and columns (activation vectors) is added up:
//
//   lanes, panel_vectors, columns   rows of a vector; vectors and columns of a tile
//   group, block_weights            weights of a field, and of a block (at most 57 bits of codes)
//   block_vectors, vector_bytes     vectors of a block of `lanes` rows, and the bytes of each
//   segment_blocks, table_bytes     blocks between two widenings, and bytes of all their tables
//   lane_of(row)                    the lane of a row
//   encode(fields, to)              writes a row's `element` of each vector of a block
//   build(x, blocks, table)         builds the tables of one column
//   add_rows<R, C>(…)               adds what blocks select to the sums of R vectors × C columns
//
// Layout: first an int32 constant per row, which undoes the centring of activations at 128; then
// the vectors of weights,
//
//   [segment][panel][block][vector of the block][vector of rows]

#include <s3/kernel/parts/group_index.hpp>
#include <s3/kernel/parts/panel_product.hpp>

#include <algorithm>
#include <limits>

namespace s3::kernel {

template <class Unit>
struct permuted {
    using arch = typename Unit::arch;
    using format = typename Unit::format;
    using staged = std::uint8_t;
    using sum = std::int32_t;

    static constexpr int zero_point = 128;
    static constexpr int center = 128;

    static constexpr std::size_t lanes = Unit::lanes;
    static constexpr std::size_t panel_vectors = Unit::panel_vectors;
    static constexpr std::size_t panel_rows = panel_vectors * lanes;
    static constexpr std::size_t columns = Unit::columns;
    static constexpr std::size_t block_weights = Unit::block_weights;
    static constexpr std::size_t block_bytes = Unit::block_vectors * Unit::vector_bytes;
    static constexpr std::size_t segment_blocks = Unit::segment_blocks;

    /// The number of rows whose sums are kept at a time.
    static constexpr std::size_t row_block = 4096;

    static constexpr std::size_t panels(std::size_t m) { return (m + panel_rows - 1) / panel_rows; }
    static constexpr std::size_t layout_bytes(std::size_t m, std::size_t k) {
        return saturating_add(row_constants_bytes(m),
                              saturating_mul(saturating_mul(vectors(m), blocks(k)), block_bytes));
    }
    static void pack(const std::uint8_t* stream, const std::int64_t* row_sums, std::size_t m,
                     std::size_t k, std::uint8_t* to) {
        const std::size_t all = blocks(k);
        auto* constants = reinterpret_cast<std::int32_t*>(to);
        for (std::size_t row = 0; row < m; ++row)
            constants[row] = centring<format>(center, row_sums[row], all * block_weights - k);
        // A few blocks are packed at a time, so that their vectors stay in cache while each row is
        // added.
        constexpr std::size_t some = (127 / segment_blocks + 1) * segment_blocks;
        for (std::size_t first = 0; first < m; first += lanes)
            for (std::size_t part = 0; part < all; part += some)
                for (std::size_t row = first; row < std::min(first + lanes, m); ++row)
                    for (std::size_t b = part; b < std::min(part + some, all); b += segment_blocks)
                        pack_segment(stream, m, k, row, b, to);
    }

    static constexpr std::size_t scratch_bytes(std::size_t k, std::size_t) {
        return areas(k).bytes;
    }

    template <class Source, class Sink>
    static void run(const panel_view<sum>& w, const work_range& range, Source&& source, Sink&& sink,
                    std::byte* scratch) {
        const areas at(w.columns);
        auto* x = reinterpret_cast<staged*>(scratch + at.x);
        auto* sums = reinterpret_cast<sum*>(scratch + at.sums);
        constexpr std::size_t most = row_block / panel_rows;
        const std::size_t all = blocks(w.columns);
        for (std::size_t n = range.n_begin; n < range.n_end; n += columns) {
            const std::size_t count = std::min(columns, range.n_end - n);
            source(n, count, x, at.stride);
            for (std::size_t p = range.panel_begin; p < range.panel_end; p += most) {
                const std::size_t end = std::min(p + most, range.panel_end);
                begin(w, p, end, count, sums);
                for (std::size_t b = 0; b < all; b += segment_blocks) {
                    const std::size_t now = std::min(all - b, segment_blocks);
                    for (std::size_t c = 0; c < count; ++c)
                        Unit::build(x + c * at.stride + b * block_weights, now,
                                    scratch + c * Unit::table_bytes);
                    for (std::size_t q = p; q < end; ++q)
                        add_tile<panel_vectors, columns>(
                            w.data + block_offset(w.rows, w.columns, q, b), now, scratch,
                            panel_width(w.rows, q), count, sums + (q - p) * panel_rows * count);
                }
                for (std::size_t q = p; q < end; ++q) {
                    const std::size_t rows = std::min(panel_rows, w.rows - q * panel_rows);
                    for (std::size_t c = 0; c < count; ++c)
                        sink(n + c, q * panel_rows, rows,
                             sums + ((q - p) * count + c) * panel_rows);
                }
            }
        }
    }

private:
    /// Packs one row's weights, from block `b` to the end of its segment.
    static S3_INLINE void pack_segment(const std::uint8_t* stream, std::size_t m, std::size_t k,
                                       std::size_t row, std::size_t b, std::uint8_t* to) noexcept {
        using numbers = group_numbers<format, typename Unit::numbers, Unit::group>;
        constexpr std::size_t bits = format::bits, element = sizeof(typename Unit::element);
        const std::size_t bytes = s3::layout::stream_bytes(m * k, bits);
        const std::size_t panel = row / panel_rows, in_panel = row % panel_rows;
        const std::size_t next = panel_width(m, panel) * Unit::vector_bytes;
        const std::size_t end = std::min(k, (b + segment_blocks) * block_weights);
        to += block_offset(m, k, panel, b) + in_panel / lanes * Unit::vector_bytes +
              Unit::lane_of(in_panel % lanes) * element;
        for (std::size_t column = b * block_weights; column < end; column += block_weights) {
            const auto codes = s3::layout::take_bits(stream, bytes, (row * k + column) * bits,
                                                     std::min(block_weights, end - column) * bits);
            constexpr std::size_t count = block_weights / Unit::group;
            std::size_t fields[count];
            S3_UNROLL_FOR(std::size_t f = 0; f < count; ++f)
                fields[f] = numbers::of(codes >> (f * numbers::bits) & ((1u << numbers::bits) - 1));
            typename Unit::element coded[Unit::block_vectors];
            Unit::encode(fields, coded);
            S3_UNROLL_FOR(std::size_t v = 0; v < Unit::block_vectors; ++v, to += next)
                std::memcpy(to, coded + v, element);
        }
    }

    /// Vectors of rows are laid out in pairs, which halves the number of instances of add_rows.
    static constexpr std::size_t together = panel_vectors > 2 ? 2 : 1;
    static constexpr std::size_t vectors(std::size_t m) {
        return (m + together * lanes - 1) / (together * lanes) * together;
    }
    static constexpr std::size_t blocks(std::size_t k) {
        return (k + block_weights - 1) / block_weights;
    }
    /// The number of vectors of rows in panel p; the last panel may have fewer than the others.
    static constexpr std::size_t panel_width(std::size_t m, std::size_t p) {
        return std::min(panel_vectors, vectors(m) - p * panel_vectors);
    }
    /// The byte at which block b of panel p begins. Segments lie one after the other.
    static constexpr std::size_t block_offset(std::size_t m, std::size_t k, std::size_t p,
                                              std::size_t b) {
        const std::size_t segment = b / segment_blocks * segment_blocks;
        const std::size_t in_segment = std::min(segment_blocks, blocks(k) - segment);
        return row_constants_bytes(m) +
               block_bytes * (segment * vectors(m) + p * panel_vectors * in_segment +
                              (b - segment) * panel_width(m, p));
    }

    /// The offsets, in bytes, of the areas of scratch memory. The tables of the columns come first.
    struct areas {
        std::size_t stride, x, sums, bytes;
        constexpr explicit areas(std::size_t k) {
            stride = blocks(k) * block_weights + 64;
            x = whole_lines(columns * Unit::table_bytes);
            sums = x + whole_lines(columns * stride);
            bytes = sums + row_block * columns * sizeof(sum);
        }
    };

    /// Sets sums[panel][column][row] to what does not depend on the activations.
    static void begin(const panel_view<sum>& w, std::size_t p, std::size_t end, std::size_t count,
                      sum* sums) {
        const auto* constants = reinterpret_cast<const std::int32_t*>(w.data);
        for (; p < end; ++p)
            for (std::size_t c = 0; c < count; ++c, sums += panel_rows) {
                const std::size_t row = p * panel_rows;
                const std::size_t rows = std::min(panel_rows, w.rows - row);
                for (std::size_t r = 0; r < rows; ++r)
                    sums[r] = constants[row + r] + (w.initial ? w.initial[row + r] : 0);
            }
    }

    /// Calls the instance of add_rows for `width` vectors of rows and `count` columns.
    template <std::size_t R, std::size_t C>
    static S3_INLINE void add_tile(const std::uint8_t* data, std::size_t blocks,
                                   const std::byte* tables, std::size_t width, std::size_t count,
                                   sum* sums) {
        if constexpr (R > together)
            if (width < R)
                return add_tile<R - together, C>(data, blocks, tables, width, count, sums);
        if constexpr (C > 1)
            if (count < C)
                return add_tile<R, C - 1>(data, blocks, tables, width, count, sums);
        Unit::template add_rows<R, C>(data, blocks, tables, sums);
    }
};

} // namespace s3::kernel
