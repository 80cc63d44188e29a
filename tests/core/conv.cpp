// Output sizes of a convolution: the number of places where the dilated filter fits.

#include <s3/core/conv.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <string>

using namespace s3;

namespace {

std::size_t counted(std::size_t in, std::size_t kernel, std::size_t stride, std::size_t padding,
                    std::size_t dilation) {
    std::size_t places = 0;
    for (std::size_t at = 0; at + (kernel - 1) * dilation < in + 2 * padding; at += stride)
        ++places;
    return places;
}

std::string argument_of(const result<extent>& r) {
    return r ? "none" : r.error().argument;
}

} // namespace

TEST_CASE("the output has one pixel for each place where the filter fits") {
    for (std::size_t in = 0; in <= 12; ++in)
        for (std::size_t kernel = 1; kernel <= 5; ++kernel)
            for (std::size_t stride = 1; stride <= 4; ++stride)
                for (std::size_t padding = 0; padding <= 3; ++padding)
                    for (std::size_t dilation = 1; dilation <= 3; ++dilation) {
                        const std::size_t places = counted(in, kernel, stride, padding, dilation);
                        const filter_shape f{1, kernel, 1, 1};
                        const conv_options o{{stride, 2}, {padding, 0}, {dilation, 1}};
                        const auto out = output_extent(in, 9, f, o);
                        REQUIRE(bool(out) == (places > 0));
                        if (out)
                            REQUIRE(*out == extent(places, 5));
                        else
                            REQUIRE(out.error().code == errc::shape_mismatch);
                    }
}

TEST_CASE("height and width have options of their own") {
    const filter_shape f{1, 3, 5, 1};
    const auto out = output_extent(10, 20, f, {{2, 3}, {1, 0}, {1, 2}});
    REQUIRE(out);
    CHECK(out->height == counted(10, 3, 2, 1, 1));
    CHECK(out->width == counted(20, 5, 3, 0, 2));
    CHECK(extent(4) == extent(4, 4));
}

TEST_CASE("options out of range name themselves") {
    const filter_shape f{1, 3, 3, 1};
    CHECK(argument_of(output_extent(5, 5, f, {.stride = 0})) == "stride");
    CHECK(argument_of(output_extent(5, 5, f, {.stride = {1, 0}})) == "stride");
    CHECK(argument_of(output_extent(5, 5, f, {.dilation = 0})) == "dilation");
    CHECK(argument_of(output_extent(5, 5, {1, 0, 3, 1}, {})) == "filter.shape");
    CHECK(argument_of(output_extent(5, 5, {1, 3, 0, 1}, {})) == "filter.shape");
    CHECK(argument_of(output_extent(2, 5, f, {})) == "image.height");
    CHECK(argument_of(output_extent(5, 2, f, {})) == "image.width");
}

TEST_CASE("huge options are refused, not wrapped around") {
    constexpr std::size_t huge = std::numeric_limits<std::size_t>::max();
    const filter_shape f{1, 3, 3, 1};
    CHECK(argument_of(output_extent(5, 5, f, {.stride = huge})) == "stride");
    CHECK(argument_of(output_extent(5, 5, f, {.padding = huge})) == "padding");
    CHECK(argument_of(output_extent(5, 5, f, {.padding = huge / 2})) == "padding");
    CHECK(argument_of(output_extent(5, 5, f, {.dilation = huge})) == "dilation");
    CHECK(argument_of(output_extent(huge, 5, f, {})) == "image.height");
    CHECK(argument_of(output_extent(5, huge, f, {})) == "image.width");
    CHECK(argument_of(output_extent(5, 5, {1, huge, 3, 1}, {})) == "filter.shape");
}

TEST_CASE("the columns of a filter saturate") {
    constexpr std::size_t huge = std::numeric_limits<std::size_t>::max();
    CHECK(filter_shape{1, 3, 3, 4}.columns() == 36);
    CHECK(filter_shape{1, huge, huge, 2}.columns() == huge);
    CHECK(filter_shape{1, huge, huge, 0}.columns() == 0);
}
