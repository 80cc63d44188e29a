#pragma once
// Transposition of matrices in memory, for kernels whose lanes are activation vectors:
// to[j·to_stride + i] = from[i·from_stride + j] for i < rows, j < columns. Strides count elements,
// which have one or four bytes. Where `rows` is a multiple of 8 (bytes) or 4 (words), 128-bit
// vectors turn squares of 8 or 16 rows × 16 bytes or of 4 × 4 words; other elements are moved one
// by one.

#include <s3/simd/lanes.hpp>

#include <cstddef>

namespace s3::simd {

namespace detail {

/// The architecture whose vectors have 16 bytes, or `scalar` if there is none.
using tile_arch = arch::smallest;
template <class T>
using tile_vector = lanes<T, tile_arch>;
inline constexpr bool has_blocks = tile_arch::vector_bytes == 16;

/// One round of a transposition: vectors 2·i and 2·i + 1 become rows i and i + Rows/2, their
/// elements alternating.
template <class T, std::size_t Rows>
S3_INLINE void zip_rows(tile_vector<T> (&v)[Rows]) noexcept {
    tile_vector<T> out[Rows];
    S3_UNROLL_FOR(std::size_t i = 0; i < Rows / 2; ++i) {
        out[2 * i] = zip_low(v[i], v[i + Rows / 2]);
        out[2 * i + 1] = zip_high(v[i], v[i + Rows / 2]);
    }
    S3_UNROLL_FOR(std::size_t i = 0; i < Rows; ++i)
        v[i] = out[i];
}

/// Transposes 8 or 16 rows of 16 bytes, or 4 rows of four 32-bit elements. Each round brings
/// elements of two rows side by side; after log2(Rows) rounds each is in its place.
template <std::size_t Rows, class T>
S3_INLINE void transpose_tile(const T* from, std::size_t from_stride, T* to,
                              std::size_t to_stride) noexcept {
    constexpr std::size_t width = 16 / sizeof(T);
    tile_vector<T> v[Rows];
    S3_UNROLL_FOR(std::size_t i = 0; i < Rows; ++i)
        v[i] = load<T, tile_arch>(from + i * from_stride);
    S3_UNROLL_FOR(std::size_t half = Rows; half > 1; half /= 2)
        zip_rows<T>(v);
    S3_UNROLL_FOR(std::size_t i = 0; i < Rows; ++i) {
        if constexpr (Rows == width) {
            store<tile_arch>(to + i * to_stride, v[i]);
        } else {
            T two[width];
            store<tile_arch>(two, v[i]);
            std::memcpy(to + 2 * i * to_stride, two, 8);
            std::memcpy(to + (2 * i + 1) * to_stride, two + Rows, 8);
        }
    }
}

/// Transposes whole squares of `Rows` rows; returns how many columns they cover.
template <std::size_t Rows, class T>
std::size_t transpose_tiles(const T* from, std::size_t from_stride, T* to, std::size_t to_stride,
                            std::size_t rows, std::size_t columns) noexcept {
    constexpr std::size_t tile_columns = 16 / sizeof(T);
    const std::size_t whole = columns / tile_columns * tile_columns;
    for (std::size_t j = 0; j < whole; j += tile_columns)
        for (std::size_t i = 0; i < rows; i += Rows)
            transpose_tile<Rows>(from + i * from_stride + j, from_stride, to + j * to_stride + i,
                                 to_stride);
    return whole;
}

} // namespace detail

template <class T>
requires(sizeof(T) == 1 || sizeof(T) == 4) void transpose(const T* from, std::size_t from_stride,
                                                          T* to, std::size_t to_stride,
                                                          std::size_t rows,
                                                          std::size_t columns) noexcept {
    std::size_t whole = 0;
    if constexpr (detail::has_blocks) {
        const auto tiles = [&]<std::size_t Rows>(std::integral_constant<std::size_t, Rows>) {
            return detail::transpose_tiles<Rows>(from, from_stride, to, to_stride, rows, columns);
        };
        if constexpr (sizeof(T) == 4) {
            if (rows % 4 == 0)
                whole = tiles(std::integral_constant<std::size_t, 4>{});
        } else if (rows % 16 == 0) {
            whole = tiles(std::integral_constant<std::size_t, 16>{});
        } else if (rows % 8 == 0) {
            whole = tiles(std::integral_constant<std::size_t, 8>{});
        }
    }
    for (std::size_t j = whole; j < columns; ++j)
        for (std::size_t i = 0; i < rows; ++i)
            to[j * to_stride + i] = from[i * from_stride + j];
}

} // namespace s3::simd
