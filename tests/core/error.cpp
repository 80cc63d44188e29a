// Errors as values: what went wrong, with which argument, in one line.

#include <s3/core/error.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <set>
#include <string>

using s3::errc;
using s3::error;
using s3::result;
using s3::status;

static_assert(error(errc::truncated, "x").at(3).index == 3);
static_assert(error(errc::truncated, "x").got(3).has_value);
static_assert(!error(errc::truncated, "x").got(3).has_limit);

TEST_CASE("a message names the argument, the index, the value and the limit that are known") {
    const error e(errc::not_in_format, "weights");
    CHECK(e.message() == "weights: value is not in the weight format");
    CHECK(e.at(7).message() == "weights[7]: value is not in the weight format");
    CHECK(e.got(3).message() == "weights: value is not in the weight format (got 3)");
    CHECK(e.needs(4).message() == "weights: value is not in the weight format (limit 4)");
    CHECK(e.at(0).got(-1.5).needs(4).message() ==
          "weights[0]: value is not in the weight format (got -1.5, limit 4)");
}

TEST_CASE("every code has a text of its own") {
    std::set<std::string> texts;
    for (int c = 0; c <= static_cast<int>(errc::io); ++c)
        texts.insert(s3::to_string(static_cast<errc>(c)));
    CHECK(texts.size() == static_cast<std::size_t>(errc::io) + 1);
    CHECK(texts.count("unknown error") == 0);
    CHECK(std::string(s3::to_string(static_cast<errc>(200))) == "unknown error");
}

TEST_CASE("a result holds a value or an error") {
    const result<int> good = 5;
    REQUIRE(good);
    CHECK(good.has_value());
    CHECK(*good == 5);
    CHECK(good.error().code == errc::ok);

    const result<int> bad = error(errc::truncated, "file").got(2).needs(3);
    CHECK_FALSE(bad);
    CHECK_FALSE(bad.has_value());
    CHECK(bad.error().code == errc::truncated);
    CHECK(std::string(bad.error().argument) == "file");

    const status fine;
    CHECK(fine);
    const status not_fine = error(errc::io, "file");
    CHECK_FALSE(not_fine);
    CHECK(not_fine.error().code == errc::io);
}

TEST_CASE("a result gives up a value that can only be moved") {
    result<std::unique_ptr<int>> r = std::make_unique<int>(9);
    REQUIRE(r);
    CHECK(*r->get() == 9);
    const std::unique_ptr<int> taken = *std::move(r);
    CHECK(*taken == 9);
}

#if S3_HAS_EXCEPTIONS
TEST_CASE("value() of a failed result throws its message") {
    const result<int> bad = error(errc::truncated, "file");
    CHECK_THROWS_WITH_AS((void)bad.value(), "file: data ends early", s3::bad_result);
    const status not_fine = error(errc::io, "file");
    CHECK_THROWS_WITH_AS(not_fine.value(), "file: input or output failed", s3::bad_result);
    CHECK(result<int>(4).value() == 4);
    CHECK_NOTHROW(status().value());
}
#endif
