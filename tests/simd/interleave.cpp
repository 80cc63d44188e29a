// Four rows become one of four-byte groups, for every length, exactly as long as they are.

#include <s3/simd/interleave.hpp>

#include "vectors.hpp"

#include <vector>

using namespace s3;

namespace {
template <class Arch, bool Flip>
void check(test::random& r) {
    for (std::size_t count = 0; count <= 4 * Arch::vector_bytes + 17; ++count) {
        std::vector<std::uint8_t> rows[4], to(4 * count), right;
        const std::uint8_t* from[4];
        for (std::size_t i = 0; i < 4; ++i) {
            rows[i].resize(count);
            for (auto& v : rows[i])
                v = static_cast<std::uint8_t>(r());
            from[i] = rows[i].data();
        }
        for (std::size_t i = 0; i < count; ++i)
            for (const auto& row : rows)
                right.push_back(static_cast<std::uint8_t>(row[i] + (Flip ? 128 : 0)));
        simd::interleave<Arch, Flip>(from, count, to.data());
        CHECK(to == right);
    }
}
} // namespace

TEST_CASE("interleave of every length") {
    test::random r(1);
    test::all_archs::each([&]<class Arch>() {
        CAPTURE(Arch::name);
        check<Arch, false>(r);
        check<Arch, true>(r);
    });
}
