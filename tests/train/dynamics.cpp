#include <s3/train/dynamics.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <vector>

namespace {
std::vector<float> random_states(std::size_t size, unsigned seed) {
    std::mt19937 generator(seed);
    std::vector<float> w(size);
    for (float& v : w)
        v = float(int(generator() % 3) - 1) * float(1 << generator() % 3);
    return w;
}
} // namespace

TEST_CASE("every weight makes one transition, and swapping the moments transposes them") {
    const auto before = random_states(1000, 1), after = random_states(1000, 2);
    const auto forth = s3::count_transitions<float>(before, after);
    const auto back = s3::count_transitions<float>(after, before);
    REQUIRE(forth);
    REQUIRE(back);
    CHECK(forth->total() == 1000);
    for (std::size_t i = 0; i < 3; ++i)
        for (std::size_t j = 0; j < 3; ++j)
            CHECK(forth->count[i][j] == back->count[j][i]);
    CHECK(forth->revived() == back->pruned());
}

TEST_CASE("transitions by hand") {
    const std::vector<float> before{-4, -1, 0, -0.0f, 2, 1, 1, 0},
        after{1, -2, 1, -1, 0, -1, 4, -0.0f};
    const auto t = s3::count_transitions<float>(before, after);
    REQUIRE(t);
    CHECK(t->count[0] == std::array<std::size_t, 3>{1, 0, 1});
    CHECK(t->count[1] == std::array<std::size_t, 3>{1, 1, 1});
    CHECK(t->count[2] == std::array<std::size_t, 3>{1, 1, 1});
    CHECK(t->direct_flips() == 2);
    CHECK(t->revived() == 2);
    CHECK(t->pruned() == 1);
    CHECK(s3::share_of_zeros<float>(before) == 3.0 / 8);
    CHECK(s3::share_of_zeros<float>({}) == 0);
}

TEST_CASE("a history sees flips through zero, and remembers them") {
    std::vector<std::uint8_t> bytes(4);
    s3::sign_history history(bytes);
    const std::vector<std::vector<std::int8_t>> moments{
        {1, -1, 0, 0}, {0, 0, 0, 2}, {0, -4, 0, 2}, {-1, 0, 0, -1}, {-1, 1, 0, 1}};
    const std::vector<std::size_t> flips{0, 0, 0, 2, 2};
    for (std::size_t m = 0; m < moments.size(); ++m) {
        const auto n = history.update<std::int8_t>(moments[m]);
        REQUIRE(n);
        CHECK(*n == flips[m]);
    }
    CHECK(history.never_flipped() == 0.25);
}

TEST_CASE("sizes that differ are errors") {
    const std::vector<float> a(3), b(4);
    std::vector<std::uint8_t> bytes(4);
    s3::sign_history history(bytes);
    CHECK(s3::count_transitions<float>(a, b).error().code == s3::errc::shape_mismatch);
    CHECK(history.update<float>(a).error().code == s3::errc::shape_mismatch);
}
