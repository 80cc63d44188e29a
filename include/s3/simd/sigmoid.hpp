#pragma once
// σ(t) = 1 / (1 + e^−t) of float lanes, with the same bits on every machine and a relative error
// below 3·10⁻⁷ for |t| ≤ 87; beyond that, σ(±87).
//
// With n the integer next to −t / ln 2 and r = −t − n·ln 2, where ln 2 is the sum of two numbers
// whose first has few bits, e^−t = 2^n·e^r. e^r is 1 + r + r²·p(r), with the polynomial p of
// Cephes' expf (S. L. Moshier, 1984–1992). Every operation rounds on its own.

#include <s3/simd/lanes.hpp>
#include <s3/simd/registers.hpp>

namespace s3::simd {

template <class Arch>
[[nodiscard]] S3_INLINE lanes<float, Arch> sigmoid(const lanes<float, Arch>& t) noexcept {
    using real = lanes<float, Arch>;
    using integer = lanes<std::int32_t, Arch>;
    const auto constant = [](float c) S3_INLINE_LAMBDA { return broadcast<float, Arch>(c); };
    const auto times = [](const real& a, const real& b)
                           S3_INLINE_LAMBDA { return rounded_product<real>(a, b); };
    const real x = constant(0) - simd::min(simd::max(t, constant(-87)), constant(87));
    const integer n = nearbyint_as_int(times(x, constant(1.44269504f)));
    const real whole = to_float(n);
    const real r =
        (x - times(whole, constant(0.693359375f))) - times(whole, constant(-2.12194440e-4f));
    real p = constant(1.9875691500e-4f);
    for (const float c :
         {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
        p = times(p, r) + constant(c);
    const real e = (times(times(r, r), p) + r) + constant(1);
    const real power = as<float>(integer((n + broadcast<std::int32_t, Arch>(127)) << 23));
    return divide<Arch>(constant(1), constant(1) + times(e, power));
}

} // namespace s3::simd
