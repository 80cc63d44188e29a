// 16-bit look-ups in one vector and in two, and additions in some lanes, equal their definition.

#include <s3/simd/permute.hpp>

#include "vectors.hpp"

using namespace s3;
using test::array_from, test::expected, test::lanes_from, test::random_lanes;

TEST_CASE("permute16 finds entries, and ignores the bits above its index") {
    test::random r(1);
    test::each_vector_arch([&]<class Arch>() {
        using u16 = std::uint16_t;
        constexpr std::size_t width = test::lane_count<u16, Arch>;
        for (int round = 0; round < test::rounds; ++round) {
            const auto a = random_lanes<u16, Arch>(r), b = random_lanes<u16, Arch>(r);
            const auto at = random_lanes<u16, Arch>(r);
            CHECK(array_from<u16, Arch>(
                      simd::permute16<Arch>(lanes_from<Arch>(a), lanes_from<Arch>(at))) ==
                  expected<u16, Arch>([&](std::size_t i) { return a[at[i] % width]; }));
            CHECK(array_from<u16, Arch>(simd::permute16<Arch>(
                      lanes_from<Arch>(a), lanes_from<Arch>(b), lanes_from<Arch>(at))) ==
                  expected<u16, Arch>([&](std::size_t i) {
                      return (at[i] / width % 2 == 0 ? a : b)[at[i] % width];
                  }));
        }
    });
}

TEST_CASE("add_where and subtract_where leave the other lanes") {
    test::random r(2);
    test::each_vector_arch([&]<class Arch>() {
        using u16 = std::uint16_t;
        for (int round = 0; round < test::rounds; ++round) {
            const auto a = random_lanes<u16, Arch>(r), b = random_lanes<u16, Arch>(r);
            const auto where = static_cast<std::uint32_t>(r());
            CHECK(
                array_from<u16, Arch>(
                    simd::add_where<Arch>(where, lanes_from<Arch>(a), lanes_from<Arch>(b))) ==
                expected<u16, Arch>([&](std::size_t i) { return a[i] + (where >> i & 1) * b[i]; }));
            CHECK(
                array_from<u16, Arch>(
                    simd::subtract_where<Arch>(where, lanes_from<Arch>(a), lanes_from<Arch>(b))) ==
                expected<u16, Arch>([&](std::size_t i) { return a[i] - (where >> i & 1) * b[i]; }));
        }
    });
}
