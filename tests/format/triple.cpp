// Triples: value = sign · sparse · 2^shift, both ways.

#include <s3/format/triple.hpp>

#include <doctest/doctest.h>

#include <initializer_list>

using s3::to_triple;
using s3::triple;

static_assert(triple{}.value() == 0);
static_assert(triple{-1, 1, 7}.value() == -128);
static_assert(to_triple(-4) == triple{-1, 1, 2});

TEST_CASE("to_triple is the inverse of value") {
    CHECK(to_triple(0) == triple{});
    for (int shift = 0; shift <= 15; ++shift)
        for (const int sign : {-1, 1}) {
            const triple t{sign, 1, shift};
            CHECK(t.value() == sign * (1 << shift));
            CHECK(to_triple(t.value()) == t);
        }
}

TEST_CASE("a pruned weight is zero whatever its sign and shift") {
    for (int shift = 0; shift <= 15; ++shift)
        for (const int sign : {-1, 1})
            CHECK(triple{sign, 0, shift}.value() == 0);
}
