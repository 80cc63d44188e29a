#pragma once
// The innermost loop of every kernel that decodes weights and multiplies them by activations:
//
//   sums[c][r] = start(c, r) + Σ over steps of  w[step][r] · x[c][step]      c < C, r < R
//
// r numbers vectors of rows, c columns of activations; a step is one multiply-add of a vector (four
// products to a 32-bit lane for bytes, one otherwise). Four parts meet here, each replaceable:
//
//   weights      load<Step>(v) gives the R vectors of one of the `steps` steps at hand; advance()
//                goes on to the next ones; skip(count) passes over `count` steps
//   activations  next(most) gives the next segment: at most `most` steps, of which every column
//                lies in memory without a gap. A segment tells its `steps`, whether it `is_zero`
//                and adds nothing, the activation(c, r, step) that column c's vector r meets `step`
//                steps from its position, and goes on by advance(steps). See activations.hpp
//   tile         keeps the sums; vector_tile keeps them in vector registers, for any engine. An
//                engine for which that is not the fastest way (a matrix unit) brings its own, with
//                the same five members, as Engine::tile<R, C>
//   finish       finish(c, sums) receives the R vectors of finished sums of column c
//
// Everything is inlined: the caller sets the boundary of the function that compilers see.

#include <s3/simd/lanes.hpp>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <type_traits>

namespace s3::kernel {

/// R × C sums in vector registers. Sums of few products may fit fewer bits than their total: they
/// are widened and added to it every `widen_every` steps. `Chains` sums per total, which take
/// turns, are for tiles of so few sums that each would wait for its last addition.
template <class Engine, std::size_t R, std::size_t C, std::size_t Chains = 1>
class vector_tile {
    using sums = typename Engine::sums;
    using partial = typename Engine::partial;
    static constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();
    static constexpr bool widens = Engine::widen_every < unbounded;
    /// Integers are added to what they start from; floats are rounded the same whatever that is.
    static constexpr bool starts_early =
        !widens && std::is_integral_v<typename Engine::element> && Chains == 1;

    partial part[Chains][C][R];
    sums total[C][R];

public:
    using engine = Engine;
    static constexpr std::size_t rows = R, columns = C;
    static constexpr std::size_t widen_every = widens ? Engine::widen_every * Chains : unbounded;

    template <class Start>
    S3_INLINE void begin(const Start& start) noexcept {
        each([&](std::size_t c, std::size_t r) S3_INLINE_LAMBDA {
            if constexpr (widens)
                total[c][r] = start(c, r);
            if constexpr (starts_early)
                part[0][c][r] = start(c, r);
        });
    }
    /// Before each `widen_every` steps.
    S3_INLINE void clear() noexcept {
        if constexpr (!starts_early)
            S3_UNROLL_FOR(std::size_t i = 0; i < Chains; ++i)
                each([&](std::size_t c, std::size_t r)
                         S3_INLINE_LAMBDA { part[i][c][r] = partial(0); });
    }
    /// `steps` of the weights and the segment x, whole Weights::steps.
    template <class Weights, class Segment>
    S3_INLINE void add(Weights& w, Segment& x, std::size_t steps) noexcept {
        std::size_t s = 0;
        if constexpr (widens && Weights::steps == 1)
            if (steps == widen_every) { // all parts are zero: one addition less
                add_step<0, true>(w, x);
                w.advance();
                x.advance(1);
                s = 1;
            }
        for (; s < steps; s += Weights::steps, w.advance(), x.advance(Weights::steps))
            simd::unrolled<Weights::steps>([&](auto step)
                                               S3_INLINE_LAMBDA { add_step<step, false>(w, x); });
    }
    /// After each `widen_every` steps, and after the last ones.
    S3_INLINE void widen() noexcept {
        if constexpr (widens)
            S3_UNROLL_FOR(std::size_t i = 0; i < Chains; ++i)
                each([&](std::size_t c, std::size_t r) S3_INLINE_LAMBDA {
                    total[c][r] = total[c][r] + Engine::widen(part[i][c][r]);
                });
    }
    template <class Start, class Finish>
    S3_INLINE void finish(const Start& start, const Finish& f) noexcept {
        if constexpr (!widens)
            each([&](std::size_t c, std::size_t r) S3_INLINE_LAMBDA {
                total[c][r] = starts_early ? part[0][c][r] : start(c, r) + part[0][c][r];
                S3_UNROLL_FOR(std::size_t i = 1; i < Chains; ++i)
                    total[c][r] = total[c][r] + part[i][c][r];
            });
        S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
            f(c, total[c]);
    }

private:
    template <class Function>
    static S3_INLINE void each(const Function& f) noexcept {
        S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
            S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r)
                f(c, r);
    }
    template <int Step, bool First, class Weights, class Segment>
    S3_INLINE void add_step(Weights& w, const Segment& x) noexcept {
        typename Engine::weights v[R];
        w.template load<Step>(v);
        auto& p = part[Step % Chains];
        each([&](std::size_t c, std::size_t r) S3_INLINE_LAMBDA {
            p[c][r] = Engine::step(First ? partial(0) : p[c][r], x.activation(c, r, Step), v[r]);
        });
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

/// The engine's own tile, or vector registers.
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

/// Decoded weights in memory, [step][R] vectors.
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
};

} // namespace s3::kernel
