// A scale for every group of a row: what is kept of it, in memory and in records, how good the
// scales are that quantization finds, and that every machine finds the same ones.

#include <s3/pack/quantize.hpp>
#include <s3/pack/record.hpp>

#include "../support/archs.hpp"
#include "../support/fast_math.hpp"
#include "../support/foreign.hpp"
#include "../support/weights.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace s3;

namespace {

#if defined(S3_TEST_BRIEF)
using formats = test::type_list<shift3, dense5, int4_weights, test::thirds>;
#else
using formats = test::type_list<shift2, shift3, shift4, shift5, dense2, dense3, dense5,
                                integer_format<2>, int4_weights, int8_weights, test::thirds>;
#endif
constexpr scale_type types[] = {scale_type::binary32, scale_type::binary16, scale_type::bfloat16};

/// About normally distributed, of a size that differs from group to group.
std::vector<float> weights(test::random& r, std::size_t count) {
    std::vector<float> w(count);
    float size = 1;
    for (std::size_t i = 0; i < count; ++i) {
        if (i % 32 == 0)
            size = std::ldexp(1.0f, r.between(-6, -2));
        w[i] = (r.real() + r.real() + r.real()) * size;
    }
    return w;
}

template <weight_format F>
double squared_error(const packed_matrix<F>& p, std::span<const float> w) {
    double error = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
        const std::size_t row = i / p.columns(), column = i % p.columns();
        const std::size_t group = p.group() == 0 ? 0 : column / p.group();
        const double d = double{w[i]} - p.value(row, column) * double{p.real_scale(row, group)};
        error += d * d;
    }
    return error;
}

/// The least squared error of a group over 4,000 scales.
template <weight_format F>
double least_error(std::span<const float> w, nearest rule) {
    double largest = 0, least = std::numeric_limits<double>::max();
    for (const float v : w)
        largest = std::max(largest, std::fabs(double{v}));
    for (int i = 0; i < 4000; ++i) {
        const double scale = largest * 2 * std::exp2(-i / 200.0) / std::max(F::max_value, 1);
        double error = 0;
        for (const float v : w) {
            const double d = v - scale * F::round(v / scale, rule);
            error += d * d;
        }
        least = std::min(least, error);
        if (i > 1000 && error > 100 * least)
            break;
    }
    return least;
}

} // namespace

TEST_CASE("a record keeps the scales of groups, in 32 or 16 bits") {
    test::random r(1);
    constexpr std::size_t rows = 3, columns = 256;
    const auto values = test::random_weights<shift3>(r, rows * columns);
    for (const scale_type stored : types)
        for (const std::size_t group : {32u, 64u, 128u, 256u}) {
            std::vector<float> scale(rows * (columns / group));
            for (float& s : scale)
                s = 0.01f + std::fabs(r.real());
            const auto p = pack<shift3>(values, rows, columns, {0, scale, group, stored});
            REQUIRE_MESSAGE(p, p.error().message());
            CHECK(p->group() == (group == columns ? 0 : group));
            for (std::size_t i = 0; i < scale.size(); ++i) {
                const float kept = p->scale()[i];
                CHECK(std::fabs(kept - scale[i]) <= scale[i] * 0x1p-8f);
                CHECK((kept == scale[i]) == (stored == scale_type::binary32));
                CHECK(p->real_scale(i / (columns / group), i % (columns / group)) == kept);
            }
            const auto record = serialize(*p);
            CHECK(record.size() == layout::header_bytes + scale.size() * layout::bytes_of(stored) +
                                       rows * columns * 3 / 8);
            const auto back = deserialize<shift3>(record);
            REQUIRE_MESSAGE(back, back.error().message());
            CHECK(back->group() == p->group());
            CHECK(back->stored() == stored);
            CHECK(std::equal(back->scale().begin(), back->scale().end(), p->scale().begin()));
            CHECK(serialize(*back) == record);
            const auto last = p->slice(2, 1);
            REQUIRE(last);
            CHECK(last->real_scale(0, columns / group - 1) == p->scale().back());
            for (const std::size_t size : {record.size() - 1, layout::header_bytes + 1})
                CHECK(!deserialize<shift3>(std::span(record).first(size)));
        }
}

TEST_CASE("groups and scales that do not fit are named") {
    const std::vector<int> values(2 * 96, 1);
    const std::vector<float> scale(6, 1.0f);
    const auto named = [&](std::size_t group, std::span<const float> s,
                           scale_type stored = scale_type::binary32) {
        const auto p = pack<shift3>(values, 2, 96, {0, s, group, stored});
        return p ? std::string() : std::string(p.error().argument);
    };
    CHECK(named(32, scale) == "");
    CHECK(named(48, scale) == "group"); // no size of a group
    CHECK(named(64, scale) == "group"); // does not divide 96
    CHECK(named(32, std::span(scale).first(5)) == "scale");
    CHECK(named(0, scale) == "scale");
    for (const auto& [bad, code] : {std::pair(test::not_a_number, errc::not_finite),
                                    {65520.0f, errc::not_finite},
                                    {1e-9f, errc::bad_option}}) {
        std::vector<float> some = scale;
        some[4] = bad;
        const auto p = pack<shift3>(values, 2, 96, {0, some, 32, scale_type::binary16});
        REQUIRE(!p);
        CHECK(p.error().code == code);
        CHECK(p.error().index == 4);
    }
    const std::vector<float> w(2 * 96, 1.0f);
    const auto refused = [&](std::size_t group) {
        return std::string(
            quantize<shift3>(w, 2, 96, {.granularity = scale_per::group, .group = group})
                .error()
                .argument);
    };
    CHECK(refused(64) == "group");
    CHECK(refused(0) == "group");
    std::vector<float> infinite = w;
    infinite[100] = test::infinity;
    const auto q =
        quantize<shift3>(infinite, 2, 96, {.granularity = scale_per::group, .group = 32});
    CHECK(q.error().code == errc::not_finite);
    CHECK(q.error().index == 100);
}

TEST_CASE("the scales found are nearly the best, and better than one per row") {
    formats::each([&]<class F>() {
        test::random r(2);
        constexpr std::size_t rows = 4, columns = 512;
        const auto w = weights(r, rows * columns);
        CAPTURE(std::string(F::name));
        // Where values lie close, the error as a function of the scale has many narrow minima.
        constexpr double slack = F::is_shift || F::bits < 4 ? 1.02 : F::bits == 4 ? 1.05 : 1.25;
        const auto row = squared_error(
            *quantize<F>(w, rows, columns, {nearest::value, scale_per::row, scale_kind::real}), w);
        for (const std::size_t group : {32u, 128u}) {
            CAPTURE(group);
            quantize_options o{nearest::log2, scale_per::group, scale_kind::real, group,
                               scale_type::binary32};
            for (const nearest rule : {nearest::log2, nearest::value}) {
                o.rounding = rule;
                double least = 0;
                for (std::size_t i = 0; i < w.size(); i += group)
                    least += least_error<F>(std::span(w).subspan(i, group), rule);
                CHECK(squared_error(*quantize<F>(w, rows, columns, o), w) <= least * slack);
            }
            const double found = squared_error(*quantize<F>(w, rows, columns, o), w);
            CHECK(found < row);
            auto half = o, power = o;
            half.stored = scale_type::binary16;
            CHECK(squared_error(*quantize<F>(w, rows, columns, half), w) <= found * 1.05);
            power.scale = scale_kind::power_of_two;
            const auto p = *quantize<F>(w, rows, columns, power);
            for (const float s : p.scale())
                REQUIRE(std::ldexp(1.0f, std::ilogb(s)) == s);
            CHECK(squared_error(p, w) < row * 2);
        }
    });
}

TEST_CASE("every instruction set finds the same scales") {
    formats::each([&]<class F>() {
        test::random r(3);
        CAPTURE(std::string(F::name));
        for (int i = 0; i < 40; ++i) {
            const std::size_t count = std::size_t{32} << r.below(4);
            const auto w = weights(r, count);
            const double largest = detail::largest_magnitude(std::span<const float>(w));
            const bool power = r.below(2) == 0;
            const nearest rule = r.below(4) == 0 ? nearest::log2 : nearest::value;
            float copy[256];
            const auto scale_on = [&]<class Arch>(std::type_identity<Arch>) {
                return detail::group_scale<F, float, Arch>(w, largest, rule, power,
                                                           scale_type::binary32, copy);
            };
            const float expected = scale_on(std::type_identity<arch::scalar>{});
            test::all_archs::each(
                [&]<class Arch>() { CHECK(scale_on(std::type_identity<Arch>{}) == expected); });
        }
    });
}

TEST_CASE("groups of zeros, and of very small and large weights") {
    std::vector<double> w(4 * 32, 0.0);
    w[32] = 1e-300, w[64] = 1e-7, w[96] = 1e30;
    const auto p = quantize<shift3>(
        w, 1, w.size(),
        {nearest::value, scale_per::group, scale_kind::real, 32, scale_type::bfloat16});
    REQUIRE_MESSAGE(p, p.error().message());
    CHECK(p->value(0, 0) == 0);
    CHECK(p->value(0, 32) == 0); // below the least scale
    CHECK(p->value(0, 64) * double{p->real_scale(0, 2)} == doctest::Approx(1e-7).epsilon(0.01));
    CHECK(p->value(0, 96) * double{p->real_scale(0, 3)} == doctest::Approx(1e30).epsilon(0.01));
    const auto half = quantize<shift3>(
        w, 1, w.size(),
        {nearest::value, scale_per::group, scale_kind::real, 32, scale_type::binary16});
    CHECK(std::string(half.error().argument) == "scale"); // 1e30 is beyond binary16
}
