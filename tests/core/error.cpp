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
static_assert(error(errc::truncated, "x").got(3).bounded_by == s3::bound_kind::none);

TEST_CASE("a message names the argument, the index, the value and the limit that are known") {
    const error e(errc::not_in_format, "weights");
    CHECK(e.message() == "weights: value is not in the weight format");
    CHECK(e.at(7).message() == "weights[7]: value is not in the weight format");
    CHECK(e.got(3).message() == "weights: value is not in the weight format (got 3)");
    CHECK(e.limit(4).message() == "weights: value is not in the weight format (limit 4)");
    CHECK(e.at(0).got(-1.5).limit(4).message() ==
          "weights[0]: value is not in the weight format (got -1.5, limit 4)");
    const error shape(errc::shape_mismatch, "x.rows");
    CHECK(shape.needs(4).message() == "x.rows: shape does not fit (needs 4)");
    CHECK(shape.got(3).needs(4).message() == "x.rows: shape does not fit (got 3, needs 4)");
    CHECK(error(errc::bad_option, "groups").got(3).divides(8).message() ==
          "groups: option is out of range (got 3, must divide 8)");
    CHECK(error(errc::bad_option, "bits").outside(0, 1, 8).message() ==
          "bits: option is out of range (got 0, limit 1)");
    CHECK(error(errc::bad_option, "bits").outside(9, 1, 8).message() ==
          "bits: option is out of range (got 9, limit 8)");
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

TEST_CASE("and_then goes on with a value and hands an error on") {
    int calls = 0;
    const auto half = [&](int v) -> result<int> {
        ++calls;
        if (v % 2 != 0)
            return error(errc::bad_option, "v").got(v);
        return v / 2;
    };
    CHECK(*result<int>(12).and_then(half).and_then(half) == 3);
    CHECK(calls == 2);
    const auto odd = result<int>(6).and_then(half).and_then(half).and_then(half);
    CHECK(odd.error().message() == "v: option is out of range (got 3)");
    CHECK(calls == 4);

    // The value is moved on, and a step may give a status or come behind one.
    result<std::unique_ptr<int>> owner = std::make_unique<int>(9);
    const status used = std::move(owner).and_then([](std::unique_ptr<int> p) -> status {
        return *p == 9 ? status() : status(error(errc::io, "p"));
    });
    CHECK(used);
    CHECK(*status().and_then([] { return result<int>(1); }) == 1);
    const status failed = error(errc::io, "file");
    CHECK(failed.and_then([] { return result<int>(1); }).error().code == errc::io);
}

TEST_CASE("a described error puts words before or in the place of its message") {
    using s3::described_error;
    const error plain = error(errc::not_finite, "scale").at(2);
    const described_error silent = plain;
    CHECK(silent.message() == plain.message());
    CHECK(silent.in("line 3").in("net.txt").message() ==
          "net.txt: line 3: scale[2]: value is not finite");
    const described_error described(plain, "no line uses the tensor 'w'");
    CHECK(described.message() == "no line uses the tensor 'w'");
    CHECK(described.code == errc::not_finite);
    CHECK(described.index == 2);
    const described_error forged(plain, "no part uses the tensor \033[31mw\nall is well\x7f");
    CHECK(forged.message() == "no part uses the tensor ?[31mw?all is well?");

    // Results take both kinds of error; a described one becomes a plain one.
    const s3::described_result<int> from_plain = plain, from_described = described.in("line 3");
    CHECK(from_plain.error().message() == plain.message());
    CHECK(from_described.error().message() == "line 3: no line uses the tensor 'w'");
    const status narrowed = from_described.error();
    CHECK(narrowed.error().message() == plain.message());
    const auto next = result<int>(plain).and_then([](int) { return s3::described_status(); });
    CHECK(next.error().message() == plain.message());
    CHECK(s3::described_status());
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
