#pragma once
// Kernels whose lanes are columns turn activations and sums around, between row-major memory and
// vectors: to[j·to_stride + i] = from[i·from_stride + j] for i < rows, j < columns, on elements of
// one or four bytes. By 128-bit vectors where rows and columns come in whole tiles of 16 or 8 × 16
// bytes or 4 × 4 words, else one by one.

#include <s3/simd/lanes.hpp>

#include <cstddef>

namespace s3::kernel {

namespace detail {

#if S3_HAS_SIMD && (defined(__SSE2__) || defined(__aarch64__))
#define S3_HAS_TILE_TRANSPOSE 1
#if defined(__SSE2__)
using quarter_arch = xsimd::sse2;
#else
using quarter_arch = xsimd::neon64;
#endif

/// Rows i of elements → pairs of vectors with rows i and i + Half interleaved.
template <class T, std::size_t Rows, class V>
S3_INLINE void interleave(V (&v)[Rows]) noexcept {
    using typed = xsimd::batch<T, quarter_arch>;
    V out[Rows];
    S3_UNROLL_FOR(std::size_t i = 0; i < Rows / 2; ++i) {
        const auto a = simd::as<T>(v[i]), b = simd::as<T>(v[i + Rows / 2]);
        out[2 * i] = simd::as<typename V::value_type>(typed(xsimd::zip_lo(a, b)));
        out[2 * i + 1] = simd::as<typename V::value_type>(typed(xsimd::zip_hi(a, b)));
    }
    S3_UNROLL_FOR(std::size_t i = 0; i < Rows; ++i)
        v[i] = out[i];
}

/// 8 or 16 rows of 16 bytes; of two rows' bytes side by side, each goes to its own place.
template <std::size_t Rows>
S3_INLINE void transpose_tile(const std::uint8_t* from, std::size_t from_stride, std::uint8_t* to,
                              std::size_t to_stride) noexcept {
    using vector = xsimd::batch<std::uint8_t, quarter_arch>;
    vector v[Rows];
    S3_UNROLL_FOR(std::size_t i = 0; i < Rows; ++i)
        v[i] = vector::load_unaligned(from + i * from_stride);
    S3_UNROLL_FOR(std::size_t half = Rows; half > 1; half /= 2)
        interleave<std::uint8_t>(v);
    S3_UNROLL_FOR(std::size_t i = 0; i < Rows; ++i) {
        if constexpr (Rows == 16) {
            v[i].store_unaligned(to + i * to_stride);
        } else {
            std::uint8_t two[16];
            v[i].store_unaligned(two);
            std::memcpy(to + 2 * i * to_stride, two, 8);
            std::memcpy(to + (2 * i + 1) * to_stride, two + 8, 8);
        }
    }
}

template <std::size_t Rows, class T>
requires(Rows == 4 && sizeof(T) == 4) S3_INLINE
    void transpose_tile(const T* from, std::size_t from_stride, T* to,
                        std::size_t to_stride) noexcept {
    using vector = xsimd::batch<T, quarter_arch>;
    vector v[4];
    S3_UNROLL_FOR(std::size_t i = 0; i < 4; ++i)
        v[i] = vector::load_unaligned(from + i * from_stride);
    interleave<T>(v);
    interleave<T>(v);
    S3_UNROLL_FOR(std::size_t i = 0; i < 4; ++i)
        v[i].store_unaligned(to + i * to_stride);
}
#endif

} // namespace detail

#if defined(S3_HAS_TILE_TRANSPOSE)
/// Whole tiles of `Rows` rows; returns how many columns they cover.
template <std::size_t Rows, class T>
std::size_t transpose_tiles(const T* from, std::size_t from_stride, T* to, std::size_t to_stride,
                            std::size_t rows, std::size_t columns) noexcept {
    constexpr std::size_t tile_columns = 16 / sizeof(T);
    const std::size_t whole = columns / tile_columns * tile_columns;
    for (std::size_t j = 0; j < whole; j += tile_columns)
        for (std::size_t i = 0; i < rows; i += Rows)
            detail::transpose_tile<Rows>(from + i * from_stride + j, from_stride,
                                         to + j * to_stride + i, to_stride);
    return whole;
}
#endif

template <class T>
requires(sizeof(T) == 1 || sizeof(T) == 4) void transpose(const T* from, std::size_t from_stride,
                                                          T* to, std::size_t to_stride,
                                                          std::size_t rows,
                                                          std::size_t columns) noexcept {
    std::size_t whole = 0;
#if defined(S3_HAS_TILE_TRANSPOSE)
    if constexpr (sizeof(T) == 4) {
        if (rows % 4 == 0)
            whole = transpose_tiles<4>(from, from_stride, to, to_stride, rows, columns);
    } else if (rows % 16 == 0) {
        whole = transpose_tiles<16>(from, from_stride, to, to_stride, rows, columns);
    } else if (rows % 8 == 0) {
        whole = transpose_tiles<8>(from, from_stride, to, to_stride, rows, columns);
    }
#endif
    for (std::size_t j = whole; j < columns; ++j)
        for (std::size_t i = 0; i < rows; ++i)
            to[j * to_stride + i] = from[i * from_stride + j];
}

} // namespace s3::kernel
