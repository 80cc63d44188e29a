// Views: a shape is accepted exactly if its last element lies within the buffer.

#include <s3/core/view.hpp>

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <set>
#include <string>
#include <vector>

using namespace s3;

namespace {
constexpr std::size_t huge = std::numeric_limits<std::size_t>::max();
static_assert(saturating_mul(huge, 0) == 0 && saturating_mul(0, huge) == 0);
static_assert(saturating_mul(huge, 1) == huge && saturating_mul(huge, 2) == huge);
static_assert(saturating_mul(std::size_t{1} << 32, std::size_t{1} << 32) == huge);
static_assert(saturating_mul(std::size_t{1} << 31, std::size_t{1} << 32) == std::size_t{1} << 63);
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
    const std::size_t half = std::size_t{1} << 32;
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
