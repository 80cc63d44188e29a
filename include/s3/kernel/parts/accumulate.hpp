#pragma once
// The innermost loop of every kernel that decodes weights and multiplies them by activations:
//
//   sums[c][r] = start(c, r) + Σ over steps of  w[step][r] · x[c][step]      c < C, r < R
//
// r numbers vectors of rows and c columns of the batch. A step is one multiply-and-add of a vector:
// it takes four weights of the depth for bytes, else one. Four parts meet here, each replaceable:
//
//   weights      load<Step>(v) gives the R vectors of one of the next `steps` steps; advance()
//                moves on by that many; skip(count) passes over `count` steps
//   activations  next(most) returns the next segment: at most `most` steps for which the
//                activations of each column are contiguous. A segment has `steps`; is_zero()
//                tells that it adds nothing; activation(c, r, step) is what column c's vector r
//                is multiplied by `step` steps on from here; advance(steps) moves on. See
//                parts/activations.hpp
//   tile         keeps the sums. vector_tile keeps them in vector registers, for any engine. An
//                engine that has a faster way (matrix_tile.hpp) brings its own as
//                Engine::tile<R, C>, with the same five members and `reads`, whose `broadcast`
//                makes activations of what a segment points at
//   finish       finish(c, sums) receives the R vectors of finished sums of column c
//
// Everything is inlined: the caller decides which function it becomes a part of.

#include <s3/simd/lanes.hpp>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <utility>

namespace s3::kernel {

/// R × C vectors of sums in registers. A `partial` may have fewer bits than the total; it is
/// widened and added to the total every `widen_every` steps. If a tile has few sums, each addition
/// would wait for the one before; `Chains` partial sums per total, which take turns, avoid that.
template <class Engine, std::size_t R, std::size_t C, std::size_t Chains = 1>
class vector_tile {
    using sums = typename Engine::sums;
    using partial = typename Engine::partial;
    static constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();
    static constexpr bool widens = Engine::widen_every < unbounded;
    /// Integer sums start at start(c, r). Float sums start at 0, and the start is added at the end,
    /// so that rounding does not depend on it.
    static constexpr bool starts_early =
        !widens && std::is_integral_v<typename Engine::element> && Chains == 1;

    partial part[Chains][C][R];
    sums total[C][R];

public:
    using engine = Engine;
    using reads = Engine;
    static constexpr std::size_t rows = R, columns = C;
    static constexpr std::size_t widen_every = widens ? Engine::widen_every * Chains : unbounded;

    // Loops are written out here, without a function for each element: every tile has functions of
    // its own, and compilers take long for many small ones.
    template <class Start>
    S3_INLINE void begin([[maybe_unused]] const Start& start) noexcept {
        if constexpr (widens || starts_early)
            S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
                S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r) {
                    if constexpr (widens)
                        total[c][r] = start(c, r);
                    else
                        part[0][c][r] = start(c, r);
                }
    }
    /// Called before each run of `widen_every` steps.
    S3_INLINE void clear() noexcept {
        if constexpr (!starts_early)
            S3_UNROLL_FOR(std::size_t i = 0; i < Chains; ++i)
                S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
                    S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r)
                        part[i][c][r] = partial(0);
    }
    /// Adds the next `steps` steps of the weights and the segment x: a multiple of Weights::steps.
    template <class Weights, class Segment>
    S3_INLINE void add(Weights& w, Segment& x, std::size_t steps) noexcept {
        std::size_t s = 0;
        if constexpr (widens && Weights::steps == 1)
            if (steps == widen_every) { // all partial sums are zero: one addition less
                typename Engine::weights v[R];
                w.template load<0>(v);
                S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
                    S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r)
                        part[0][c][r] = Engine::step(partial(0), x.activation(c, r, 0), v[r]);
                w.advance();
                x.advance(1);
                s = 1;
            }
        for (; s < steps; s += Weights::steps, w.advance(), x.advance(Weights::steps))
            add_steps(w, x, std::make_index_sequence<Weights::steps>{});
    }
    /// Called after each run of `widen_every` steps, and after the last steps.
    S3_INLINE void widen() noexcept {
        if constexpr (widens)
            S3_UNROLL_FOR(std::size_t i = 0; i < Chains; ++i)
                S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
                    S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r)
                        total[c][r] = total[c][r] + Engine::widen(part[i][c][r]);
    }
    template <class Start, class Finish>
    S3_INLINE void finish([[maybe_unused]] const Start& start, const Finish& f) noexcept {
        if constexpr (!widens)
            S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
                S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r) {
                    if constexpr (starts_early)
                        total[c][r] = part[0][c][r];
                    else
                        total[c][r] = start(c, r) + part[0][c][r];
                    S3_UNROLL_FOR(std::size_t i = 1; i < Chains; ++i)
                        total[c][r] = total[c][r] + part[i][c][r];
                }
        S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
            f(c, total[c]);
    }

private:
    template <class Weights, class Segment, std::size_t... Step>
    S3_INLINE void add_steps(Weights& w, const Segment& x, std::index_sequence<Step...>) noexcept {
        typename Engine::weights v[R];
        ((w.template load<static_cast<int>(Step)>(v), add_step(part[Step % Chains], x, Step, v)),
         ...);
    }
    template <class Segment>
    static S3_INLINE void add_step(partial (&to)[C][R], const Segment& x, std::size_t step,
                                   const typename Engine::weights (&v)[R]) noexcept {
        S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
            S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r)
                to[c][r] = Engine::step(to[c][r], x.activation(c, r, step), v[r]);
    }
};

namespace detail {
template <class Engine, std::size_t R, std::size_t C, std::size_t Chains>
struct tile_of {
    using type = vector_tile<Engine, R, C, Chains>;
};
template <class Engine, std::size_t R, std::size_t C, std::size_t Chains>
requires requires {
    typename Engine::template tile<R, C>;
}
struct tile_of<Engine, R, C, Chains> {
    using type = typename Engine::template tile<R, C>;
};
} // namespace detail

/// The engine's own tile, or vector registers if it has none.
template <class Engine, std::size_t R, std::size_t C, std::size_t Chains = 1>
using tile_for = typename detail::tile_of<Engine, R, C, Chains>::type;

template <class Tile, class Weights, class Activations, class Start, class Finish>
S3_INLINE void accumulate(Weights w, Activations x, std::size_t steps, const Start& start,
                          const Finish& finish) noexcept {
    Tile tile;
    tile.begin(start);
    do {
        tile.clear();
        std::size_t room = std::min(steps, Tile::widen_every);
        steps -= room;
        while (room > 0) {
            auto segment = x.next(room);
            room -= segment.steps;
            if (segment.is_zero())
                w.skip(segment.steps);
            else
                tile.add(w, segment, segment.steps);
        }
        tile.widen();
    } while (steps > 0);
    tile.finish(start, finish);
}

/// Decoded weights in memory, in the order [step][R] vectors.
template <class Engine, std::size_t R>
struct decoded {
    static constexpr std::size_t steps = 1;
    static constexpr std::size_t lanes = simd::width32<typename Engine::arch>;
    const typename Engine::element* S3_RESTRICT from;

    template <int>
    S3_INLINE void load(typename Engine::weights (&w)[R]) const noexcept {
        S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r)
            w[r] = simd::in_register(Engine::load(from + r * lanes));
    }
    S3_INLINE void advance() noexcept { skip(1); }
    S3_INLINE void skip(std::size_t count) noexcept { from += count * R * lanes; }
    S3_INLINE void pass(std::size_t count) noexcept { skip(count); }
};

} // namespace s3::kernel
