// Overflow proofs: at the bound every sum fits the accumulator, one product later some sum does
// not.

#include <s3/format/bounds.hpp>

#include "../support/random.hpp"
#include "../support/types.hpp"
#include "../support/weights.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <initializer_list>
#include <string>

using namespace s3;

namespace {

constexpr std::int64_t top = std::numeric_limits<std::int32_t>::max();

template <class F, class X>
constexpr bool tight() {
    constexpr std::int64_t most = std::int64_t{F::max_value} * max_abs_activation<X>;
    constexpr std::int64_t depth = max_depth<F, X>();
    return depth * most <= top && (depth + 1) * most > top;
}
static_assert(tight<shift2, std::uint8_t>() && tight<shift2, std::int8_t>());
static_assert(tight<shift3, std::uint8_t>() && tight<shift3, std::int8_t>());
static_assert(tight<shift4, std::uint8_t>() && tight<shift4, std::int8_t>());
static_assert(tight<shift5, std::uint8_t>() && tight<shift5, std::int8_t>());
static_assert(tight<dense2, std::uint8_t>() && tight<dense2, std::int8_t>());
static_assert(tight<dense3, std::uint8_t>() && tight<dense3, std::int8_t>());
static_assert(tight<dense4, std::uint8_t>() && tight<dense4, std::int8_t>());
static_assert(tight<dense5, std::uint8_t>() && tight<dense5, std::int8_t>());

static_assert(max_depth<shift3, std::uint8_t>() == 2105376);
static_assert(max_depth<shift5, std::uint8_t>() == 514);
static_assert(max_depth<dense5, std::int8_t>() == 511);
static_assert(max_depth<int8_weights, std::uint8_t>() == 65793);
static_assert(max_depth<shift2, std::uint8_t, std::int16_t>() == 128);
static_assert(max_depth<dense5, std::uint8_t, std::int16_t>() == 0);
static_assert(max_abs_activation<std::int8_t> == 128);
static_assert(max_abs_activation<std::uint8_t> == 255);
static_assert(fits_int32<std::int8_t>(top / 128) && !fits_int32<std::int8_t>(top / 128 + 1));
static_assert(fits_int32<std::uint8_t>(top / 63, 0, 6) &&
              !fits_int32<std::uint8_t>(top / 63 + 1, 0, 6));
static_assert(fits_int32<std::int8_t>(top / 8, 0, 4) &&
              !fits_int32<std::int8_t>(top / 8 + 1, 0, 4));

/// Against the extreme products among all weights and all activations of `bits` bits.
template <weight_format F, integer_activation X, std::signed_integral Acc>
bool is_largest_depth(int bits) {
    const int low_x = std::is_signed_v<X> ? -(1 << (bits - 1)) : 0;
    const int high_x = std::is_signed_v<X> ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
    std::int64_t low = 0, high = 0;
    for (const int w : test::values_of<F>())
        for (int x = low_x; x <= high_x; ++x) {
            low = std::min(low, std::int64_t{w} * x);
            high = std::max(high, std::int64_t{w} * x);
        }
    const auto fits = [&](std::int64_t k) {
        return k * high <= std::numeric_limits<Acc>::max() &&
               k * low >= std::numeric_limits<Acc>::min();
    };
    const std::int64_t depth = max_depth<F, X, Acc>(bits);
    return fits(depth) && !fits(depth + 1);
}

} // namespace

TEST_CASE("max_depth is the largest depth at which no sum overflows") {
    test::all_formats::each([]<class F>() {
        test::integer_activations::each([]<class X>() {
            CAPTURE(std::string(F::name));
            for (int bits = 1; bits <= 8; ++bits) {
                CAPTURE(bits);
                CHECK(is_largest_depth<F, X, std::int16_t>(bits));
                CHECK(is_largest_depth<F, X, std::int32_t>(bits));
            }
        });
    });
}

TEST_CASE("fits_int32 is Σ|w|·max|x| + |bias| ≤ 2^31 − 1") {
    test::random r(1);
    test::integer_activations::each([&]<class X>() {
        int wrong = 0;
        for (int i = 0; i < 10000; ++i) {
            const auto bias =
                static_cast<std::int32_t>(static_cast<std::uint32_t>(r())) >> r.below(32);
            const std::int64_t magnitude = bias < 0 ? -std::int64_t{bias} : bias;
            const std::int64_t edge =
                std::max<std::int64_t>(top - magnitude, 0) / max_abs_activation<X>;
            for (const std::int64_t sum :
                 {edge - 1, edge, edge + 1, std::int64_t(r.below(1u << 31))})
                if (sum >= 0)
                    wrong += fits_int32<X>(sum, bias) !=
                             (sum * max_abs_activation<X> + magnitude <= top);
        }
        CHECK(wrong == 0);
        CHECK_FALSE(fits_int32<X>(0, std::numeric_limits<std::int32_t>::min()));
        CHECK_FALSE(fits_int32<X>(std::numeric_limits<std::int64_t>::max()));
    });
}
