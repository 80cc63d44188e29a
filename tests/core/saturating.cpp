// Sizes that do not fit std::size_t are its largest value, never a small one.

#include <s3/core/saturating.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <limits>

using namespace s3;

namespace {
constexpr std::size_t huge = std::numeric_limits<std::size_t>::max();
static_assert(saturating_mul(huge, 0) == 0 && saturating_mul(0, huge) == 0);
static_assert(saturating_mul(huge, 1) == huge && saturating_mul(huge, 2) == huge);
constexpr int half_bits = std::numeric_limits<std::size_t>::digits / 2;
constexpr std::size_t half = std::size_t{1} << half_bits;
static_assert(saturating_mul(half, half) == huge);
static_assert(saturating_mul(half / 2, half) == half << (half_bits - 1));
static_assert(saturating_add(huge, 0) == huge && saturating_add(0, huge) == huge);
static_assert(saturating_add(huge, 1) == huge && saturating_add(huge, huge) == huge);
static_assert(saturating_add(huge - 1, 1) == huge && saturating_add(huge - 2, 1) == huge - 1);
} // namespace

TEST_CASE("saturating arithmetic is exact where it fits, and the largest size elsewhere") {
    using wide = unsigned __int128;
    const auto clamp = [](wide v) { return v > huge ? huge : static_cast<std::size_t>(v); };
    for (int i = 0; i < 64; ++i)
        for (int j = 0; j < 64; ++j)
            for (int da = -2; da <= 2; ++da)
                for (int db = -2; db <= 2; ++db) {
                    const std::size_t a = (std::size_t{1} << i) + static_cast<std::size_t>(da);
                    const std::size_t b = (std::size_t{1} << j) + static_cast<std::size_t>(db);
                    REQUIRE(saturating_mul(a, b) == clamp(wide{a} * b));
                    REQUIRE(saturating_add(a, b) == clamp(wide{a} + b));
                }
}

TEST_CASE("whole cache lines hold all bytes, and no line more") {
    for (std::size_t bytes = 0; bytes < 1000; ++bytes) {
        const std::size_t lines = whole_lines(bytes);
        CHECK(lines % 64 == 0);
        CHECK(lines >= bytes);
        CHECK(lines < bytes + 64);
    }
    CHECK(whole_lines(huge - 63) == huge - 63);
    CHECK(whole_lines(huge - 62) == huge);
}
