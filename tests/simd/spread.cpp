// Fields of a word become bytes, on every architecture.

#include <s3/simd/spread.hpp>

#include "vectors.hpp"

using namespace s3;

TEST_CASE("spread_fields puts eight fields into eight bytes") {
    test::random r(1);
    const auto check = [&]<int Bits, class Arch>() {
        for (int round = 0; round < test::rounds; ++round) {
            const std::uint64_t fields = r();
            std::uint64_t right = 0;
            for (int i = 0; i < 8; ++i)
                right |= (fields >> (i * Bits) & ((1u << Bits) - 1)) << (8 * i);
            CHECK(simd::spread_fields<Bits, Arch>(fields) == right);
        }
    };
    test::all_archs::each([&]<class Arch>() {
        check.template operator()<2, Arch>();
        check.template operator()<3, Arch>();
        check.template operator()<5, Arch>();
        check.template operator()<8, Arch>();
    });
}
