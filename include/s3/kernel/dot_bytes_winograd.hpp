#pragma once
// Exact integer Winograd convolution F(2×2, 3×3), stride 1 (Lavin and Gray 2016, arXiv 1509.09308),
// for weights of at most ±8 and unsigned activations of at most 6 bits, NHWC.
//
// The transform of a filter, scaled by 4, is an integer of at most 9·max|w|, and a 4 × 4 patch of
// 6-bit activations transforms to 8 bits. So 16 byte products over C channels replace 36, and their
// sum divided by 4 is the direct sum, bit for bit. Transformed patches are staged as unsigned
// bytes. One component is a sum of four activations and is staged as it is; the others can be
// negative and are staged + 128, which `initial` undoes.
//
// Weights: [block of R panels][component][step of 4 channels][R] vectors. They take 16 bytes where
// the filter has 9 weights.

#include <s3/kernel/dot_bytes_panels.hpp>
#include <s3/kernel/parts/register_tile.hpp>
#include <s3/kernel/seams.hpp>
#include <s3/pack/pack.hpp>

#include <limits>

namespace s3::kernel {

/// Whether the format's transformed weights fit int8 and the machine has byte products.
template <weight_format F, class Arch>
inline constexpr bool has_winograd = simd::has_bytes<Arch>&& F::is_shift && 9 * F::max_value <= 127;

template <multiply_engine Engine>
struct winograd {
    using engine = Engine;
    using arch = typename Engine::arch;
    using bytes = simd::lanes<std::uint8_t, arch>;
    using words = simd::lanes<std::int32_t, arch>;

    using sum = std::int32_t;
    static constexpr int activation_bits = 6;
    static constexpr std::size_t components = 16;
    static constexpr std::size_t panels = 4;
    static constexpr std::size_t lanes = simd::width32<arch>;
    static constexpr std::size_t block_rows = panels * lanes;
    static constexpr std::size_t tiles = 48; ///< of 2 × 2 output pixels, transformed together

    struct filter {
        std::size_t rows = 0;
        std::size_t channels = 0;
        buffer<std::int8_t> weights;
        buffer<std::int32_t> initial; ///< [block][component][block_rows]
    };

    /// Channels padded to whole vectors.
    static constexpr std::size_t padded(std::size_t channels) {
        return (channels + arch::vector_bytes - 1) / arch::vector_bytes * arch::vector_bytes;
    }
    /// Bytes from one tile's patch to the next: a cache line more than the channels take.
    static constexpr std::size_t stride(std::size_t channels) { return padded(channels) + 64; }
    /// Bytes (of patches) or sums from one component to the next: a cache line more than a
    /// component takes, so that the components of a tile do not all fall into the same set of the
    /// cache.
    static constexpr std::size_t patch_stride(std::size_t channels) {
        return tiles * stride(channels) + 64;
    }
    static constexpr std::size_t sum_stride = tiles * block_rows + 16;

    template <weight_format F>
    static result<filter> prepare(const packed_filter<F>& from, const conv_options&) {
        const std::size_t rows = from.shape.out_channels, channels = from.shape.in_channels;
        const std::size_t blocks = (rows + block_rows - 1) / block_rows;
        auto weights = buffer<std::int8_t>::make(
            saturating_mul(blocks * components * block_rows, padded(channels)));
        auto initial = buffer<std::int32_t>::make(blocks * components * block_rows);
        if (!weights)
            return weights.error();
        if (!initial)
            return initial.error();
        for (std::size_t m = 0; m < rows; ++m)
            for (std::size_t c = 0; c < channels; ++c) {
                int g[9], u[components];
                for (std::size_t t = 0; t < 9; ++t)
                    g[t] = from.matrix.value(m, t * channels + c);
                transform_filter(g, u);
                for (std::size_t i = 0; i < components; ++i) {
                    const std::size_t tile = m / block_rows * components + i, row = m % block_rows;
                    (*weights)[tile * padded(channels) * block_rows + c / 4 * 4 * block_rows +
                               row * 4 + c % 4] = static_cast<std::int8_t>(u[i]);
                    if (i != sum_component)
                        (*initial)[tile * block_rows + row] -= 128 * u[i];
                }
            }
        return filter{rows, channels, *std::move(weights), *std::move(initial)};
    }

    /// Work is counted in tiles of 2 × 2 output pixels.
    static std::size_t units(std::size_t batch, const extent& out) noexcept {
        return batch * ((out.height + 1) / 2) * ((out.width + 1) / 2);
    }
    static std::size_t scratch_bytes(const filter& f) noexcept {
        return components * (patch_stride(f.channels) + sum_stride * sizeof(std::int32_t)) +
               4 * block_rows * sizeof(std::int32_t) + stride(f.channels) + tiles * sizeof(void*);
    }

    /// Computes output tiles [begin, end) of x (NHWC), counted along rows, then down images, then
    /// over images, and hands their pixels to `sink` (ops/store.hpp). `scratch` has
    /// scratch_bytes(f) bytes, aligned to 64.
    template <class Sink>
    static void run(const filter& f, const image_view<const std::uint8_t>& x, const extent& out,
                    const conv_options& o, std::size_t begin, std::size_t end, const Sink& sink,
                    std::byte* scratch) {
        const std::size_t width = padded(f.channels), step = stride(f.channels);
        auto* v = reinterpret_cast<std::uint8_t*>(scratch);
        auto* sums = reinterpret_cast<std::int32_t*>(v + components * patch_stride(f.channels));
        auto* pixels = sums + components * sum_stride;
        auto* outside = reinterpret_cast<std::uint8_t*>(pixels + 4 * block_rows);
        auto* columns = reinterpret_cast<const std::uint8_t**>(outside + step);
        std::fill_n(outside, step, static_cast<std::uint8_t>(o.padding_value));
        const std::size_t across = (out.width + 1) / 2, down = (out.height + 1) / 2;
        for (std::size_t first = begin; first < end; first += tiles) {
            const std::size_t count = std::min(tiles, end - first);
            const auto start = position::of(first, across, down);
            auto at = start;
            for (std::size_t t = 0; t < count;) {
                const std::size_t row = std::min(count - t, across - at.column);
                transform_row(x, f.channels, o, at, row, outside, v + t * step);
                t += row;
                at.advance(row, across, down);
            }
            for (std::size_t m = 0; m < f.rows; m += block_rows) {
                for (std::size_t i = 0; i < components; ++i) {
                    const std::size_t tile = m / block_rows * components + i;
                    for (std::size_t t = 0; t < count; ++t)
                        columns[t] = v + i * patch_stride(f.channels) + t * step;
                    run_register_tiles<engine, panels>(
                        reinterpret_cast<const std::int32_t*>(f.weights.data() +
                                                              tile * width * block_rows),
                        width / 4, {columns, 0, width / 4}, f.initial.data() + tile * block_rows,
                        sums + i * sum_stride, count);
                }
                const std::size_t rows = std::min(block_rows, f.rows - m);
                at = start;
                for (std::size_t t = 0; t < count; ++t, at.advance(1, across, down)) {
                    transform_sums(sums + t * block_rows, pixels);
                    const std::size_t h = at.row * 2, w = at.column * 2;
                    for (std::size_t p = 0; p < 4; ++p)
                        if (h + p / 2 < out.height && w + p % 2 < out.width)
                            sink((at.image * out.height + h + p / 2) * out.width + w + p % 2, m,
                                 rows, pixels + p * block_rows);
                }
            }
        }
    }

private:
    /// The component that is a sum of four activations: the second row and column of Bᵀ·d·B.
    static constexpr std::size_t sum_component = 5;

    /// The place of a tile of 2 × 2 output pixels, in tiles.
    struct position {
        std::size_t image, row, column;

        static position of(std::size_t tile, std::size_t across, std::size_t down) {
            return {tile / across / down, tile / across % down, tile % across};
        }
        /// Moves on by `count` tiles, at most to the end of their row.
        void advance(std::size_t count, std::size_t across, std::size_t down) {
            column += count;
            if (column == across) {
                column = 0;
                if (++row == down) {
                    row = 0;
                    ++image;
                }
            }
        }
    };

    /// The transform of a 3 × 3 filter, 4·G·g·Gᵀ.
    static void transform_filter(const int (&g)[9], int (&u)[components]) {
        int e[4][3];
        for (std::size_t j = 0; j < 3; ++j) {
            e[0][j] = 2 * g[j];
            e[1][j] = g[j] + g[3 + j] + g[6 + j];
            e[2][j] = g[j] - g[3 + j] + g[6 + j];
            e[3][j] = 2 * g[6 + j];
        }
        for (std::size_t i = 0; i < 4; ++i) {
            u[4 * i] = 2 * e[i][0];
            u[4 * i + 1] = e[i][0] + e[i][1] + e[i][2];
            u[4 * i + 2] = e[i][0] - e[i][1] + e[i][2];
            u[4 * i + 3] = 2 * e[i][2];
        }
    }

    /// One side of the transform Bᵀ·d·B: (a − c, b + c, c − b, b − d).
    static S3_INLINE void transform_line(const bytes& a, const bytes& b, const bytes& c,
                                         const bytes& d, bytes (&to)[4]) {
        to[0] = a - c;
        to[1] = b + c;
        to[2] = c - b;
        to[3] = b - d;
    }

    /// Transforms the 4 × 4 patches of `count` neighbouring tiles in one row, all channels: Bᵀ·d·B.
    /// Component i of tile t goes to v + i·patch_stride + t·stride. Neighbouring patches share two
    /// columns, which are transformed once.
    static void transform_row(const image_view<const std::uint8_t>& x, std::size_t channels,
                              const conv_options& o, const position& at, std::size_t count,
                              const std::uint8_t* outside, std::uint8_t* v) {
        const std::uint8_t* rows[4];
        for (std::size_t i = 0; i < 4; ++i) {
            const std::size_t row = 2 * at.row + i - o.padding.height;
            rows[i] = row < x.height ? x.data.data() + x.index(at.image, row, 0, 0) : nullptr;
        }
        const auto bias = simd::broadcast<std::uint8_t, arch>(128);
        const std::size_t component_stride = patch_stride(channels);
        for (std::size_t c = 0; c < channels; c += arch::vector_bytes) {
            const std::size_t valid = std::min<std::size_t>(channels - c, arch::vector_bytes);
            std::size_t column = 2 * at.column - o.padding.width;
            const auto load = [&](std::size_t i) {
                const bool inside = column < x.width && rows[i] != nullptr;
                const std::uint8_t* from = (inside ? rows[i] + column * channels : outside) + c;
                if (valid == arch::vector_bytes)
                    return simd::load<std::uint8_t, arch>(from);
                alignas(64) std::uint8_t part[arch::vector_bytes] = {};
                std::copy_n(from, valid, part);
                return simd::load<std::uint8_t, arch>(part);
            };
            bytes columns[4][4];
            const auto next = [&](bytes(&to)[4]) {
                transform_line(load(0), load(1), load(2), load(3), to);
                ++column;
            };
            next(columns[0]);
            next(columns[1]);
            std::uint8_t* to = v + c;
            for (std::size_t t = 0; t < count; ++t, to += stride(channels)) {
                next(columns[2]);
                next(columns[3]);
                S3_UNROLL_FOR(std::size_t i = 0; i < 4; ++i) {
                    bytes line[4];
                    transform_line(columns[0][i], columns[1][i], columns[2][i], columns[3][i],
                                   line);
                    S3_UNROLL_FOR(std::size_t j = 0; j < 4; ++j)
                        simd::store<arch>(to + (4 * i + j) * component_stride,
                                          4 * i + j == sum_component ? line[j]
                                                                     : bytes(line[j] ^ bias));
                }
                S3_UNROLL_FOR(std::size_t i = 0; i < 4; ++i) {
                    columns[0][i] = columns[2][i];
                    columns[1][i] = columns[3][i];
                }
            }
        }
    }

    /// The inverse transform Aᵀ·m·A / 4 of one tile: 16 components, block_rows sums each, → four
    /// pixels of block_rows sums.
    static void transform_sums(const std::int32_t* sums, std::int32_t* pixels) {
        for (std::size_t r = 0; r < block_rows; r += lanes) {
            words s[2][4];
            S3_UNROLL_FOR(std::size_t j = 0; j < 4; ++j) {
                words m[4];
                S3_UNROLL_FOR(std::size_t i = 0; i < 4; ++i)
                    m[i] = simd::load<std::int32_t, arch>(sums + (4 * i + j) * sum_stride + r);
                s[0][j] = m[0] + m[1] + m[2];
                s[1][j] = m[1] - m[2] - m[3];
            }
            S3_UNROLL_FOR(std::size_t i = 0; i < 2; ++i) {
                simd::store<arch>(pixels + 2 * i * block_rows + r,
                                  words((s[i][0] + s[i][1] + s[i][2]) >> 2));
                simd::store<arch>(pixels + (2 * i + 1) * block_rows + r,
                                  words((s[i][1] - s[i][2] - s[i][3]) >> 2));
            }
        }
    }
};

/// It needs 16 products instead of 36 but has to transform, which pays from 64 channels on.
template <weight_format F, activation X, architecture Arch>
struct dot_bytes_winograd {
    static constexpr const char* name = "dot_bytes_winograd";
    static constexpr s3::family family = s3::family::dot;
    static constexpr connection kind = connection::dense;
    static constexpr bool exists = std::is_same_v<X, std::uint8_t> && has_winograd<F, Arch>;
    static constexpr rank_range ranks{0, 250};
    static constexpr int rank(const convolution_request& r) noexcept {
        const conv_options& o = r.options;
        return r.activation_bits <= 6 && fits_int32(r) && r.shape.height == 3 &&
                       r.shape.width == 3 && o.stride == extent(1) && o.dilation == extent(1) &&
                       o.groups == 1 && r.shape.in_channels >= 64 && r.shape.out_channels >= 64
                   ? ranks.most
                   : 0;
    }
    static auto loop() { return std::type_identity<winograd<transformed_engine>>{}; }

private:
    /// The sums that are computed are four times those of the convolution, and must fit int32.
    static constexpr bool fits_int32(const convolution_request& r) noexcept {
        return r.abs_sum <=
               std::numeric_limits<std::int32_t>::max() / 4 / ((1 << r.activation_bits) - 1);
    }
    static constexpr int largest = 9 * F::max_value; ///< magnitude of a transformed weight
    using transformed_engine =
        byte_engine<Arch, simd::has_quad_dot<Arch> ? 0 : 32767 / (2 * 255 * largest)>;
};

} // namespace s3::kernel
