// The text of exported headers: names that a namespace can have, and numbers in every locale. That
// they compute what the network does is the test tests/embedded.

#include <s3/export/cpp_header.hpp>

#include "../support/layers.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <limits>

using namespace s3;

namespace {

[[nodiscard]] net::model one_layer() {
    net::model m;
    m.values = {{1, 1, 2, 8, 0.3f}, {.channels = 1, .element = net::element_type::float32}};
    m.layers.push_back({"float", net::float_linear{0, {0.1f, -2.5f}, {}}});
    return m;
}

} // namespace

TEST_CASE("exported headers have names that are free in C++") {
    const net::model m = one_layer();
    for (const char* name : {"network", "a", "int_", "Class", "x1"})
        CHECK(exporting::cpp_header(m, {.name = name}));
    for (const char* name :
         {"", "1x", "a b", "int", "class", "std", "s3", "namespace", "a__b", "_A", "co_await", "ä"})
        CHECK(std::string(exporting::cpp_header(m, {.name = name}).error().argument) ==
              "options.name");
}

TEST_CASE("exported numbers are exact") {
    const float most = std::numeric_limits<float>::max(), least = 1e-45f;
    for (const float v : {0.0f, -0.0f, 1.0f, -1.5f, 0.1f, 1.0f / 3, most, -most, least, 1e-40f}) {
        const std::string text = exporting::cpp_writer::real(v);
        CHECK(text.back() == 'f');
        CHECK(text.find(',') == std::string::npos);
        CHECK(s3::bit_cast<std::uint32_t>(std::strtof(text.c_str(), nullptr)) ==
              s3::bit_cast<std::uint32_t>(v));
    }
    CHECK(exporting::cpp_writer::real(0.75f) == "0xc00000p-24f");
}

TEST_CASE("a header tells the memory that it takes") {
    for (const test::layer_case& l : test::layer_cases()) {
        CAPTURE(l.name);
        const auto h = exporting::write_header(l.model);
        REQUIRE(h);
        const exporting::exported_memory& m = h->memory;
        CHECK(m.weights == net::weight_bytes(l.model));
        CHECK(m.input == l.model.input().bytes());
        CHECK(m.output == l.model.output().bytes());
        CHECK(h->text.find("arena_bytes = " + std::to_string(m.arena) + ";") != std::string::npos);
        CHECK(h->text.find("//   RAM    " + std::to_string(m.arena)) != std::string::npos);
        CHECK(m.arena >= l.model.values[1].bytes());
    }
    const auto floats = exporting::write_header(one_layer());
    REQUIRE(floats);
    CHECK(floats->memory.weights == 8);
    CHECK(floats->memory.constants == 0);
    CHECK(floats->memory.arena == 0); // from the caller's input to the caller's output
}

TEST_CASE(
    "weights become constants where sums of whole bytes fit, whatever bits activations have") {
    for (const int large : {100, 300}) { // of 2^15, times 15 and 255
        const auto columns = static_cast<std::size_t>(large);
        net::model m;
        m.values = {{1, 1, columns, 4}, {1, 1, 1}};
        net::convolution c;
        c.scale = {1e-6f};
        c.filter = *pack_filter<dense5>(std::vector<int>(columns, 32768), {1, 1, 1, columns});
        m.layers.push_back({"c", std::move(c)});
        const auto text = exporting::cpp_header(m, {.most_constants = 1000});
        REQUIRE(text);
        CHECK((text->find("s3::constant<") != std::string::npos) == (large == 100));
    }
}

TEST_CASE("exported models are checked") {
    net::model m = one_layer();
    std::get<net::float_linear>(m.layers[0].operation).weights[1] = NAN;
    CHECK(exporting::cpp_header(m).error().code == errc::not_finite);
}
