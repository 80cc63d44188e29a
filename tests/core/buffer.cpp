// Owned arrays: zeroed, aligned, and an error instead of an exception where memory runs out.

#include <s3/core/buffer.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

using namespace s3;

TEST_CASE("a buffer is zeroed and aligned to a cache line") {
    for (const std::size_t size : {1u, 3u, 64u, 1000u}) {
        const auto b = buffer<float>::make(size);
        REQUIRE(b);
        CHECK(b->size() == size);
        CHECK(reinterpret_cast<std::uintptr_t>(b->data()) % 64 == 0);
        for (const float v : b->span())
            REQUIRE(v == 0);
    }
}

TEST_CASE("an empty buffer owns nothing") {
    const auto b = buffer<int>::make(0);
    REQUIRE(b);
    CHECK(b->size() == 0);
    CHECK(b->span().empty());
    CHECK(buffer<int>().data() == nullptr);
}

TEST_CASE("copy_of has the same elements in memory of its own") {
    const std::vector<int> from{1, -2, 3};
    const auto b = buffer<int>::copy_of(from);
    REQUIRE(b);
    CHECK(std::vector<int>(b->span().begin(), b->span().end()) == from);
    CHECK(b->data() != from.data());
    CHECK(buffer<int>::copy_of({})->size() == 0);
}

TEST_CASE("moving leaves the source empty") {
    auto a = buffer<int>::make(5);
    REQUIRE(a);
    buffer<int> b = *std::move(a);
    CHECK(b.size() == 5);
    CHECK(a->size() == 0);
}

TEST_CASE("sizes that no machine has are an error") {
    for (const std::size_t size :
         {std::numeric_limits<std::size_t>::max(), std::numeric_limits<std::size_t>::max() / 8}) {
        const auto b = buffer<double>::make(size);
        REQUIRE_FALSE(b);
        CHECK(b.error().code == errc::out_of_memory);
    }
}
