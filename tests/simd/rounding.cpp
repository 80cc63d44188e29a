// A product that is rounded before it is added to is not fused with the addition, whatever the
// optimizer would like: this file is compiled with -O2. And division rounds to nearest.

#include <s3/simd/lanes.hpp>
#include <s3/simd/registers.hpp>

#include "../support/archs.hpp"
#include "../support/fast_math.hpp"
#include "../support/random.hpp"

#include <doctest/doctest.h>

#include <cstring>

using namespace s3;

namespace {

template <class Arch>
S3_NOINLINE void multiply_and_add(const float* a, const float* b, const float* c, float* to) {
    using real = simd::lanes<float, Arch>;
    const auto load = [](const float* from) { return simd::load<float, Arch>(from); };
    simd::store<Arch>(to, real(load(c) + simd::rounded_product<real>(load(a), load(b))));
}
template <class Arch>
S3_NOINLINE void divide(const float* a, const float* b, float* to) {
    simd::store<Arch>(to,
                      simd::divide<Arch>(simd::load<float, Arch>(a), simd::load<float, Arch>(b)));
}

} // namespace

TEST_CASE("a product is rounded before it is added to, and a quotient is" *
          doctest::skip(s3::test::fast_math)) {
    test::all_archs::each([]<class Arch>() {
        constexpr std::size_t width = simd::width32<Arch>;
        test::random r(1);
        for (int round = 0; round < 1000; ++round) {
            float a[width], b[width], c[width], sum[width], quotient[width];
            for (std::size_t i = 0; i < width; ++i) {
                a[i] = r.real();
                b[i] = r.real();
                c[i] = r.real();
            }
            multiply_and_add<Arch>(a, b, c, sum);
            divide<Arch>(a, b, quotient);
            for (std::size_t i = 0; i < width; ++i) {
                volatile float product = a[i] * b[i];
                CHECK(sum[i] == product + c[i]);
                CHECK((b[i] == 0 || quotient[i] == a[i] / b[i]));
            }
        }
    });
}
