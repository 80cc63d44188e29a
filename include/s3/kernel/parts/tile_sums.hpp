#pragma once
// Sums on a matrix unit (simd/tiles.hpp), the same for products and convolutions: R tiles of rows
// meet C tiles of columns, 64 of the depth at a time.
//
//   tiles 0 … 3    sums: tile c·R + r has 16 rows for each of `height` columns
//   tiles 4, 5     activations: `height` columns, 64 deep
//   tiles 6, 7     weights: [step of 4][16 rows], 16 steps
//
// While the unit works, the vectors finish the sums that it made before: neither waits for the
// other.

#include <s3/kernel/seams.hpp>
#include <s3/simd/tiles.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace s3::kernel {

inline constexpr std::size_t tile_rows = 16;  ///< rows, and at most so many columns
inline constexpr std::size_t tile_depth = 64; ///< activations of a column in a tile
/// The sums that the unit holds: four tiles of them.
inline constexpr std::size_t unit_sums = 4 * tile_rows * tile_rows;

/// The number of columns in each of the fewest tiles that hold `columns`.
constexpr std::size_t tile_height(std::size_t columns) noexcept {
    const std::size_t tiles = (columns + tile_rows - 1) / tile_rows;
    return tiles == 0 ? 1 : (columns + tiles - 1) / tiles;
}

/// Sums that are complete but still have to go to their outputs.
template <sum_sink<std::int32_t> Sink>
struct unfinished_sums {
    static constexpr std::size_t together = 8; ///< columns that are worth a call of the sink

    const Sink* sink;
    const std::size_t* at = nullptr;    ///< where each column goes
    std::size_t columns = 0;            ///< that are left
    const std::int32_t* sums = nullptr; ///< [column][row]
    std::size_t stride = 0;             ///< elements from one column to the next
    std::size_t first_row = 0, rows = 0;

    S3_INLINE void finish(std::size_t most) noexcept {
        const std::size_t some = std::min(most, columns);
        if (some == 0)
            return;
        (*sink)(at, some, first_row, rows, sums, stride);
        at += some;
        sums += some * stride;
        columns -= some;
    }
};

/// The sums of a pass over some of the depth.
struct unit_pass {
    std::size_t height;                   ///< columns of a tile
    const std::int32_t* initial;          ///< of each row, what sums begin with; or null, and then
    const std::int32_t* before = nullptr; ///< they begin with these, [column][row]
    std::int32_t* sums = nullptr;         ///< what they become, [column][row]
};

/// `deep` steps of the unit: steps.next() says where the tiles of weights ([step of 4][R][16 rows])
/// and of activations begin, whose columns are steps.x_stride() bytes apart. Steps::weights_stay
/// tells which of them the first-level cache is to keep; the others are loaded past it.
template <std::size_t R, std::size_t C, class Unit, class Steps, class Unfinished>
S3_INLINE void add_up_tiles(Unit& t, Steps& steps, std::size_t deep, const unit_pass& s,
                            Unfinished& finished) {
    constexpr std::size_t sum_bytes = sizeof(std::int32_t);
    const auto tile = [&](auto* of, std::size_t i) S3_INLINE_LAMBDA {
        return of + (i / R * s.height * R + i % R) * tile_rows;
    };
    simd::unrolled<R * C>([&](auto i) S3_INLINE_LAMBDA {
        if (s.initial != nullptr)
            t.template load<i>(s.initial + i % R * tile_rows, 0);
        else
            t.template load<i>(tile(s.before, i), R * tile_rows * sum_bytes);
    });
    const std::size_t each =
        std::max(Unfinished::together, deep == 0 ? 0 : (finished.columns + deep - 1) / deep);
    for (std::size_t d = deep; d > 0; --d) {
        const auto at = steps.next();
        simd::unrolled<R>([&](auto r) S3_INLINE_LAMBDA {
            constexpr int rows = 6 + r % 2;
            const auto* const w = at.weights + r * 4 * tile_rows;
            if constexpr (Steps::weights_stay)
                t.template load<rows>(w, R * 4 * tile_rows);
            else
                t.template load_past<rows>(w, R * 4 * tile_rows);
            simd::unrolled<C>([&](auto c) S3_INLINE_LAMBDA {
                if constexpr (r == 0 && Steps::weights_stay)
                    t.template load_past<4 + c>(at.x[c], steps.x_stride());
                else if constexpr (r == 0)
                    t.template load<4 + c>(at.x[c], steps.x_stride());
                t.template dot<c * R + r, 4 + c, rows>();
            });
        });
        finished.finish(each);
    }
    simd::unrolled<R * C>([&](auto i) S3_INLINE_LAMBDA {
        t.template store<i>(tile(s.sums, i), R * tile_rows * sum_bytes);
    });
    finished.finish(finished.columns);
}

} // namespace s3::kernel
