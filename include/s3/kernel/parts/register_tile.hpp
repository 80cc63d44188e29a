#pragma once
// The innermost loop of the matrix product: R × C sums stay in registers while R vectors of weights
// meet C activations per step. Load, accumulate, store.

#include <s3/simd/lanes.hpp>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <type_traits>

namespace s3::kernel {

/// Where activations lie: segment s of column c is the `steps` steps from at[s·stride + c] on. A
/// segment that is at `nothing` adds nothing to any sum.
template <class Staged>
struct column_table {
    const Staged* const* at = nullptr;
    std::size_t stride = 0;
    std::size_t steps = 0;
    const Staged* nothing = nullptr;

    column_table from(std::size_t column) const noexcept {
        return {at + column, stride, steps, nothing};
    }
};

/// Weights that have been decoded, [step][R] vectors. What a tile needs of any weights: load<Step>
/// the vectors of one of the `steps` steps at hand; advance to the next ones; skip some.
template <class Engine, std::size_t R>
struct decoded {
    static constexpr std::size_t steps = 1;
    const typename Engine::element* S3_RESTRICT from;

    template <int>
    S3_INLINE void load(typename Engine::weights (&w)[R]) const noexcept {
        constexpr std::size_t lanes = simd::width32<typename Engine::arch>;
        S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r)
            w[r] = simd::in_register(Engine::load(from + r * lanes));
    }
    S3_INLINE void advance() noexcept { skip(1); }
    S3_INLINE void skip(std::size_t count) noexcept {
        from += count * R * simd::width32<typename Engine::arch>;
    }
};

template <class Engine, std::size_t R>
struct register_tile {
    using arch = typename Engine::arch;
    using element = typename Engine::element;
    using sum = typename Engine::sum;
    using table = column_table<typename Engine::staged>;
    static constexpr std::size_t lanes = simd::width32<arch>;
    /// As many columns as leave registers for the weights and an activation.
    static constexpr std::size_t columns = (arch::vector_bytes == 64 ? 24 : 8) / R;
    /// Whether there is code for every number of columns, so that work can be cut evenly.
    static constexpr bool any_count = columns <= 6;

    /// to[to_at[c] …][R] = from[from_at[c] …][R] + w[steps][R] · x, for `count` ≤ `columns` columns
    /// c, from step `begin` of the columns on.
    template <std::size_t C = columns>
    static void run(const element* w, std::size_t steps, table x, std::size_t begin,
                    const element* from, const std::size_t* from_at, element* to,
                    const std::size_t* to_at, std::size_t count) {
        for (; count >= C; count -= C) {
            exactly<C>(decoded<Engine, R>{w}, steps, x, begin, from, from_at, to, to_at);
            x.at += C;
            from_at += C;
            to_at += C;
        }
        if constexpr (C > 1)
            run<any_count ? C - 1 : fewer(C)>(w, steps, x, begin, from, from_at, to, to_at, count);
    }

    /// The same for any number of columns, their starts `from_stride` apart and their sums in a
    /// row.
    static void run(const element* w, std::size_t steps, table x, std::size_t begin,
                    const element* from, std::size_t from_stride, element* sums,
                    std::size_t count) {
        std::size_t from_at[columns], to_at[columns];
        for (std::size_t c = 0; c < columns; ++c) {
            from_at[c] = c * from_stride;
            to_at[c] = c * R * lanes;
        }
        for (std::size_t c = 0; c < count; c += columns) {
            const std::size_t some = std::min(columns, count - c);
            run<columns>(w, steps, x.from(c), begin, from + c * from_stride, from_at,
                         sums + c * R * lanes, to_at, some);
        }
    }

    /// The same for C columns and any weights; `steps`, and those of a segment, are whole
    /// Weights::steps.
    template <std::size_t C, class Weights>
    static S3_NOINLINE void exactly(Weights w, std::size_t steps, const table& x, std::size_t begin,
                                    const element* from, const std::size_t* from_at, element* to,
                                    const std::size_t* to_at) {
        using sums = typename Engine::sums;
        using partial = typename Engine::partial;
        constexpr bool widens = Engine::widen_every < std::numeric_limits<std::size_t>::max();
        // Whole integers go on from where they were; others are added up apart, and then to it.
        constexpr bool keeps = std::is_same_v<partial, sums> && std::is_integral_v<element>;
        const auto start = [&](std::size_t c, std::size_t r) S3_INLINE_LAMBDA {
            return simd::load<element, arch>(from + from_at[c] + r * lanes);
        };
        partial p[C][R];
        [[maybe_unused]] sums total[C][R];
        if constexpr (widens)
            S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
                S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r)
                    total[c][r] = start(c, r);
        std::size_t at = begin % x.steps;
        const auto* segment = x.at + begin / x.steps * x.stride;
        do {
            S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
                S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r) {
                    if constexpr (keeps)
                        p[c][r] = start(c, r);
                    else
                        p[c][r] = partial(0);
                }
            // A stretch of steps ends with its segment, or where the partial sums must widen.
            std::size_t room = std::min<std::size_t>(steps, Engine::widen_every);
            steps -= room;
            while (room > 0) {
                const std::size_t now = std::min(room, x.steps - at);
                const typename Engine::staged* column[C];
                room -= now;
                bool nothing = true;
                S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c) {
                    column[c] = segment[c] + at * Engine::columns_per_step;
                    nothing = nothing && segment[c] == x.nothing;
                }
                at += now;
                if (at == x.steps) {
                    at = 0;
                    segment += x.stride;
                }
                if (nothing) {
                    w.skip(now);
                    continue;
                }
                std::size_t s = 0;
                const auto add = [&]<bool First>(auto step,
                                                 std::bool_constant<First>) S3_INLINE_LAMBDA {
                    typename Engine::weights v[R];
                    w.template load<step>(v);
                    S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c) {
                        const auto xc =
                            Engine::broadcast(column[c] + (s + step) * Engine::columns_per_step);
                        S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r)
                            p[c][r] = Engine::step(First ? partial(0) : p[c][r], xc, v[r]);
                    }
                };
                if constexpr (widens && Weights::steps == 1)
                    if (now == Engine::widen_every) { // nothing has been added up: one sum less
                        add(std::integral_constant<int, 0>{}, std::true_type{});
                        w.advance();
                        s = 1;
                    }
                for (; s < now; s += Weights::steps, w.advance())
                    simd::unrolled<Weights::steps>(
                        [&](auto step) S3_INLINE_LAMBDA { add(step, std::false_type{}); });
            }
            if constexpr (widens)
                S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
                    S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r)
                        total[c][r] = total[c][r] + Engine::widen(p[c][r]);
        } while (steps > 0);
        S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
            S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r) {
                element* const out = to + to_at[c] + r * lanes;
                if constexpr (widens)
                    simd::store<arch>(out, total[c][r]);
                else if constexpr (keeps)
                    simd::store<arch>(out, p[c][r]);
                else
                    simd::store<arch>(out, sums(p[c][r] + start(c, r)));
            }
    }

private:
    static constexpr std::size_t fewer(std::size_t c) { return c == 3 ? 1 : c / 2; }
};

} // namespace s3::kernel
