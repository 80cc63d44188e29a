#pragma once
// The innermost loop of the matrix product: R × C sums stay in registers while R vectors of decoded
// weights meet C activations per step. Load, accumulate, store.

#include <s3/simd/lanes.hpp>

#include <algorithm>
#include <cstddef>

namespace s3::kernel {

/// Where activations lie: segment s of column c is the `steps` steps from at[s·stride + c] on.
template <class Staged>
struct column_table {
    const Staged* const* at = nullptr;
    std::size_t stride = 0;
    std::size_t steps = 0;
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

    /// sums[count][R] (+)= w[steps][R] · x, from step `begin` of the columns on. `first`: the sums
    /// start from `initial` (null for zero), not from what is there.
    template <std::size_t C = columns>
    static void run(const element* w, std::size_t steps, table x, std::size_t begin, sum* sums,
                    std::size_t count, bool first, const sum* initial) {
        for (; count >= C; count -= C, x.at += C, sums += C * R * lanes)
            exactly<C>(w, steps, x, begin, sums, first, initial);
        if constexpr (C > 1)
            run<C == 3 ? 1 : C / 2>(w, steps, x, begin, sums, count, first, initial);
    }

private:
    template <std::size_t C>
    static S3_NOINLINE void exactly(const element* S3_RESTRICT w, std::size_t steps, const table& x,
                                    std::size_t begin, sum* S3_RESTRICT sums, bool first,
                                    const sum* initial) {
        using partial = typename Engine::partial;
        auto* out = reinterpret_cast<element*>(sums);
        const auto* in = reinterpret_cast<const element*>(initial);
        const auto* columns_at = x.at + begin / x.steps * x.stride;
        std::size_t at = begin % x.steps;
        do {
            partial p[C][R];
            S3_UNROLL for (std::size_t c = 0; c < C; ++c)
                S3_UNROLL for (std::size_t r = 0; r < R; ++r) p[c][r] = partial(0);
            std::size_t room = Engine::widen_every;
            do {
                const typename Engine::staged* from[C];
                S3_UNROLL for (std::size_t c = 0; c < C; ++c) from[c] =
                    columns_at[c] + at * Engine::columns_per_step;
                const std::size_t now = std::min({steps, room, x.steps - at});
                for (std::size_t s = 0; s < now; ++s, w += R * lanes) {
                    typename Engine::weights v[R];
                    S3_UNROLL for (std::size_t r = 0; r < R; ++r) v[r] =
                        Engine::load(w + r * lanes);
                    S3_UNROLL for (std::size_t c = 0; c < C; ++c) {
                        const auto xc = Engine::broadcast(from[c] + s * Engine::columns_per_step);
                        S3_UNROLL for (std::size_t r = 0; r < R; ++r) p[c][r] =
                            Engine::step(p[c][r], xc, v[r]);
                    }
                }
                steps -= now;
                room -= now;
                at += now;
                if (at == x.steps) {
                    at = 0;
                    columns_at += x.stride;
                }
            } while (steps > 0 && room > 0);
            S3_UNROLL for (std::size_t c = 0; c < C; ++c)
                S3_UNROLL for (std::size_t r = 0; r < R; ++r) {
                element* to = out + (c * R + r) * lanes;
                auto total = Engine::widen(p[c][r]);
                if (!first)
                    total = total + simd::load<element, arch>(to);
                else if (in)
                    total = total + simd::load<element, arch>(in + r * lanes);
                simd::store<arch>(to, total);
            }
            first = false;
        } while (steps > 0);
    }
};

} // namespace s3::kernel
