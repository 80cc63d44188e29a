// Whole networks of random weights, imported: their integers are near to what they compute in
// float, and every kernel, file and definition gives the same ones.

#include <s3/io/model_file.hpp>
#include <s3/net/program.hpp>
#include <s3/net/reference.hpp>

#include "../support/checkpoint.hpp"
#include "../support/descriptions.hpp"

#include <doctest/doctest.h>

using namespace s3;

namespace {

/// Images of stripes, each of its own brightness, contrast and width.
[[nodiscard]] std::vector<std::uint8_t> stripes(std::size_t count, std::size_t size,
                                                test::random& r) {
    std::vector<std::uint8_t> x;
    for (std::size_t n = 0; n < count; ++n) {
        const int dark = r.between(0, 200), light = r.between(dark, 255);
        const std::size_t width = 1 + r.below(20);
        for (std::size_t i = 0; i < size; ++i)
            x.push_back(
                static_cast<std::uint8_t>(i / width % 2 == 0 ? r.between(dark, light) : dark));
    }
    return x;
}

/// The root mean square of what integers and float differ by, relative to that of how far outputs
/// are from their mean over all images.
[[nodiscard]] double imported_error(const char* text, int bits = 8) {
    const auto d = importing::parse(text);
    REQUIRE_MESSAGE(d, d.error().message());
    test::random r(7);
    constexpr std::size_t count = 24;
    const auto x = stripes(count, d->height * d->width * d->channels, r);
    const auto c = test::checkpoint_for(*d, x, r);
    const auto imported = importing::import_network(c.file, *d, {.samples = x, .bits = bits});
    REQUIRE_MESSAGE(imported, imported.error().message());
    const net::model& m = imported->model;

    const auto bytes = model_file::write(m);
    REQUIRE_MESSAGE(bytes, bytes.error().message());
    const auto read = model_file::read(*bytes);
    REQUIRE_MESSAGE(read, read.error().message());
    const auto values = net::reference::run(*read, x, count);
    REQUIRE(values);
    const image_view<const std::uint8_t> images{x, count, d->height, d->width, d->channels};
    std::vector<float> y(values->back().size());
    for (const family kernels : {family::automatic, family::shift_add}) {
        using used = format_list<shift3, int8_weights>;
        const auto p = net::prepare<used>(*read, {.batch = count, .kernels = kernels});
        REQUIRE_MESSAGE(p, p.error().message());
        REQUIRE(net::run(*p, images, y));
        const bool sums = m.output().element == net::element_type::int32;
        for (std::size_t i = 0; i < y.size(); ++i)
            REQUIRE(y[i] == (sums ? static_cast<float>(values->back()[i]) * m.output_scale
                                  : static_cast<float>(values->back()[i] - m.output().zero_point) *
                                        m.output().scale));
    }
    const auto wanted = test::float_values(c.file, *d, x, d->lines.size());
    REQUIRE(wanted.size() == y.size());
    double wrong = 0, all = 0;
    const std::size_t outputs = y.size() / count;
    for (std::size_t i = 0; i < outputs; ++i) {
        double mean = 0;
        for (std::size_t n = 0; n < count; ++n)
            mean += double{wanted[n * outputs + i]} / count;
        for (std::size_t n = 0; n < count; ++n) {
            const double given = double{wanted[n * outputs + i]};
            wrong += std::pow(double{y[n * outputs + i]} - given, 2);
            all += std::pow(given - mean, 2);
        }
    }
    return std::sqrt(wrong / all);
}

} // namespace

TEST_CASE("depthwise convolutions, hard-swish and squeeze-and-excite") {
    CHECK(imported_error(test::mobile_net) < 0.06);
    CHECK(imported_error(test::mobile_net, 6) < 0.25);
}
TEST_CASE("concatenations and upsampling") {
    CHECK(imported_error(test::u_net) < 0.06);
    CHECK(imported_error(test::u_net, 6) < 0.25);
}
TEST_CASE("a depthwise network for keywords") {
    CHECK(imported_error(test::keywords) < 0.07);
}
TEST_CASE("a sequence") {
    CHECK(imported_error(test::sequence) < 0.05);
}
