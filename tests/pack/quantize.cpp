// Quantization: each weight goes to its nearest value (or exponent), and no other power of two has
// a smaller squared error.

#include <s3/format/codebook.hpp>
#include <s3/pack/quantize.hpp>

#include "../support/fast_math.hpp"
#include "../support/types.hpp"
#include "../support/weights.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

using namespace s3;
using test::shift_formats;
using test::tested_formats;

namespace {

/// Least |real − value| over all values.
template <class F>
double least_distance(double real) {
    double least = std::numeric_limits<double>::max();
    for (const int v : test::values_of<F>())
        least = std::min(least, std::fabs(real - v));
    return least;
}

/// The exponent nearest in log2, by trying all; −1 (where there is a zero) means zero.
template <class F>
int nearest_exponent(double magnitude) {
    int best = F::has_zero ? -1 : 0;
    for (int s = best; s < F::exponents; ++s)
        if (std::fabs(std::log2(magnitude) - s) <= std::fabs(std::log2(magnitude) - best))
            best = s;
    return best;
}

template <class F>
double error_at(std::span<const float> row, int p, nearest rounding) {
    double sum = 0;
    for (const float w : row) {
        const double d = w - std::ldexp(double(F::round(std::ldexp(double{w}, -p), rounding)), p);
        sum += d * d;
    }
    return sum;
}
template <class F>
double least_error(std::span<const float> row, nearest rounding) {
    double least = std::numeric_limits<double>::max();
    for (int p = -60; p <= 60; ++p)
        least = std::min(least, error_at<F>(row, p, rounding));
    return least;
}

template <class F>
double error_of(std::span<const float> row, double scale) {
    double sum = 0;
    for (const float w : row) {
        const double d = w - scale * F::round(w / scale);
        sum += d * d;
    }
    return sum;
}
/// The least error over a fine grid of scales, at the best scale for each one's rounding.
template <class F>
double least_real_error(std::span<const float> row) {
    double largest = 0, least = std::numeric_limits<double>::max();
    for (const float w : row)
        largest = std::max(largest, std::fabs(double{w}));
    if (largest == 0)
        return 0;
    for (double scale = 2 * largest / F::max_value; scale > largest / F::max_value / 64;
         scale *= 0.99) {
        double wq = 0, qq = 0;
        for (const float w : row) {
            const double q = F::round(w / scale);
            wq += w * q;
            qq += q * q;
        }
        least = std::min(
            {least, error_of<F>(row, scale), qq > 0 && wq > 0 ? error_of<F>(row, wq / qq) : least});
    }
    return least;
}

/// Bell-shaped weights of a given size.
std::vector<float> weights(std::size_t count, float size, std::uint64_t seed) {
    test::random r(seed);
    std::vector<float> w(count);
    for (float& v : w)
        v = (r.real() + r.real() + r.real()) * size;
    return w;
}

/// Real magnitudes around every threshold of every format, and between.
std::vector<double> magnitudes() {
    std::vector<double> m{1e-300, 1e-30, 0.01};
    test::random r(1);
    for (int s = -3; s <= 17; ++s) {
        const double two = std::ldexp(1.0, s);
        for (const double at : {1.0, 1.5, std::sqrt(2.0), 1.25, 1.75})
            for (const double off : {-1e-9, 0.0, 1e-9})
                m.push_back(two * (at + off));
        for (int i = 0; i < 40; ++i)
            m.push_back(two * (1 + std::fabs(double{r.real()})));
    }
    return m;
}

} // namespace

TEST_CASE("nearest in value: no value of the format is nearer") {
    tested_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        for (const double m : magnitudes())
            for (const double real : {m, -m}) {
                const int v = F::round(real);
                REQUIRE(F::code_of(v) >= 0);
                REQUIRE_MESSAGE(std::fabs(real - v) <= least_distance<F>(real), real << " → " << v);
            }
    });
}

TEST_CASE("ties between two powers go away from zero") {
    shift_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        for (int s = 0; s + 1 < F::exponents; ++s) {
            CHECK(F::round(1.5 * (1 << s)) == 2 << s);
            CHECK(F::round(-1.5 * (1 << s)) == -(2 << s));
        }
        if (F::has_zero) {
            CHECK(F::round(0.5) == 1);
            CHECK(F::round(std::nextafter(0.5, 0.0)) == 0);
        }
    });
}

TEST_CASE("nearest in log2: no exponent of the format is nearer") {
    shift_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        for (const double m : magnitudes()) {
            const int s = nearest_exponent<F>(m);
            // At √2·2^k itself the last bit of a logarithm decides.
            if (std::fabs(std::log2(m) - s) > 0.4999999 && std::fabs(std::log2(m) - s) < 0.5000001)
                continue;
            const int expected = s < 0 ? 0 : 1 << s;
            REQUIRE(F::round(m, nearest::log2) == expected);
            REQUIRE(F::round(-m, nearest::log2) == -expected);
        }
    });
}

TEST_CASE("zero goes to zero, or to the smallest value of its sign") {
    for (const nearest rounding : {nearest::value, nearest::log2}) {
        CHECK(shift3::round(0.0, rounding) == 0);
        CHECK(shift3::round(-0.0, rounding) == 0);
        CHECK(dense3::round(0.0, rounding) == 1);
        CHECK(std::abs(dense3::round(-0.0, rounding)) == 1);
        CHECK(int8_weights::round(-0.4, rounding) == 0);
        CHECK(int8_weights::round(-1000, rounding) == -128);
        CHECK(int8_weights::round(1000, rounding) == 127);
    }
}

TEST_CASE("the shared exponent has the least squared error of all") {
    tested_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        for (const nearest rounding : {nearest::value, nearest::log2})
            for (const float size : {1e-6f, 0.02f, 1.0f, 300.0f})
                for (std::uint64_t seed = 1; seed <= 3; ++seed) {
                    CAPTURE(size);
                    const auto w = weights(6 * 20, size, seed);
                    const auto q = quantize<F>(w, 6, 20, {rounding, scale_per::tensor});
                    REQUIRE(q);
                    CHECK(q->scale().empty());
                    const double least = least_error<F>(w, rounding);
                    CHECK(error_at<F>(w, q->exponent_offset(), rounding) <= least * (1 + 1e-9));
                    for (std::size_t i = 0; i < w.size(); ++i)
                        REQUIRE(
                            q->value(i / 20, i % 20) ==
                            F::round(std::ldexp(double{w[i]}, -q->exponent_offset()), rounding));
                }
    });
}

TEST_CASE("each row's scale has the least squared error of all") {
    tested_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        for (const nearest rounding : {nearest::value, nearest::log2}) {
            auto w = weights(8 * 25, 1.0f, 4);
            for (std::size_t i = 0; i < w.size(); ++i)
                w[i] = std::ldexp(w[i], static_cast<int>(i / 25) * 3 - 9);
            const auto q = quantize<F>(w, 8, 25, {rounding, scale_per::row});
            REQUIRE(q);
            CHECK(q->exponent_offset() == 0);
            REQUIRE(q->scale().size() == 8);
            for (std::size_t m = 0; m < 8; ++m) {
                const auto row = std::span<const float>(w).subspan(m * 25, 25);
                const int p = std::ilogb(q->scale()[m]);
                CHECK(q->scale()[m] == std::ldexp(1.0f, p));
                CHECK(error_at<F>(row, p, rounding) <= least_error<F>(row, rounding) * (1 + 1e-9));
                for (std::size_t k = 0; k < 25; ++k)
                    REQUIRE(q->value(m, k) == F::round(std::ldexp(double{row[k]}, -p), rounding));
            }
        }
    });
}

namespace {
struct only_positive : codebook<1, 2> {
    static constexpr const char* name = "positive";
    static constexpr const char* cpp_name = "positive";
};
struct far_from_zero : codebook<100, 101> {
    static constexpr const char* name = "far";
    static constexpr const char* cpp_name = "far";
};
struct one_far : codebook<0, 120, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7, 8> {
    static constexpr const char* name = "one_far";
    static constexpr const char* cpp_name = "one_far";
};
struct lopsided : codebook<0, 100, -1> {
    static constexpr const char* name = "lopsided";
    static constexpr const char* cpp_name = "lopsided";
};
} // namespace

TEST_CASE("codebooks with values on one side, or most of them, get the best power of two") {
    const auto becomes = []<class F>(std::type_identity<F>, float weight) {
        const std::vector<float> w(64, weight);
        std::set<float> all;
        for (const auto granularity : {scale_per::tensor, scale_per::row, scale_per::group}) {
            const auto q = *quantize<F>(w, 1, 64, {.granularity = granularity, .group = 32});
            all.insert(static_cast<float>(q.value(0, 40)) *
                       q.real_scale(0, q.group() == 0 ? 0 : 1));
        }
        return all;
    };
    CHECK(becomes(std::type_identity<only_positive>(), 64) == std::set{64.0f});
    CHECK(becomes(std::type_identity<far_from_zero>(), 64) == std::set{50.5f});
    CHECK(becomes(std::type_identity<lopsided>(), -64) == std::set{-64.0f});
    CHECK(becomes(std::type_identity<lopsided>(), 100) == std::set{100.0f});
    CHECK(becomes(std::type_identity<int4_weights>(), 1.9f) == std::set{2.0f});
}

TEST_CASE("a value far from the others does not mislead the search for real scales") {
    auto w = weights(64, 1.0f, 5);
    for (const bool negative : {false, true}) {
        for (float& v : w)
            v = negative ? -std::fabs(v) : v;
        const auto error_of = [&](scale_per granularity) {
            const auto q = *quantize<one_far>(
                w, 1, 64, {.granularity = granularity, .scale = scale_kind::real, .group = 32});
            double error = 0;
            for (std::size_t i = 0; i < w.size(); ++i) {
                const double d =
                    w[i] - q.value(0, i) * double{q.real_scale(0, q.group() == 0 ? 0 : i / 32)};
                error += d * d;
            }
            return error;
        };
        CHECK(error_of(scale_per::group) <= 1.02 * error_of(scale_per::row));
    }
}

TEST_CASE("few large weights do not decide for millions of small ones") {
    std::vector<float> w(3'000'000, 0.001f);
    w.back() = 1;
    const auto q = quantize<ternary>(w, 1, w.size());
    REQUIRE(q);
    CHECK(q->exponent_offset() == -10);
    const auto real =
        quantize<ternary>(w, 1, w.size(), {nearest::value, scale_per::tensor, scale_kind::real});
    REQUIRE(real);
    // The mean of all weights, which are all rounded to one: (3000 + 1) / 3000001.
    CHECK(real->real_scale(0) == doctest::Approx(0.0010003).epsilon(1e-5));
}

TEST_CASE(
    "a real scale has nearly the least squared error of all, and no more than a power of two") {
    tested_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        for (const std::size_t columns : {1u, 2u, 3u, 9u, 40u, 300u})
            for (const float size : {1e-20f, 0.03f, 700.0f}) {
                CAPTURE(columns);
                const auto w = weights(6 * columns, size, columns);
                const quantize_options real{nearest::value, scale_per::row, scale_kind::real};
                const auto q = quantize<F>(w, 6, columns, real);
                const auto power = quantize<F>(w, 6, columns, {nearest::value, scale_per::row});
                REQUIRE((q && power));
                CHECK(q->exponent_offset() == 0);
                double all = 0, all_least = 0;
                for (std::size_t m = 0; m < 6; ++m) {
                    const auto row = std::span<const float>(w).subspan(m * columns, columns);
                    const double scale = q->scale()[m], error = error_of<F>(row, scale);
                    double square = 0;
                    for (std::size_t k = 0; k < columns; ++k) {
                        square += double{row[k]} * row[k];
                        REQUIRE(q->value(m, k) == F::round(row[k] / scale));
                    }
                    const double least = least_real_error<F>(row);
                    const double rounding = 1e-12 * square; // scales are floats
                    if (F::is_shift)
                        CHECK(error <= least * 1.25 + rounding);
                    CHECK(error <= error_of<F>(row, power->scale()[m]) * (1 + 1e-5) + rounding);
                    all += error;
                    all_least += least;
                }
                if (F::is_shift)
                    CHECK(all <= all_least * 1.08 + 1e-10 * size * size);
            }
    });
}

TEST_CASE("one real scale serves a tensor") {
    const auto w = weights(40 * 30, 0.3f, 8);
    const auto q =
        quantize<shift3>(w, 40, 30, {nearest::value, scale_per::tensor, scale_kind::real});
    REQUIRE(q);
    REQUIRE(q->scale().size() == 1);
    CHECK(error_of<shift3>(w, q->scale()[0]) <= least_real_error<shift3>(w) * 1.02);
}

TEST_CASE("weights that are values of the format times a scale keep it") {
    tested_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        test::random r(6);
        auto values = test::random_weights<F>(r, 400);
        values[7] = F::max_value;
        std::vector<float> w(400);
        for (std::size_t i = 0; i < 400; ++i)
            w[i] = static_cast<float>(values[i]) * 0.3f;
        const auto q = quantize<F>(w, 1, 400, {nearest::value, scale_per::row, scale_kind::real});
        REQUIRE(q);
        double square = 0;
        for (const float v : w)
            square += double{v} * v;
        CHECK(error_of<F>(w, q->scale()[0]) <= 1e-4 * square);
    });
}

TEST_CASE("weights of the format, times any power of two, stay what they are") {
    tested_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        test::random r(5);
        const auto values = test::random_weights<F>(r, 48);
        for (const int p : {-30, -4, 0, 1, 20})
            for (const nearest rounding : {nearest::value, nearest::log2}) {
                std::vector<float> w(48), back(48);
                for (std::size_t i = 0; i < 48; ++i)
                    w[i] = std::ldexp(static_cast<float>(values[i]), p);
                const auto q = quantize<F>(w, 6, 8, {rounding, scale_per::tensor});
                REQUIRE(q);
                REQUIRE(unpack<F, float>(*q, back));
                CHECK(back == w);
            }
    });
}

TEST_CASE("a real scale is, nearly, the best one for the values that its weights got") {
    constexpr std::size_t rows = 200, columns = 300;
    const auto w = weights(rows * columns, 1.0f, 9);
    tested_formats::each([&]<class F>() {
        if constexpr (F::is_shift) {
            CAPTURE(std::string(F::name));
            const auto q =
                quantize<F>(w, rows, columns, {nearest::value, scale_per::row, scale_kind::real});
            REQUIRE(q);
            double error = 0, avoidable = 0; // (s − s*)²·Σq², where s* is Σwq / Σq²
            for (std::size_t m = 0; m < rows; ++m) {
                const double s = q->scale()[m];
                double wq = 0, qq = 0;
                for (std::size_t k = 0; k < columns; ++k) {
                    const double v = q->value(m, k), x = w[m * columns + k];
                    wq += x * v;
                    qq += v * v;
                    error += (x - s * v) * (x - s * v);
                }
                avoidable += (s - wq / qq) * (s - wq / qq) * qq;
            }
            CHECK(avoidable < 5e-4 * error);
        }
    });
}

TEST_CASE("all zero, and nothing at all") {
    tested_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        for (const scale_per per : {scale_per::tensor, scale_per::row}) {
            const auto zero =
                quantize<F>(std::vector<float>(12, 0.0f), 3, 4, {nearest::value, per});
            REQUIRE(zero);
            CHECK(zero->value(2, 3) == (F::has_zero ? 0 : 1));
            CHECK(quantize<F>(std::vector<double>(), 0, 4, {nearest::value, per}));
            const auto empty_rows = quantize<F>(std::vector<double>(), 3, 0, {nearest::value, per});
            REQUIRE(empty_rows);
            CHECK(empty_rows->rows() == 3);
        }
    });
}

TEST_CASE("extreme magnitudes stay finite") {
    tested_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        for (const double size : {8e37, 1e-308, 5e-324})
            for (const scale_per per : {scale_per::tensor, scale_per::row}) {
                const std::vector<double> w{size, -size, size / 2, 0.0};
                const auto q = quantize<F>(w, 2, 2, {nearest::value, per});
                REQUIRE(q);
                CHECK(q->value(0, 0) >= 0);
                CHECK(q->value(0, 1) <= 0);
                for (std::size_t m = 0; m < 2; ++m)
                    CHECK(std::isfinite(q->real_scale(m)));
            }
    });
}

TEST_CASE("doubles beyond the largest scale are refused, those that it reaches are not") {
    std::vector<double> w(256, 1);
    for (const auto per : {scale_per::tensor, scale_per::row, scale_per::group})
        for (const auto kind : {scale_kind::power_of_two, scale_kind::real}) {
            const quantize_options o{
                .granularity = per, .scale = kind, .stored = scale_type::bfloat16};
            w[200] = -0x1p128;
            const auto reached = quantize<shift3>(w, 2, 128, o);
            REQUIRE(reached);
            CHECK(reached->value(1, 72) * double{reached->real_scale(1)} == -0x1p128);
            for (const double bad : {-0x1.1p128, 1e300}) {
                w[200] = bad;
                const auto q = quantize<shift3>(w, 2, 128, o);
                REQUIRE(!q);
                CHECK(q.error().code == errc::not_in_format);
                CHECK(q.error().index == 200);
                CHECK(q.error().bound == 0x1p128);
            }
        }
}

TEST_CASE("NaN, infinity and shapes that do not fit are refused") {
    std::vector<float> w(12, 1.0f);
    CHECK(quantize<shift3>(w, 5, 2).error().code == errc::shape_mismatch);
    CHECK(quantize<shift3>(w, std::size_t{1} << (std::numeric_limits<std::size_t>::digits - 1), 2)
              .error()
              .code == errc::shape_mismatch);
    for (const float bad : {test::not_a_number, test::infinity, -test::infinity}) {
        w[7] = bad;
        for (const scale_per per : {scale_per::tensor, scale_per::row}) {
            const auto q = quantize<dense3>(w, 3, 4, {nearest::value, per});
            REQUIRE_FALSE(q);
            CHECK(q.error().code == errc::not_finite);
            CHECK(q.error().index == 7);
            CHECK(std::string(q.error().argument) == "weights");
        }
    }
}
