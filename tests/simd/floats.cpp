// The float look-up finds the value of the code in the lowest bits of a lane, whatever is above.

#include <s3/format/list.hpp>
#include <s3/simd/floats.hpp>

#include "vectors.hpp"

using namespace s3;
using test::array_from, test::expected, test::lanes_from, test::random_lanes;

TEST_CASE("lookup_float of every format that a register holds") {
    test::random r(1);
    test::each_vector_arch([&]<class Arch>() {
        test::shift_formats::each([&]<class F>() {
            if constexpr (simd::has_float_lookup<F, Arch>)
                for (int round = 0; round < test::rounds; ++round) {
                    const auto v = random_lanes<std::uint32_t, Arch>(r);
                    CHECK(array_from<float, Arch>(simd::lookup_float<F, Arch>(
                              lanes_from<Arch>(v))) == expected<float, Arch>([&](std::size_t i) {
                              return F::value(v[i] & (F::codes - 1u));
                          }));
                }
        });
    });
    CHECK(!simd::has_float_lookup<shift3, arch::scalar>);
}
