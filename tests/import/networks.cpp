// Whole networks of random weights, imported: their integers are near to what they compute in
// float, and every kernel, file and definition gives the same ones.

#include <s3/export/cpp_header.hpp>
#include <s3/io/model_file.hpp>
#include <s3/net/reference.hpp>
#include <s3/runtime/program.hpp>

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

/// Imports a network, and checks that a file and kernels of both families keep what its definition
/// computes (without vectors, which tests/numpy has). Returns the real numbers of its outputs.
[[nodiscard]] std::vector<float> outputs(const importing::description& d, const test::checkpoint& c,
                                         std::span<const std::uint8_t> x, int bits) {
    const std::size_t count = x.size() / (d.height * d.width * d.channels);
    const auto imported = importing::import_network(c.file, d, {.samples = x, .bits = bits});
    REQUIRE_MESSAGE(imported, imported.error().message());
    const auto bytes = model_file::write(imported->model);
    REQUIRE_MESSAGE(bytes, bytes.error().message());
    const auto m = model_file::read(*bytes);
    REQUIRE_MESSAGE(m, m.error().message());
    const auto values = net::reference::run(*m, x, count);
    REQUIRE(values);
    const net::value_info& out = m->output();
    const bool sums = out.element == net::element_type::int32;
    std::vector<float> wanted;
    for (const std::int32_t q : values->back())
        wanted.push_back(sums ? static_cast<float>(q) * m->output_scale
                              : static_cast<float>(q - out.zero_point) * out.scale);
    const image_view<const std::uint8_t> images{x, count, d.height, d.width, d.channels};
    std::vector<float> y(wanted.size());
    for (const family kernels : {family::automatic, family::shift_add}) {
        const auto p = runtime::prepare(*m, {.batch = count, .kernels = kernels});
        REQUIRE_MESSAGE(p, p.error().message());
        REQUIRE(p->run(images, std::span(y)));
        CHECK(y == wanted);
    }
    return y;
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
    const auto y = outputs(*d, c, x, bits);
    const auto wanted = test::float_values(c.file, *d, x, d->lines.size());
    REQUIRE(wanted.size() == y.size());
    double wrong = 0, all = 0;
    const std::size_t each = y.size() / count;
    for (std::size_t i = 0; i < each; ++i) {
        double mean = 0;
        for (std::size_t n = 0; n < count; ++n)
            mean += double{wanted[n * each + i]} / count;
        for (std::size_t n = 0; n < count; ++n) {
            const double given = double{wanted[n * each + i]};
            wrong += std::pow(double{y[n * each + i]} - given, 2);
            all += std::pow(given - mean, 2);
        }
    }
    return std::sqrt(wrong / all);
}

/// The numbers that a network learns: weights, biases where no norm follows, and two of a norm.
[[nodiscard]] std::size_t parameters(const std::string& text) {
    const auto d = importing::parse(text);
    REQUIRE_MESSAGE(d, d.error().message());
    const auto shapes = importing::infer(*d);
    REQUIRE_MESSAGE(shapes, shapes.error().message());
    std::size_t all = 0;
    for (std::size_t i = 0; i < d->lines.size(); ++i) {
        const auto& f = shapes->filters[i];
        if (d->lines[i].kind == importing::line_kind::norm)
            all += shapes->values[i].channels; // and as many biases, counted at its convolution
        if (importing::detail::is_convolution(d->lines[i].kind))
            all += f.out_channels * f.columns() + f.out_channels;
    }
    return all;
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
    CHECK(imported_error(test::sequence) < 0.07);
}

TEST_CASE("built-in networks have as many parameters as those of torchvision") {
    const auto count = [](const char* name) { return parameters(importing::built_in(name, 1000)); };
    CHECK(count("resnet18") == 11689512);
    CHECK(count("resnet50") == 25557032);
    CHECK(count("mobilenet_v2") == 3504872);
    CHECK(count("mobilenet_v3_small") == 2542856);
    CHECK(count("mobilenet_v3_large") == 5483032);
    CHECK(importing::built_in("mobilenet_v4", 1000) == "");
}

TEST_CASE("a whole MobileNetV3 imports") {
    const auto d = importing::parse(importing::built_in("mobilenet_v3_small", 10, 32));
    REQUIRE(d);
    test::random r(5);
    const auto x = stripes(2, 32 * 32 * 3, r);
    CHECK(outputs(*d, test::checkpoint_for(*d, {}, r), x, 8).size() == 20);
}

TEST_CASE(
    "exported networks take the memory of one layer's input and output, and a row of weights") {
    const auto arena = [](const char* name) {
        const auto d = importing::parse(importing::built_in(name, 10, 32));
        REQUIRE(d);
        test::random r(5);
        const auto x = stripes(1, 32 * 32 * 3, r);
        const auto c = test::checkpoint_for(*d, {}, r);
        const auto imported = importing::import_network(c.file, *d, {.samples = x});
        REQUIRE_MESSAGE(imported, imported.error().message());
        const auto h = exporting::write_header(imported->model);
        REQUIRE(h);
        return h->memory.arena;
    };
    CHECK(arena("resnet8") == 2 * 32 * 32 * 16 + 3 * 3 * 16);
    CHECK(arena("resnet20") == 2 * 32 * 32 * 16 + 3 * 3 * 16);
    // The widest pointwise convolution; the depthwise ones write over their inputs.
    CHECK(arena("mobilenet_v2") == 16 * 16 * 16 + 16 * 16 * 96 + 16);
}
