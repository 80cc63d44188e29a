// The order of a convolution's pixels: each comes once, lines are as straight as they say, and
// between the edges no window leaves the image sideways.

#include <s3/ops/pixel_order.hpp>
#include <s3/ops/store.hpp>

#include "../support/random.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace s3;

namespace {

struct drawn {
    std::size_t height, width;
    filter_shape f;
    conv_options o;
    extent out = 1;
    detail::pixel_order order{1};

    explicit drawn(test::random& r) {
        for (;;) {
            height = 1 + r.below(9), width = 1 + r.below(9);
            f = {1, 1 + r.below(5), 1 + r.below(5), 1};
            o.stride = {1 + r.below(4), 1 + r.below(4)};
            o.padding = {r.below(5), r.below(5)};
            o.dilation = {1 + r.below(3), 1 + r.below(3)};
            if (const auto size = output_extent(height, width, f, o)) {
                out = *size;
                order = detail::pixel_order::by_edges(height, width, f, o, out);
                return;
            }
        }
    }
    [[nodiscard]] std::size_t count() const { return 2 * out.height * out.width; }
    /// Whether all taps of some axis see the image.
    [[nodiscard]] bool inside(std::size_t at, std::size_t taps, std::size_t dilation,
                              std::size_t size) const {
        bool all = true;
        for (std::size_t t = 0; t < taps; ++t)
            all = all && at + t * dilation < size; // below zero wraps
        return all;
    }
    [[nodiscard]] detail::pixel_window window(const detail::pixel_order::pixel& p) const {
        return detail::pixel_window::of(p.image, p.row, p.column, o);
    }
};

} // namespace

TEST_CASE("every pixel comes once") {
    test::random r(1);
    for (int trial = 0; trial < 500; ++trial) {
        const drawn d(r);
        std::vector<int> seen(d.count());
        for (std::size_t n = 0; n < d.count(); ++n)
            ++seen.at(d.order.by_rows(n));
        CHECK(seen == std::vector<int>(seen.size(), 1));
    }
}

TEST_CASE("a line is straight, and alike pixels see the same padding") {
    test::random r(2);
    std::size_t edges = 0, kept = 0;
    for (int trial = 0; trial < 500; ++trial) {
        const drawn d(r);
        for (std::size_t n = 0; n < d.count(); ++n) {
            const auto p = d.order.at(n);
            const bool edge = d.order.is_edge(p);
            edges += edge;
            REQUIRE(p.straight >= 1);
            REQUIRE(n + p.straight <= d.count());
            for (std::size_t i = 0; i < p.straight; ++i) {
                const auto q = d.order.at(n + i);
                CHECK(q.image == p.image);
                CHECK(q.row == p.row + (edge ? i : 0));
                CHECK(q.column == p.column + (edge ? 0 : i));
                CHECK(q.straight == p.straight - i);
            }
            REQUIRE(d.order.alike(p) >= p.straight);
            REQUIRE(n + d.order.alike(p) <= d.count());
            if (edge)
                continue;
            const std::size_t top = d.window(p).top;
            CHECK(d.inside(d.window(p).left, d.f.width, d.o.dilation.width, d.width));
            if (d.order.alike(p) == p.straight)
                continue;
            ++kept;
            CHECK(d.inside(top, d.f.height, d.o.dilation.height, d.height));
            const auto last = d.window(d.order.at(n + d.order.alike(p) - 1));
            CHECK(d.inside(last.top, d.f.height, d.o.dilation.height, d.height));
        }
    }
    CHECK(edges > 0);
    CHECK(kept > 0);
}

TEST_CASE("places of many columns are those of each") {
    test::random r(3);
    for (int trial = 0; trial < 300; ++trial) {
        const drawn d(r);
        const std::size_t plane = d.out.height * d.out.width, channels = 1 + r.below(5);
        const bool last = r.below(2) == 0;
        for (const auto* order : {&d.order, static_cast<const detail::pixel_order*>(nullptr)}) {
            const detail::output_map map{
                plane, plane * channels, last ? channels : 1, last ? 1 : plane, r.below(channels),
                order};
            const std::size_t n = r.below(d.count()), count = r.below(d.count() - n + 1);
            std::vector<std::size_t> at(count), expected(count);
            map.place(n, count, at.data());
            for (std::size_t c = 0; c < count; ++c)
                expected[c] = map.index(n + c, 0);
            CHECK(at == expected);
        }
        const detail::output_map rows{.image = 7};
        std::vector<std::size_t> at(4);
        rows.place(3, 4, at.data());
        CHECK(at == std::vector<std::size_t>{21, 28, 35, 42});
    }
}
