// Views: a shape is accepted exactly if its last element lies within the buffer.

#include <s3/core/view.hpp>

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

using namespace s3;

namespace {
constexpr std::size_t huge = std::numeric_limits<std::size_t>::max();

// A view that may write is also one that may only read, never the other way round.
static_assert(std::is_convertible_v<matrix_view<int>, matrix_view<const int>>);
static_assert(!std::is_convertible_v<matrix_view<const int>, matrix_view<int>>);
static_assert(std::is_convertible_v<image_view<int>, image_view<const int>>);
static_assert(!std::is_convertible_v<image_view<const int>, image_view<int>>);

// Arithmetic on a null pointer would be no constant expression.
static_assert(matrix_view<int>({}, 3, 0, 5).row(2) == nullptr);
} // namespace

TEST_CASE("a matrix fits exactly if its last element does") {
    std::vector<int> memory(64);
    for (std::size_t rows = 0; rows <= 5; ++rows)
        for (std::size_t columns = 0; columns <= 5; ++columns)
            for (std::size_t stride = columns; stride <= columns + 3; ++stride)
                for (std::size_t size = 0; size <= 40; ++size) {
                    const matrix_view<int> v(std::span<int>(memory).first(size), rows, columns,
                                             stride);
                    const bool empty = rows == 0 || columns == 0;
                    const std::size_t needed = empty ? 0 : (rows - 1) * stride + columns;
                    const status s = v.check("x");
                    REQUIRE(bool(s) == (size >= needed));
                    if (!s) {
                        REQUIRE(s.error().code == errc::buffer_too_small);
                        REQUIRE(s.error().bound == static_cast<double>(needed));
                        REQUIRE(std::string(s.error().argument) == "x");
                    }
                }
}

TEST_CASE("a stride below the number of columns is refused") {
    std::vector<int> memory(64);
    const status s = matrix_view<int>(memory, 2, 4, 3).check("y");
    REQUIRE_FALSE(s);
    CHECK(s.error().code == errc::bad_option);
    CHECK(s.error().message() == "y: option is out of range (got 3, needs 4)");
}

TEST_CASE("shapes whose size overflows do not fit any buffer") {
    std::vector<int> memory(64);
    const std::size_t half = std::size_t{1} << (std::numeric_limits<std::size_t>::digits / 2);
    for (const auto& [rows, columns, stride] :
         std::vector<std::array<std::size_t, 3>>{{half, half, half},
                                                 {2, huge, huge},
                                                 {huge, 1, 1},
                                                 {huge, huge, huge},
                                                 {half + 1, 2, half},
                                                 {2, 3, huge - 1},
                                                 {huge, 16, 16}})
        CHECK_FALSE(matrix_view<int>(memory, rows, columns, stride).check("x"));
    for (const auto& [n, h, w, c] :
         std::vector<std::array<std::size_t, 4>>{{half, half, 1, 1},
                                                 {half, 1, half, 1},
                                                 {1, half, half, 1},
                                                 {1, 1, half, half},
                                                 {huge, huge, huge, huge},
                                                 {3, huge / 3 + 1, 1, 1}})
        CHECK_FALSE(image_view<int>{memory, n, h, w, c}.check("image"));
}

TEST_CASE("a view of nothing needs no memory") {
    CHECK(matrix_view<int>({}, 0, 7).check("x"));
    CHECK(matrix_view<int>({}, 7, 0).check("x"));
    CHECK(matrix_view<int>().check("x"));
    CHECK(image_view<int>{{}, 0, 3, 3, 3}.check("image"));
    CHECK(image_view<int>{{}, 3, 3, 3, 0}.check("image"));
}

TEST_CASE("rows of a matrix lie a stride apart") {
    std::vector<int> memory(20);
    const matrix_view<int> v(memory, 3, 4, 7);
    CHECK(v.row(0) == memory.data());
    CHECK(v.row(2) == memory.data() + 14);
}

TEST_CASE("an image needs all its elements, and each has a place of its own") {
    std::vector<int> memory(2 * 3 * 4 * 5);
    for (const image_order order : {image_order::nhwc, image_order::nchw}) {
        const image_view<int> image{memory, 2, 3, 4, 5, order};
        CHECK(image.check("image"));
        CHECK_FALSE(
            image_view<int>{std::span<int>(memory).first(119), 2, 3, 4, 5, order}.check("i"));
        std::set<std::size_t> seen;
        for (std::size_t n = 0; n < 2; ++n)
            for (std::size_t h = 0; h < 3; ++h)
                for (std::size_t w = 0; w < 4; ++w)
                    for (std::size_t c = 0; c < 5; ++c)
                        seen.insert(image.index(n, h, w, c));
        CHECK(seen.size() == memory.size());
        CHECK(*seen.rbegin() == memory.size() - 1);
    }
    CHECK(image_view<int>{memory, 2, 3, 4, 5}.index(1, 2, 3, 4) == 119);
    CHECK(image_view<int>{memory, 2, 3, 4, 5}.index(0, 0, 0, 1) == 1);
    CHECK(image_view<int>{memory, 2, 3, 4, 5, image_order::nchw}.index(0, 0, 0, 1) == 12);
    CHECK(image_view<int>{memory, 2, 3, 4, 5, image_order::nchw}.index(0, 1, 0, 0) == 4);
}

TEST_CASE("what was written through a view is read through its conversion") {
    std::vector<int> memory(2 * 3 * 4 * 5, 7);
    const matrix_view<int> m(memory, 3, 4, 7);
    const matrix_view<const int> read = m;
    CHECK(read.row(2) == m.row(2));
    CHECK(read.rows == 3);
    CHECK(read.columns == 4);
    CHECK(read.stride == 7);
    const image_view<int> image{memory, 2, 3, 4, 5, image_order::nchw};
    const image_view<const int> seen = image;
    CHECK(seen.data.data() == memory.data());
    CHECK(seen.size() == 120);
    CHECK(seen.index(1, 2, 3, 4) == image.index(1, 2, 3, 4));
}

TEST_CASE("any contiguous range gives a view of its elements") {
    std::vector<int> vector(24);
    const std::array<float, 24> array{};
    static_assert(std::is_same_v<decltype(matrix_view(vector, 4, 6)), matrix_view<int>>);
    static_assert(std::is_same_v<decltype(matrix_view(array, 3, 4, 8)), matrix_view<const float>>);
    static_assert(std::is_same_v<decltype(image_view{vector, 1u, 2u, 3u, 4u}), image_view<int>>);
    CHECK(matrix_view(vector, 4, 6).row(1) == vector.data() + 6);
    CHECK(image_view{array, 1u, 2u, 3u, 4u}.data.data() == array.data());
}
