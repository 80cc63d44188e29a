// Numbers that are not finite are refused where the compiler assumes that there are none.

#include <doctest/doctest.h>

#include <limits>
#include <vector>

#if !defined(__clang__)
#pragma GCC optimize("fast-math")
#endif

#include <s3/pack/quantize.hpp>

using namespace s3;

TEST_CASE("pack and quantize find NaN and infinity by their bits") {
    // From bits: a literal NaN has no meaning here.
    for (const std::uint32_t bits : {0x7fc00000u, 0xffc00001u, 0x7f800000u, 0xff800000u}) {
        std::vector<float> w(12, 1.0f);
        w[7] = s3::bit_cast<float>(bits);
        for (const scale_per per : {scale_per::tensor, scale_per::row})
            for (const scale_kind kind : {scale_kind::power_of_two, scale_kind::real}) {
                const auto q = quantize<shift3>(w, 3, 4, {nearest::value, per, kind});
                REQUIRE_FALSE(q);
                CHECK(q.error().code == errc::not_finite);
                CHECK(q.error().index == 7);
            }
        const auto p = pack<shift3>(w, 3, 4);
        REQUIRE_FALSE(p);
        CHECK(p.error().code == errc::not_finite);
        CHECK(p.error().index == 7);
        const std::vector<float> one{1.0f};
        CHECK(pack<shift3>(one, 1, 1, {.scale = std::span(&w[7], 1)}).error().code ==
              errc::not_finite);
    }
}
