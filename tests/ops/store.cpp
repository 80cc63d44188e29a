// The vectors' epilogue equals `finish` bit for bit, on every architecture, for every output type,
// option and number of channels, and touches nothing but its outputs.

#include <s3/ops/store.hpp>

#include "../support/archs.hpp"
#include "../support/guarded.hpp"
#include "../support/random.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

using namespace s3;

namespace {

using outputs = test::type_list<std::uint8_t, std::int8_t, std::int32_t, float>;

/// An epilogue drawn at random, with the memory behind it.
struct drawn {
    std::vector<float> scale;
    std::vector<std::int32_t> bias;
    std::vector<std::uint8_t> shift, residual;
    epilogue e;

    template <class Y>
    drawn(test::random& r, std::type_identity<Y>, std::size_t rows, std::size_t size) {
        constexpr bool narrow = sizeof(Y) == 1;
        const auto count = [&] { return r.below(3) == 0 ? std::size_t{1} : rows; };
        if (r.below(2) == 0) {
            bias.resize(count());
            for (auto& b : bias)
                b = r.between(-5000, 5000);
        }
        if (!std::is_same_v<Y, std::int32_t> && r.below(4) != 0) {
            scale.resize(count());
            // Powers of two put many values exactly between two integers.
            const bool ties = r.below(2) == 0;
            for (float& s : scale)
                s = ties ? std::ldexp(r.below(4) == 0 ? -1.0f : 1.0f, r.between(-8, -1))
                         : std::ldexp(r.real(), r.between(-12, r.below(4) == 0 ? 90 : 2));
        } else if (narrow && r.below(2) == 0) {
            shift.resize(count());
            for (auto& s : shift)
                s = static_cast<std::uint8_t>(r.below(12));
        }
        if (r.below(2) == 0)
            e.activation = relu;
        if (narrow) {
            e.zero_point = r.below(4) == 0 ? r.between(-32768, 32768) : r.between(-128, 255);
            if (r.below(3) == 0) {
                e.clamp_low = r.between(-128, 100);
                e.clamp_high = std::max(e.clamp_low, 0) + r.between(0, 100);
            }
            if (r.below(2) == 0) {
                residual.resize(size);
                for (auto& v : residual)
                    v = static_cast<std::uint8_t>(r());
                e.residual_scale = r.below(2) == 0 ? 0.5f : r.real() * 3;
                e.residual_zero_point = r.between(-128, 255);
            }
        }
        e.scale = scale;
        e.bias = bias;
        e.shift = shift;
        if (residual.empty())
            return;
        const std::span<const std::uint8_t> bytes(residual);
        if (r.below(2) == 0)
            e.residual = bytes;
        else
            e.residual = std::span(reinterpret_cast<const std::int8_t*>(bytes.data()), size);
    }
};

std::int32_t draw_sum(test::random& r) {
    switch (r.below(3)) {
    case 0:
        return r.between(-300, 300);
    case 1:
        return r.between(-100000, 100000);
    default:
        return static_cast<std::int32_t>(static_cast<std::uint32_t>(r())) / 2;
    }
}

} // namespace

TEST_CASE("vectors of outputs equal finish, bit for bit") {
    test::guarded_memory sums_memory(1 << 14), y_memory(1 << 16);
    test::all_archs::each([&]<class Arch>() {
        outputs::each([&]<class Y>() {
            CAPTURE(std::string(Arch::name));
            CAPTURE(sizeof(Y));
            test::random r(3);
            std::size_t wrong = 0, touched = 0;
            for (std::size_t trial = 0; trial < 1500; ++trial) {
                const std::size_t count = trial < 140 ? trial : r.below(140);
                // A group's rows begin at `first`; a panel's rows begin at `row`.
                const std::size_t first = r.below(3) * 5, row = r.below(3) * 16;
                const std::size_t rows = first + row + count + r.below(9);
                const std::size_t plane = r.below(2) == 0 ? 1 : 3;
                const bool channels_last = r.below(3) != 0;
                const detail::output_map map{plane, plane * rows, channels_last ? rows : 1,
                                             channels_last ? 1 : plane, first};
                const std::size_t columns = 2 * plane;
                const drawn d(r, std::type_identity<Y>{}, rows, columns * rows);
                REQUIRE(check<Y>(d.e, rows, columns * rows));

                const auto where = r.below(2) == 0 ? test::side::lower : test::side::upper;
                const auto y = y_memory.take<Y>(columns * rows, where);
                const std::size_t n = r.below(columns), some = 1 + r.below(columns - n);
                const std::size_t stride = count + r.below(9);
                const auto sums =
                    sums_memory.take<std::int32_t>((some - 1) * stride + count, where);
                std::memset(y.data(), 0x5a, y.size_bytes());
                for (auto& s : sums)
                    s = draw_sum(r);
                const detail::integer_store<Arch, Y> store{y.data(), map, d.e};
                std::vector<std::size_t> places(some);
                store.place(n, some, places.data());
                if (some == 1 && r.below(2) == 0)
                    store(n, row, count, sums.data());
                else
                    store(places.data(), some, row, count, sums.data(), stride);

                std::vector<Y> expected(y.size());
                std::memset(expected.data(), 0x5a, y.size_bytes());
                for (std::size_t c = 0; c < some; ++c)
                    for (std::size_t i = 0; i < count; ++i) {
                        const std::size_t at = map.index(n + c, row + i);
                        expected[at] = finish<Y>(sums[c * stride + i], first + row + i, at, d.e);
                        wrong += std::memcmp(&expected[at], &y[at], sizeof(Y)) != 0;
                    }
                touched += std::memcmp(expected.data(), y.data(), y.size_bytes()) != 0;
            }
            CHECK(wrong == 0);
            CHECK(touched == 0);
        });
    });
}

TEST_CASE("halves go to the even neighbour in vectors too") {
    test::all_archs::each([]<class Arch>() {
        CAPTURE(std::string(Arch::name));
        std::vector<std::int32_t> sums(64);
        std::vector<std::int8_t> y(64), expected(64);
        for (int i = 0; i < 64; ++i) {
            sums[static_cast<std::size_t>(i)] = 2 * (i - 32) + 1; // times a half: all are ties
            const int below = i - 32;
            expected[static_cast<std::size_t>(i)] =
                static_cast<std::int8_t>(below % 2 == 0 ? below : below + 1);
        }
        const std::vector<float> half{0.5f};
        const epilogue e{.scale = half};
        detail::integer_store<Arch, std::int8_t>{y.data(), {.image = 64}, e}(0, 0, 64, sums.data());
        CHECK(y == expected);
    });
}

TEST_CASE("the map sends each output to a place of its own") {
    const std::size_t plane = 6, channels = 5, images = 2;
    for (const bool last : {true, false}) {
        const detail::output_map map{plane, plane * channels, last ? channels : 1,
                                     last ? 1 : plane};
        std::vector<int> seen(images * plane * channels);
        for (std::size_t n = 0; n < images * plane; ++n)
            for (std::size_t m = 0; m < channels; ++m)
                ++seen[map.index(n, m)];
        CHECK(seen == std::vector<int>(seen.size(), 1));
    }
}

TEST_CASE("float outputs of float sums: scales, bias, ReLU in this order") {
    const std::vector<float> sums{3, -5, 0.5f}, real{2, 0.5f, 1}, scale{10, 10, -4}, bias{1, 2, 3};
    std::vector<float> y(4, 77.0f);
    const float_epilogue e{.scale = scale, .bias = bias};
    detail::float_store<arch::native>{y.data(), {.image = 3}, e, real}(0, 0, 3, sums.data());
    CHECK(y == std::vector<float>{61, -23, 1, 77});
    const float_epilogue clipped{.scale = scale, .bias = bias, .activation = relu};
    detail::float_store<arch::native>{y.data(), {.image = 3}, clipped, {}}(0, 0, 3, sums.data());
    CHECK(y == std::vector<float>{31, 0, 1, 77});
    // The second group of two channels: scale, bias and real scale are the tensor's.
    const std::vector<float> four{1, 1, 10, 100}, own{9, 9, 0.5f, 0.25f};
    const float_epilogue last{.scale = four};
    y.assign(4, 77.0f);
    detail::float_store<arch::native>{y.data(), {.image = 4, .first = 2}, last, own}(0, 0, 2,
                                                                                     sums.data());
    CHECK(y == std::vector<float>{77, 77, 15, -125});
}
