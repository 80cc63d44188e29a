#pragma once
// Any number of columns of a matrix product, cut into tiles of R × C vectors of sums that fit the
// registers: a step multiplies R vectors of weights by the activations of C columns.

#include <s3/kernel/parts/accumulate.hpp>
#include <s3/kernel/parts/activations.hpp>
#include <s3/kernel/seams.hpp>

#include <algorithm>

namespace s3::kernel {

/// What the sums of a tile start from and where they are stored when finished: for column c, R
/// vectors at begin + begin_at[c], and R vectors at end + end_at[c].
template <class T>
struct tile_sums {
    const T* begin;
    const std::size_t* begin_at;
    T* end;
    const std::size_t* end_at;

    tile_sums from_column(std::size_t column) const noexcept {
        return {begin, begin_at + column, end, end_at + column};
    }
};

template <multiply_engine Engine, std::size_t R>
struct register_tile {
    using arch = typename Engine::arch;
    using element = typename Engine::element;
    using table = column_table<typename Engine::staged>;
    using places = tile_sums<element>;
    static constexpr std::size_t lanes = simd::width32<arch>;
    /// The sums of a tile: as many vectors as leave registers for the weights and an activation,
    /// and for a product where it is not added by the instruction that makes it.
    static constexpr bool adds_products = Engine::depth_per_step == 4 && simd::has_quad_dot<arch>;
    static constexpr std::size_t sums = simd::register_count<arch> >= 32 ? 24
                                        : adds_products && R <= 2        ? 12
                                                                         : 8;
    /// The largest number of columns of a tile. With few vectors of weights, more columns would
    /// gain nothing, since each takes a load for its activation.
    static constexpr std::size_t columns = (R < 4 ? std::min<std::size_t>(sums, 12) : sums) / R;
    /// Whether there is code for each number of columns, so that work can be cut evenly. Not for
    /// the few panels that are left over where most are multiplied in fours.
    static constexpr bool any_count = columns <= 6 && (R == 4 || sums <= 12);

    /// Multiplies `steps` steps of decoded weights by `count` columns, up to C of them at a time.
    template <std::size_t C = columns>
    static void run(const element* w, std::size_t steps, table x, places to, std::size_t count) {
        for (; count >= C; count -= C) {
            exactly<C>(decoded<Engine, R>{w}, steps, x, to);
            x = x.from_column(C);
            to = to.from_column(C);
        }
        if constexpr (C > 1)
            run<any_count ? C - 1 : fewer(C)>(w, steps, x, to, count);
    }

    /// Multiplies any weights by C columns. `steps`, and the steps of a segment, must be multiples
    /// of Weights::steps.
    template <std::size_t C, class Weights>
    static S3_NOINLINE void exactly(Weights w, std::size_t steps, const table& x,
                                    const places& at) {
        // A copy, since compilers must assume that stores change what `at` refers to.
        const places to = at;
        using tile = tile_for<Engine, R, C>;
        accumulate<tile>(
            w, typename table::template source<typename tile::reads, C>(x), steps,
            [&](std::size_t c, std::size_t r) S3_INLINE_LAMBDA {
                return simd::load<element, arch>(to.begin + to.begin_at[c] + r * lanes);
            },
            [&](std::size_t c, const typename Engine::sums(&sums)[R]) S3_INLINE_LAMBDA {
                element* const end = to.end + to.end_at[c];
                S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r)
                    simd::store<arch>(end + r * lanes, sums[r]);
            });
    }

private:
    static constexpr std::size_t fewer(std::size_t c) { return c == 3 ? 1 : c / 2; }
};

/// The same for any number of columns whose sums all start from the same `initial` ones and are
/// stored one column after the other: column c at sums + c·R·lanes.
template <class Engine, std::size_t R>
void run_register_tiles(const typename Engine::element* w, std::size_t steps,
                        const column_table<typename Engine::staged>& x,
                        const typename Engine::element* initial, typename Engine::element* sums,
                        std::size_t count) {
    using tile = register_tile<Engine, R>;
    constexpr std::size_t columns = tile::columns;
    std::size_t nowhere[columns] = {}, in_a_row[columns];
    for (std::size_t c = 0; c < columns; ++c)
        in_a_row[c] = c * R * tile::lanes;
    for (std::size_t c = 0; c < count; c += columns, sums += columns * R * tile::lanes)
        tile::template run<>(w, steps, x.from_column(c), {initial, nowhere, sums, in_a_row},
                             std::min(columns, count - c));
}

} // namespace s3::kernel
