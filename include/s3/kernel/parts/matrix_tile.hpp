#pragma once
// A tile of sums (see accumulate.hpp) on simd::matrix_dot, which multiplies two columns, eight
// activations of each, by two rows: two steps of a pair of columns and of half a vector of rows.
//
//   decoded weights, a step of four rows        | row 0 | row 1 | row 2 | row 3 |   4 weights each
//   two steps, zipped                           | row 0         | row 1         |   8 weights each
//                                               | row 2         | row 3         |
//   sums of columns c and c + 1                 | c, 0  | c, 1  | c+1, 0| c+1, 1|
//                                               | c, 2  | c, 3  | c+1, 2| c+1, 3|
//
// With an odd number of columns, the last one is a pair with itself.

#include <s3/simd/bytes.hpp>

#include <cstddef>
#include <limits>

namespace s3::kernel {

template <class Engine, std::size_t R, std::size_t C>
class matrix_tile {
    using arch = typename Engine::arch;
    using sums = typename Engine::sums;
    using staged = typename Engine::staged;
    using bytes = simd::lanes<std::uint8_t, arch>;
    static constexpr std::size_t pairs = (C + 1) / 2;

    sums low_[pairs][R], high_[pairs][R]; ///< of rows 0 and 1, and of rows 2 and 3 of a vector

    static constexpr std::size_t second(std::size_t pair) {
        return 2 * pair + 1 < C ? 2 * pair + 1 : 2 * pair;
    }

public:
    using engine = Engine;
    static constexpr std::size_t rows = R, columns = C;
    static constexpr std::size_t widen_every = std::numeric_limits<std::size_t>::max();

    /// Activations are read where they lie.
    struct reads {
        static constexpr std::size_t depth_per_step = Engine::depth_per_step;
        static S3_INLINE const staged* broadcast(const staged* x) noexcept { return x; }
    };

    template <class Start>
    S3_INLINE void begin(const Start& start) noexcept {
        each([&](std::size_t p, std::size_t r) S3_INLINE_LAMBDA {
            const sums a = start(2 * p, r), b = start(second(p), r);
            low_[p][r] = low_halves(a, b);
            high_[p][r] = high_halves(a, b);
        });
    }
    S3_INLINE void clear() noexcept {}
    template <class Weights, class Segment>
    S3_INLINE void add(Weights& w, Segment& x, std::size_t steps) noexcept {
        typename Engine::weights a[R], b[R];
        if constexpr (Weights::steps == 1) {
            for (; steps >= 2; steps -= 2) {
                w.template load<0>(a);
                w.advance();
                w.template load<0>(b);
                w.advance();
                add_two<0>(a, b, x);
                x.advance(2);
            }
            if (steps != 0) {
                w.template load<0>(a);
                w.advance();
                add_one(a, x);
                x.advance(1);
            }
        } else {
            static_assert(Weights::steps % 2 == 0);
            for (; steps > 0; steps -= Weights::steps) {
                simd::unrolled<Weights::steps / 2>([&](auto i) S3_INLINE_LAMBDA {
                    w.template load<2 * i>(a);
                    w.template load<2 * i + 1>(b);
                    add_two<2 * i>(a, b, x);
                });
                w.advance();
                x.advance(Weights::steps);
            }
        }
    }
    S3_INLINE void widen() noexcept {}
    template <class Start, class Finish>
    S3_INLINE void finish(const Start&, const Finish& f) noexcept {
        S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c) {
            sums v[R];
            S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r)
                v[r] = c % 2 == 0 ? low_halves(low_[c / 2][r], high_[c / 2][r])
                                  : high_halves(low_[c / 2][r], high_[c / 2][r]);
            f(c, v);
        }
    }

private:
    template <class Function>
    static S3_INLINE void each(const Function& f) noexcept {
        S3_UNROLL_FOR(std::size_t p = 0; p < pairs; ++p)
            S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r)
                f(p, r);
    }
    static S3_INLINE sums low_halves(const sums& a, const sums& b) noexcept {
        return simd::as<std::int32_t>(
            simd::zip_low(simd::as<std::int64_t>(a), simd::as<std::int64_t>(b)));
    }
    static S3_INLINE sums high_halves(const sums& a, const sums& b) noexcept {
        return simd::as<std::int32_t>(
            simd::zip_high(simd::as<std::int64_t>(a), simd::as<std::int64_t>(b)));
    }
    /// Two steps, of which number `Step` is the first.
    template <std::size_t Step, class Segment>
    S3_INLINE void add_two(const typename Engine::weights (&a)[R],
                           const typename Engine::weights (&b)[R], const Segment& x) noexcept {
        add(a, b, [&](std::size_t c) S3_INLINE_LAMBDA { return x.activation(c, 0, Step); });
    }
    /// One step: the other is of zeros.
    template <class Segment>
    S3_INLINE void add_one(const typename Engine::weights (&a)[R], const Segment& x) noexcept {
        staged last[C][8] = {};
        typename Engine::weights none[R];
        S3_UNROLL_FOR(std::size_t c = 0; c < C; ++c)
            std::memcpy(last[c], x.activation(c, 0, 0), 4);
        S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r)
            none[r] = typename Engine::weights(0);
        add(a, none, [&](std::size_t c) S3_INLINE_LAMBDA { return last[c]; });
    }
    /// at(c) are eight activations of column c.
    template <class At>
    S3_INLINE void add(const typename Engine::weights (&a)[R],
                       const typename Engine::weights (&b)[R], const At& at) noexcept {
        bytes x[pairs];
        S3_UNROLL_FOR(std::size_t p = 0; p < pairs; ++p)
            x[p] = simd::load_halves<arch>(at(2 * p), at(second(p)));
        S3_UNROLL_FOR(std::size_t r = 0; r < R; ++r) {
            const auto first = simd::as<std::int32_t>(a[r]), next = simd::as<std::int32_t>(b[r]);
            const auto low = simd::as<std::int8_t>(simd::zip_low(first, next));
            const auto high = simd::as<std::int8_t>(simd::zip_high(first, next));
            S3_UNROLL_FOR(std::size_t p = 0; p < pairs; ++p) {
                low_[p][r] = simd::matrix_dot<arch>(low_[p][r], x[p], low);
                high_[p][r] = simd::matrix_dot<arch>(high_[p][r], x[p], high);
            }
        }
    }
};

} // namespace s3::kernel
