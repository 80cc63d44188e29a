// Packing: unpack is the exact inverse of pack, the bytes are the specified ones, and a weight that
// the format cannot hold is named.

#include <s3/pack/pack.hpp>

#include "../support/fast_math.hpp"
#include "../support/types.hpp"
#include "../support/weights.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace s3;
using test::infinity;
using test::not_a_number;
using test::tested_formats;

namespace {

using bytes = std::vector<std::uint8_t>;
struct shape {
    std::size_t rows, columns;
};

template <class F>
bytes stream_of(const std::vector<int>& weights) {
    const auto p = pack<F>(weights, 1, weights.size());
    REQUIRE(p);
    return {p->stream().begin(), p->stream().end()};
}

template <class T, class F>
std::vector<T> unpacked(const packed_matrix<F>& p) {
    std::vector<T> w(p.size());
    REQUIRE(unpack<F, T>(p, w));
    return w;
}

template <class T, class F>
void check_round_trip(const std::vector<int>& weights, std::size_t rows, std::size_t columns) {
    const std::vector<T> given(weights.begin(), weights.end());
    const auto p = pack<F>(given, rows, columns);
    REQUIRE(p);
    CHECK(p->stream().size() == (rows * columns * std::size_t{F::bits} + 7) / 8);
    CHECK(unpacked<T>(*p) == given);
}

} // namespace

TEST_CASE("unpack is the inverse of pack, for every format and shape") {
    tested_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        test::random r(1);
        for (const shape& s : std::vector<shape>{{0, 0},
                                                 {0, 5},
                                                 {5, 0},
                                                 {1, 1},
                                                 {1, 3},
                                                 {3, 1},
                                                 {2, 5},
                                                 {7, 7},
                                                 {8, 8},
                                                 {5, 31},
                                                 {4, 32},
                                                 {3, 33},
                                                 {13, 129},
                                                 {64, 1000}}) {
            CAPTURE(s.rows);
            CAPTURE(s.columns);
            const auto weights = test::random_weights<F>(r, s.rows * s.columns);
            check_round_trip<int, F>(weights, s.rows, s.columns);
            check_round_trip<std::int64_t, F>(weights, s.rows, s.columns);
            check_round_trip<float, F>(weights, s.rows, s.columns);
            check_round_trip<double, F>(weights, s.rows, s.columns);
            if constexpr (F::max_value < 128)
                check_round_trip<std::int8_t, F>(weights, s.rows, s.columns);
        }
    });
}

TEST_CASE("each weight has its place, and each row its sums") {
    tested_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        test::random r(2);
        constexpr std::size_t rows = 9, columns = 37;
        const auto weights = test::random_weights<F>(r, rows * columns);
        const auto p = pack<F>(weights, rows, columns);
        REQUIRE(p);
        CHECK(p->rows() == rows);
        CHECK(p->columns() == columns);
        CHECK(p->size() == weights.size());
        REQUIRE(p->sums().size() == rows);
        REQUIRE(p->abs_sums().size() == rows);
        for (std::size_t m = 0; m < rows; ++m) {
            std::int64_t sum = 0, abs_sum = 0;
            for (std::size_t k = 0; k < columns; ++k) {
                const int w = weights[m * columns + k];
                REQUIRE(p->value(m, k) == w);
                REQUIRE(p->code(m, k) == static_cast<unsigned>(F::code_of(w)));
                sum += w;
                abs_sum += std::abs(w);
            }
            CHECK(p->sums()[m] == sum);
            CHECK(p->abs_sums()[m] == abs_sum);
        }
    });
}

TEST_CASE("the bitstream of each format, written by hand") {
    // shift2: codes 1 3 0 1 | 3
    CHECK(stream_of<shift2>({1, -1, 0, 1, -1}) == bytes{0x4d, 0x03});
    // shift3: codes 0 1 2 3 5 6 7, in 21 bits
    CHECK(stream_of<shift3>({0, 1, 2, 4, -1, -2, -4}) == bytes{0x88, 0x56, 0x1f});
    // shift4: codes 1 15 | 0 9
    CHECK(stream_of<shift4>({1, -64, 0, -1}) == bytes{0xf1, 0x90});
    // shift5: codes 15 17 0, in 15 bits
    CHECK(stream_of<shift5>({16384, -1, 0}) == bytes{0x2f, 0x02});
    // dense2: codes 0 2 1 3 | 0
    CHECK(stream_of<dense2>({1, -1, 2, -2, 1}) == bytes{0xd8, 0x00});
    // dense3: codes 3 4 0 7, in 12 bits
    CHECK(stream_of<dense3>({8, -1, 1, -8}) == bytes{0x23, 0x0e});
    // dense4: codes 7 15 | 0 9
    CHECK(stream_of<dense4>({128, -128, 1, -2}) == bytes{0xf7, 0x90});
    // dense5: codes 15 31 0, in 15 bits
    CHECK(stream_of<dense5>({32768, -32768, 1}) == bytes{0xef, 0x03});
    CHECK(stream_of<int8_weights>({-128, 127, -1, 0}) == bytes{0x80, 0x7f, 0xff, 0x00});
}

TEST_CASE("minus zero packs as zero, and is refused where there is no zero") {
    const std::vector<float> w{-0.0f, 0.0f, -1.0f};
    const auto p = pack<shift3>(w, 1, 3);
    REQUIRE(p);
    CHECK(p->code(0, 0) == 0);
    const auto back = unpacked<float>(*p);
    CHECK_FALSE(std::signbit(back[0]));
    CHECK(pack<int8_weights>(w, 1, 3));
    CHECK(pack<dense3>(w, 1, 3).error().index == 0);
}

TEST_CASE("an exponent offset scales what is packed and unpacked, not the codes") {
    tested_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        test::random r(3);
        const auto weights = test::random_weights<F>(r, 60);
        const auto plain = pack<F>(weights, 4, 15);
        for (const int offset : {-126, -40, -7, -1, 1, 6, 40, 100}) {
            CAPTURE(offset);
            std::vector<float> real(60);
            for (std::size_t i = 0; i < 60; ++i)
                real[i] = std::ldexp(static_cast<float>(weights[i]), offset);
            const auto p = pack<F>(real, 4, 15, {.exponent_offset = offset});
            REQUIRE(p);
            CHECK(p->exponent_offset() == offset);
            CHECK(bytes(p->stream().begin(), p->stream().end()) ==
                  bytes(plain->stream().begin(), plain->stream().end()));
            CHECK(unpacked<float>(*p) == real);
            CHECK(p->real_scale(3) == std::ldexp(1.0f, offset));
            std::vector<int> integers(60);
            const status s = unpack<F, int>(*p, integers);
            REQUIRE_FALSE(s);
            CHECK(std::string(s.error().argument) == "exponent_offset");
        }
    });
}

TEST_CASE("a scale is recorded beside the weights and not applied to them") {
    const std::vector<int> w{1, 2, 4, -1, 0, -4};
    const std::vector<float> per_row{0.5f, 3.0f, -2.0f};
    const auto p = pack<shift3>(w, 3, 2, {.exponent_offset = 0, .scale = per_row});
    REQUIRE(p);
    CHECK(std::vector<float>(p->scale().begin(), p->scale().end()) == per_row);
    CHECK(unpacked<int>(*p) == w);
    CHECK(p->real_scale(1) == 3.0f);
    const std::vector<float> one{0.25f}, shifted{0.25f, 0.5f, 1.0f, -0.25f, 0.0f, -1.0f};
    const auto q = pack<shift3>(shifted, 3, 2, {.exponent_offset = -2, .scale = one});
    REQUIRE(q);
    CHECK(q->real_scale(2) == 0.0625f);
}

TEST_CASE("the first weight outside the format is named with its index and value") {
    const auto refused = [](std::vector<double> w, auto format, errc code, std::int64_t index) {
        const auto p = pack<decltype(format)>(w, 1, w.size());
        REQUIRE_FALSE(p);
        CHECK(p.error().code == code);
        CHECK(p.error().index == index);
        CHECK(std::string(p.error().argument) == "weights");
        CHECK(p.error().has_value);
        if (code == errc::not_in_format)
            CHECK(p.error().value == w[static_cast<std::size_t>(index)]);
    };
    refused({1, 2, 3, 5}, shift3{}, errc::not_in_format, 2);
    refused({8}, shift3{}, errc::not_in_format, 0);
    refused({1, -8}, shift3{}, errc::not_in_format, 1);
    refused({2}, shift2{}, errc::not_in_format, 0);
    refused({1, 0.5}, shift4{}, errc::not_in_format, 1);
    refused({1, 1.0000001}, shift4{}, errc::not_in_format, 1);
    refused({128}, shift4{}, errc::not_in_format, 0);
    refused({32768}, shift5{}, errc::not_in_format, 0);
    refused({1, 1, 0}, dense2{}, errc::not_in_format, 2);
    refused({256}, dense4{}, errc::not_in_format, 0);
    refused({65536}, dense5{}, errc::not_in_format, 0);
    refused({128}, int8_weights{}, errc::not_in_format, 0);
    refused({-129}, int8_weights{}, errc::not_in_format, 0);
    refused({1e300}, int8_weights{}, errc::not_in_format, 0);
    refused({1e-300}, shift5{}, errc::not_in_format, 0);
    refused({4294967297.0}, shift3{}, errc::not_in_format, 0);
    refused({1, not_a_number}, shift3{}, errc::not_finite, 1);
    refused({1, 1, infinity}, shift3{}, errc::not_finite, 2);
    refused({-infinity}, dense5{}, errc::not_finite, 0);
    CHECK(pack<shift3>(std::vector<std::uint64_t>{~0ull}, 1, 1).error().code ==
          errc::not_in_format);
    CHECK(pack<shift3>(std::vector<int>{1, 7}, 2, 1).error().message() ==
          "weights[1]: value is not in the weight format (got 7, limit 4)");
}

TEST_CASE("shapes and options that do not fit are refused") {
    const std::vector<int> w{1, 2, 4, -1, 0, -4};
    const std::vector<float> two{1, 1}, bad{1, infinity, 1}, worse{not_a_number};
    const auto argument = [](const auto& r) -> std::string {
        return r ? "none" : r.error().argument;
    };
    CHECK(argument(pack<shift3>(w, 2, 2)) == "weights");
    CHECK(argument(pack<shift3>(w, 7, 1)) == "weights");
    const std::size_t half = std::size_t{1} << (std::numeric_limits<std::size_t>::digits / 2);
    CHECK(argument(pack<shift3>(w, half * (half / 2), 2)) == "weights");
    CHECK(argument(pack<shift3>(w, half, half)) == "weights");
    CHECK(argument(pack<shift3>(w, 3, 2, {.scale = two})) == "scale");
    CHECK(argument(pack<shift3>(w, 3, 2, {.scale = bad})) == "scale");
    CHECK(pack<shift3>(w, 3, 2, {.scale = bad}).error().index == 1);
    CHECK(argument(pack<shift3>(w, 3, 2, {.scale = worse})) == "scale");
    CHECK(argument(pack<shift3>(w, 3, 2, {.exponent_offset = 127})) == "exponent_offset");
    CHECK(argument(pack<shift3>(w, 3, 2, {.exponent_offset = -127})) == "exponent_offset");
    CHECK(argument(pack<shift3>(w, 3, 2)) == "none");
}

TEST_CASE("unpack refuses types that cannot hold a weight, and then writes nothing") {
    const auto refused = [](const auto& p, auto element, std::int64_t index) {
        using F = typename std::remove_cvref_t<decltype(p)>::format;
        using T = decltype(element);
        std::vector<T> w(p.size(), T{77});
        const status s = unpack<F, T>(p, w);
        REQUIRE_FALSE(s);
        CHECK(s.error().index == index);
        CHECK(w == std::vector<T>(p.size(), T{77}));
    };
    refused(*pack<dense4>(std::vector<int>{1, 128, -128}, 1, 3), std::int8_t{}, 1);
    refused(*pack<dense5>(std::vector<int>{1, 2, 32768}, 1, 3), std::int16_t{}, 2);
    refused(*pack<shift3>(std::vector<int>{1, 2, -1}, 1, 3), std::uint8_t{}, 2);
    refused(*pack<shift3>(std::vector<int>{1, 2, -1}, 1, 3), std::uint64_t{}, 2);
    const auto fits = pack<dense4>(std::vector<int>{1, 64, -128}, 1, 3);
    CHECK(unpacked<std::int8_t>(*fits) == std::vector<std::int8_t>{1, 64, -128});
    std::vector<int> small(2, 77);
    CHECK(unpack<dense4, int>(*fits, small).error().code == errc::shape_mismatch);
    CHECK(small == std::vector<int>{77, 77});
}

TEST_CASE("a slice holds the rows it was asked for") {
    tested_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        test::random r(4);
        constexpr std::size_t rows = 6, columns = 11;
        const auto weights = test::random_weights<F>(r, rows * columns);
        const std::vector<float> scale{1, 2, 3, 4, 5, 6};
        const auto p = pack<F>(weights, rows, columns, {.exponent_offset = 0, .scale = scale});
        for (std::size_t begin = 0; begin <= rows; ++begin)
            for (std::size_t count = 0; begin + count <= rows; ++count) {
                const auto part = p->slice(begin, count);
                REQUIRE(part);
                const std::vector<int> expected(
                    weights.begin() + static_cast<std::ptrdiff_t>(begin * columns),
                    weights.begin() + static_cast<std::ptrdiff_t>((begin + count) * columns));
                CHECK(unpacked<int>(*part) == expected);
                for (std::size_t m = 0; m < count; ++m) {
                    CHECK(part->real_scale(m) == scale[begin + m]);
                    CHECK(part->sums()[m] == p->sums()[begin + m]);
                    CHECK(part->abs_sums()[m] == p->abs_sums()[begin + m]);
                }
            }
    });
}

TEST_CASE("a matrix comes back from its own stream") {
    tested_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        test::random r(5);
        for (const shape& s : std::vector<shape>{{0, 0}, {3, 0}, {1, 1}, {5, 13}}) {
            const auto weights = test::random_weights<F>(r, s.rows * s.columns);
            const auto p = pack<F>(weights, s.rows, s.columns);
            const auto q = packed_matrix<F>::from_stream(s.rows, s.columns, p->stream());
            REQUIRE(q);
            CHECK(unpacked<int>(*q) == weights);
            for (std::size_t m = 0; m < s.rows; ++m) {
                CHECK(q->sums()[m] == p->sums()[m]);
                CHECK(q->abs_sums()[m] == p->abs_sums()[m]);
            }
        }
    });
}

TEST_CASE("a stream with a reserved code, a foreign tail or another size is refused") {
    bytes stream(4, 0);                  // 10 weights of 3 bits, 2 bits of tail
    layout::put<3>(stream.data(), 6, 4); // minus zero
    const auto reserved = packed_matrix<shift3>::from_stream(2, 5, stream);
    REQUIRE_FALSE(reserved);
    CHECK(reserved.error().code == errc::reserved_code);
    CHECK(reserved.error().index == 6);
    for (const int bit : {6, 7}) {
        bytes tail(4, 0);
        tail[3] = static_cast<std::uint8_t>(1 << bit);
        const auto refused = packed_matrix<shift3>::from_stream(2, 5, tail);
        REQUIRE_FALSE(refused);
        CHECK(std::string(refused.error().argument) == "stream.tail");
    }
    CHECK(packed_matrix<shift3>::from_stream(2, 5, bytes(3)).error().code == errc::truncated);
    CHECK(packed_matrix<shift3>::from_stream(2, 5, bytes(5)).error().code == errc::shape_mismatch);
    CHECK(packed_matrix<dense3>::from_stream(2, 5, bytes(4)));
    constexpr std::size_t huge = std::numeric_limits<std::size_t>::max();
    CHECK_FALSE(packed_matrix<shift3>::from_stream(huge, huge, bytes(4)));
    CHECK_FALSE(packed_matrix<shift3>::from_stream(huge, 2, bytes(4)));
}

TEST_CASE("filters in PyTorch's order are the same filters") {
    tested_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        test::random r(6);
        const filter_shape shape{4, 3, 2, 5};
        const auto ohwi = test::random_weights<F>(r, 4 * 3 * 2 * 5);
        std::vector<int> oihw;
        for (std::size_t o = 0; o < 4; ++o)
            for (std::size_t c = 0; c < 5; ++c)
                for (std::size_t h = 0; h < 3; ++h)
                    for (std::size_t w = 0; w < 2; ++w)
                        oihw.push_back(ohwi[((o * 3 + h) * 2 + w) * 5 + c]);
        const auto a = pack_filter<F>(ohwi, shape);
        const auto b = pack_filter<F>(oihw, shape, filter_order::oihw);
        REQUIRE(a);
        REQUIRE(b);
        CHECK(a->shape == shape);
        CHECK(b->shape == shape);
        CHECK(a->matrix.rows() == 4);
        CHECK(a->matrix.columns() == 30);
        CHECK(unpacked<int>(a->matrix) == ohwi);
        CHECK(unpacked<int>(b->matrix) == ohwi);
    });
}

TEST_CASE("filters that do not fit their shape are refused") {
    const std::vector<int> w(24, 1);
    CHECK(pack_filter<shift3>(w, {2, 3, 2, 2}));
    CHECK(pack_filter<shift3>(w, {0, 3, 2, 2}).error().code == errc::shape_mismatch);
    CHECK(pack_filter<shift3>(w, {2, 3, 2, 3}).error().code == errc::shape_mismatch);
    const std::size_t big = std::size_t{1} << (std::numeric_limits<std::size_t>::digits / 2);
    CHECK_FALSE(pack_filter<shift3>(w, {big, big, 1, 1}));
    CHECK_FALSE(pack_filter<shift3>(w, {24, big, big, 1}, filter_order::oihw));
    std::vector<int> bad = w;
    bad[5] = 3;
    CHECK(pack_filter<shift3>(bad, {2, 3, 2, 2}).error().index == 5);
    CHECK_FALSE(pack_filter<shift3>(bad, {2, 3, 2, 2}, filter_order::oihw));
}

TEST_CASE("what vanishes or overflows when the offset is taken out is no zero and no weight") {
    const double denormal = test::fast_math ? -1e-300 : -5e-324; // which counts as 0 there
    for (const double w : {1e-300, denormal, 1e308}) {
        CAPTURE(w);
        CHECK(pack<shift3>(std::vector<double>{w}, 1, 1, {.exponent_offset = 126}).error().code ==
              errc::not_in_format);
        CHECK(pack<shift3>(std::vector<double>{w}, 1, 1, {.exponent_offset = -126}).error().code ==
              errc::not_in_format);
    }
    CHECK(pack<shift3>(std::vector<double>{-0.0}, 1, 1, {.exponent_offset = 126})->value(0, 0) ==
          0);
}

TEST_CASE("a scale that overflows or vanishes with the exponent offset is refused" *
          doctest::skip(s3::test::fast_math)) {
    const auto packed = [](float scale, int offset) {
        const std::vector<float> scales{1.0f, scale};
        return pack<shift3>(std::vector<double>{std::ldexp(1.0, offset), std::ldexp(-4.0, offset)},
                            2, 1, {.exponent_offset = offset, .scale = scales});
    };
    for (const auto& [scale, offset] :
         {std::pair(4.0f, 126), std::pair(-4.0f, 126), std::pair(1e-30f, -126)}) {
        const auto p = packed(scale, offset);
        REQUIRE_FALSE(p);
        CHECK(p.error().code == (offset < 0 ? errc::bad_option : errc::not_finite));
        CHECK(std::string(p.error().argument) == "scale");
        CHECK(p.error().index == 1);
    }
    CHECK(packed(2.0f, 126)->real_scale(1) == 0x1p127f);
    CHECK(packed(0x1p-23f, -126)->real_scale(1) == 0x1p-149f);
    CHECK(packed(0.0f, -126)->real_scale(1) == 0.0f);
}

TEST_CASE("unpack refuses weights that a float cannot hold") {
    const double unit = std::ldexp(1.0, 126);
    const auto p =
        pack<shift3>(std::vector<double>{unit, 4 * unit}, 1, 2, {.exponent_offset = 126});
    std::vector<float> small(2, 77.0f);
    const status s = unpack<shift3>(*p, std::span(small));
    REQUIRE_FALSE(s);
    CHECK(s.error().code == errc::not_in_format);
    CHECK(s.error().index == 1);
    CHECK(small == std::vector<float>(2, 77.0f));
    std::vector<double> large(2);
    REQUIRE(unpack<shift3>(*p, std::span(large)));
    CHECK(large == std::vector<double>{unit, 4 * unit});
}
