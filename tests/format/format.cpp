// Codebooks: codes and values are in one-to-one correspondence, and the value sets are the ones
// that the papers write down.

#include <s3/format/activation.hpp>
#include <s3/format/list.hpp>

#include "../support/types.hpp"
#include "../support/weights.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <climits>
#include <string>
#include <vector>

using namespace s3;
using test::all_formats;
using test::dense_formats;
using test::shift_formats;
using test::zero_formats;

namespace {

template <weight_format F>
constexpr bool codes_round_trip() {
    for (unsigned c = 0; c < unsigned{F::codes}; ++c)
        if (F::valid(c) && F::code_of(F::value(c)) != static_cast<int>(c))
            return false;
    return true;
}
template <class F>
constexpr bool triples_round_trip() {
    for (unsigned c = 0; c < unsigned{F::codes}; ++c)
        if (F::valid(c) && F::encode(F::decode(c)) != c)
            return false;
    return true;
}
template <weight_format F>
std::vector<int> sorted_values() {
    auto v = test::values_of<F>();
    std::sort(v.begin(), v.end());
    return v;
}
using ints = std::vector<int>;

static_assert(codes_round_trip<shift2>() && triples_round_trip<shift2>());
static_assert(codes_round_trip<shift3>() && triples_round_trip<shift3>());
static_assert(codes_round_trip<shift4>() && triples_round_trip<shift4>());
static_assert(codes_round_trip<shift5>() && triples_round_trip<shift5>());
static_assert(codes_round_trip<dense2>() && triples_round_trip<dense2>());
static_assert(codes_round_trip<dense3>() && triples_round_trip<dense3>());
static_assert(codes_round_trip<dense4>() && triples_round_trip<dense4>());
static_assert(codes_round_trip<dense5>() && triples_round_trip<dense5>());
static_assert(codes_round_trip<int8_weights>());
static_assert(std::same_as<ternary, shift2>);

static_assert(activation<std::int8_t> && activation<std::uint8_t> && activation<float>);
static_assert(!activation<double> && !activation<int> && !integer_activation<float>);
static_assert(shift_weight_format<dense3> && !shift_weight_format<int8_weights>);
static_assert(!weight_format<int>);
class without_triples : public shift3 {
    using shift3::decode;
};
struct with_too_few_exponents : shift3 {
    static constexpr int exponents = 2;
};
static_assert(!weight_format<without_triples> && !weight_format<with_too_few_exponents>);

} // namespace

TEST_CASE("every code of every format survives decode and encode") {
    all_formats::each([]<weight_format F>() { CHECK_MESSAGE(codes_round_trip<F>(), F::name); });
    shift_formats::each([]<class F>() { CHECK_MESSAGE(triples_round_trip<F>(), F::name); });
}

TEST_CASE("code_of accepts exactly the values of the format") {
    all_formats::each([]<weight_format F>() {
        CAPTURE(std::string(F::name));
        const auto values = sorted_values<F>();
        CHECK(std::adjacent_find(values.begin(), values.end()) == values.end());
        CHECK(values.front() == F::min_value);
        CHECK(values.back() == F::max_value);
        int wrong = 0;
        for (int v = -70000; v <= 70000; ++v) {
            const bool member = std::binary_search(values.begin(), values.end(), v);
            const int code = F::code_of(v);
            wrong += member ? code < 0 || F::value(static_cast<unsigned>(code)) != v : code != -1;
        }
        CHECK(wrong == 0);
        CHECK(F::code_of(INT_MAX) == -1);
        CHECK(F::code_of(INT_MIN) == -1);
        CHECK(F::code_of(INT_MIN + 1) == -1);
    });
}

TEST_CASE("the value sets are those of the papers") {
    CHECK(sorted_values<shift2>() == ints{-1, 0, 1});
    CHECK(sorted_values<shift3>() == ints{-4, -2, -1, 0, 1, 2, 4});
    CHECK(sorted_values<shift4>() ==
          ints{-64, -32, -16, -8, -4, -2, -1, 0, 1, 2, 4, 8, 16, 32, 64});
    CHECK(sorted_values<dense2>() == ints{-2, -1, 1, 2});
    CHECK(sorted_values<dense3>() == ints{-8, -4, -2, -1, 1, 2, 4, 8});
    CHECK(sorted_values<dense4>() ==
          ints{-128, -64, -32, -16, -8, -4, -2, -1, 1, 2, 4, 8, 16, 32, 64, 128});
    ints five;
    for (int s = 14; s >= 0; --s)
        five.push_back(-(1 << s));
    five.push_back(0);
    for (int s = 0; s <= 14; ++s)
        five.push_back(1 << s);
    CHECK(sorted_values<shift5>() == five);
    five.erase(std::find(five.begin(), five.end(), 0));
    five.insert(five.begin(), -32768);
    five.push_back(32768);
    CHECK(sorted_values<dense5>() == five);
    const auto bytes = sorted_values<int8_weights>();
    CHECK(bytes.size() == 256);
    CHECK(bytes.front() == -128);
    CHECK(bytes.back() == 127);
}

TEST_CASE("the codes are fixed: they are what files contain") {
    CHECK(shift3::code_of(0) == 0b000);
    CHECK(shift3::code_of(1) == 0b001);
    CHECK(shift3::code_of(2) == 0b010);
    CHECK(shift3::code_of(4) == 0b011);
    CHECK(shift3::code_of(-1) == 0b101);
    CHECK(shift3::code_of(-2) == 0b110);
    CHECK(shift3::code_of(-4) == 0b111);
    CHECK(dense3::code_of(1) == 0b000);
    CHECK(dense3::code_of(8) == 0b011);
    CHECK(dense3::code_of(-1) == 0b100);
    CHECK(dense3::code_of(-8) == 0b111);
    CHECK(int8_weights::code_of(-1) == 255);
}

TEST_CASE("minus zero is the one code that is never valid") {
    zero_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        for (unsigned c = 0; c < unsigned{F::codes}; ++c)
            CHECK(F::valid(c) == (c != 1u << (F::bits - 1)));
        CHECK_FALSE(F::valid(unsigned{F::codes}));
        CHECK_FALSE(F::valid(UINT_MAX));
    });
    dense_formats::each([]<class F>() {
        CAPTURE(std::string(F::name));
        for (unsigned c = 0; c < unsigned{F::codes}; ++c)
            CHECK(F::valid(c));
        CHECK_FALSE(F::valid(unsigned{F::codes}));
    });
    CHECK(int8_weights::valid(255));
    CHECK_FALSE(int8_weights::valid(256));
}

TEST_CASE("exponents, sizes and names") {
    zero_formats::each([]<class F>() {
        CHECK(F::exponents == (1 << (F::bits - 1)) - 1);
        CHECK(F::name == "shift" + std::to_string(F::bits));
    });
    dense_formats::each([]<class F>() {
        CHECK(F::exponents == 1 << (F::bits - 1));
        CHECK(F::name == "dense" + std::to_string(F::bits));
    });
    CHECK(std::string(int8_weights::name) == "int8");
}

TEST_CASE("the code of a rounded number is found at once, the same") {
    const auto check = []<class F>() {
        CAPTURE(std::string(F::name));
        for (const nearest rule : {nearest::value, nearest::log2})
            for (int i = -40000; i <= 40000; ++i) {
                const double real = i / 128.0;
                if (F::rounded_code(real, rule) != F::code_of(F::round(real, rule)))
                    FAIL_CHECK(real);
            }
    };
    test::type_list<shift2, shift3, shift4, shift5, dense2, dense3, dense4, dense5,
                    integer_format<2>, integer_format<3>, int4_weights, int8_weights>::each(check);
}
