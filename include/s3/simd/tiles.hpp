#pragma once
// Matrix units: eight tiles of at most 16 rows of 64 bytes, of which one instruction multiplies
// two.
//
//   tiles<Arch> unit(rows)     configures the unit of this thread, and releases it at its end; tile
//                              T has rows[T] rows. What the thread's tiles held before is lost.
//   load<T>(from, stride)      row i becomes the 64 bytes at from + i·stride
//   load_past<T>(…)            the same past the first-level cache, which keeps what it holds
//   store<T>(to, stride)       row i goes to the 64 bytes at to + i·stride
//   dot<C, A, B>()             C[i][j] += Σ over k < 64 of A[i][k] · B[k / 4][4·j + k mod 4]: int32
//                              sums modulo 2^32 of unsigned bytes in A and signed ones in B, which
//                              has 16 rows
//   signed_dot<C, A, B>()      the same of signed bytes in both
//
// Where a machine has no such unit the same is done in plain C++, slowly, so that what is built on
// tiles can be tested everywhere; `has_tiles<Arch>` tells whether it is worth while.

#include <s3/simd/arch.hpp>
#include <s3/simd/tile_permission.hpp>

#include <cstring>

namespace s3::simd {

/// The definition of a matrix unit.
class emulated_tiles {
public:
    explicit emulated_tiles(const std::uint8_t (&rows)[8]) noexcept { std::copy_n(rows, 8, rows_); }
    template <int T>
    void load(const void* from, std::size_t stride) noexcept {
        for (std::size_t i = 0; i < rows_[T]; ++i)
            std::memcpy(tile_[T][i], static_cast<const std::uint8_t*>(from) + i * stride, 64);
    }
    template <int T>
    void load_past(const void* from, std::size_t stride) noexcept {
        load<T>(from, stride);
    }
    template <int T>
    void store(void* to, std::size_t stride) const noexcept {
        for (std::size_t i = 0; i < rows_[T]; ++i)
            std::memcpy(static_cast<std::uint8_t*>(to) + i * stride, tile_[T][i], 64);
    }
    template <int C, int A, int B>
    void dot() noexcept {
        add<C, A, B, std::uint8_t>();
    }
    template <int C, int A, int B>
    void signed_dot() noexcept {
        add<C, A, B, std::int8_t>();
    }

private:
    template <int C, int A, int B, class OfA>
    void add() noexcept {
        for (std::size_t i = 0; i < rows_[C]; ++i)
            for (std::size_t j = 0; j < 16; ++j) {
                std::uint32_t sum;
                std::memcpy(&sum, tile_[C][i] + 4 * j, 4);
                for (std::size_t k = 0; k < 64; ++k)
                    sum += static_cast<std::uint32_t>(
                        static_cast<OfA>(tile_[A][i][k]) *
                        static_cast<std::int8_t>(tile_[B][k / 4][4 * j + k % 4]));
                std::memcpy(tile_[C][i] + 4 * j, &sum, 4);
            }
    }

    std::uint8_t rows_[8];
    std::uint8_t tile_[8][16][64];
};

/// The unit of Arch.
template <class Arch>
class native_tiles {
    using registers = typename Arch::tile_registers;

public:
    explicit S3_INLINE native_tiles(const std::uint8_t (&rows)[8]) noexcept {
        registers::configure(rows);
    }
    S3_INLINE ~native_tiles() { registers::release(); }
    native_tiles(const native_tiles&) = delete;
    native_tiles& operator=(const native_tiles&) = delete;
    template <int T>
    S3_INLINE void load(const void* from, std::size_t stride) noexcept {
        registers::template load<T>(from, stride);
    }
    template <int T>
    S3_INLINE void load_past(const void* from, std::size_t stride) noexcept {
        registers::template load_past<T>(from, stride);
    }
    template <int T>
    S3_INLINE void store(void* to, std::size_t stride) const noexcept {
        registers::template store<T>(to, stride);
    }
    template <int C, int A, int B>
    S3_INLINE void dot() noexcept {
        registers::template dot<C, A, B>();
    }
    template <int C, int A, int B>
    S3_INLINE void signed_dot() noexcept {
        registers::template signed_dot<C, A, B>();
    }
};

namespace detail {
template <class Arch>
struct tiles_of {
    using type = emulated_tiles;
};
template <class Arch>
requires requires {
    typename Arch::tile_registers;
}
struct tiles_of<Arch> {
    using type = native_tiles<Arch>;
};
} // namespace detail

template <class Arch>
using tiles = typename detail::tiles_of<Arch>::type;

/// Whether this process may use the tiles of Arch; emulated ones need no permission.
template <class Arch>
[[nodiscard]] bool tiles_permitted() noexcept {
    return has_tiles<Arch> &&
           (std::is_same_v<tiles<Arch>, emulated_tiles> || tiles_are_permitted());
}

} // namespace s3::simd
