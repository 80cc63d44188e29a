// Lanes shift left by counts of their own; counts as large as a lane, or larger, leave nothing.

#include <s3/simd/lane_shift.hpp>

#include "vectors.hpp"

using namespace s3;
using test::array_from, test::expected, test::lanes_from, test::random_lanes;

TEST_CASE("each lane of 32 or 16 bits shifts by its own count") {
    test::random r(1);
    test::each_vector_arch([&]<class Arch>() {
        for (int round = 0; round < test::rounds; ++round) {
            const auto v = random_lanes<std::uint32_t, Arch>(r);
            const auto by = random_lanes<std::uint32_t, Arch>(r, 0, 40);
            CHECK(array_from<std::uint32_t, Arch>(
                      simd::lane_shift<Arch>(lanes_from<Arch>(v), lanes_from<Arch>(by))) ==
                  expected<std::uint32_t, Arch>(
                      [&](std::size_t i) { return std::uint64_t{v[i]} << by[i]; }));
            const auto h = random_lanes<std::uint16_t, Arch>(r);
            const auto bh = random_lanes<std::uint16_t, Arch>(r, 0, 20);
            CHECK(array_from<std::uint16_t, Arch>(
                      simd::lane_shift16<Arch>(lanes_from<Arch>(h), lanes_from<Arch>(bh))) ==
                  expected<std::uint16_t, Arch>(
                      [&](std::size_t i) { return std::uint64_t{h[i]} << bh[i]; }));
        }
    });
}
