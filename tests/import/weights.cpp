// One layer's weights from a state dict: what they become, by whose names they are found, and how
// well real ones are rounded.

#include <s3/import/weights.hpp>

#include "../support/checkpoint.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

using namespace s3;
using test::checkpoint;
using test::reals_at_random;

TEST_CASE("import: DenseShift latents are found by their authors' names, and mean the same") {
    test::random random{11};
    const filter_shape shape{8, 1, 1, 6};
    checkpoint theirs, ours;
    const char* const names[][2] = {{"weight", "weight"},
                                    {"weight_t1", "weight_shift3"}, // innermost
                                    {"weight_t2", "weight_shift2"},
                                    {"weight_t3", "weight_shift"}};
    for (const auto& [their_name, our_name] : names) {
        const auto latents = reals_at_random(48, random);
        theirs.put(std::string("c.").append(their_name), {8, 6}, latents);
        ours.put(std::string("c.").append(our_name), {8, 6}, latents);
    }
    const auto a = importing::import_weights(theirs.file, "c", shape);
    const auto b = importing::import_weights(ours.file, "c", shape);
    REQUIRE(a);
    REQUIRE(b);
    CHECK(std::string(a->method) == "DenseShift latents");
    CHECK(std::string(a->format) == "dense3");
    CHECK(a->real == b->real);
    CHECK(a->tensors.size() == 4);
}

TEST_CASE("import: real weights are rounded with a scale per row, which no other scale betters") {
    test::random random{12};
    const std::size_t rows = 16, columns = 90;
    auto weights = reals_at_random(rows * columns, random);
    for (std::size_t i = 0; i < weights.size(); ++i)
        weights[i] *= std::pow(1.7f, float(i / columns)); // rows of different magnitudes
    checkpoint c;
    c.put("c.weight", {rows, columns}, weights);
    const auto error_of = [&](bool one_scale) {
        importing::weight_options o{.format = "shift3", .one_scale = one_scale};
        const auto w = importing::import_weights(c.file, "c", {rows, 1, 1, columns}, o);
        REQUIRE(w);
        CHECK(std::get<packed_filter<shift3>>(w->filter).matrix.scale().size() ==
              (one_scale ? 1 : rows));
        return w->error;
    };
    CHECK(error_of(false) < 0.8 * error_of(true));

    // A row alone: no scale of a fine grid has a smaller error.
    const std::vector<float> row(weights.begin(), weights.begin() + std::ptrdiff_t(columns));
    checkpoint one;
    one.put("c.weight", {1, columns}, row);
    const auto w =
        importing::import_weights(one.file, "c", {1, 1, 1, columns}, {.format = "shift3"});
    REQUIRE(w);
    double squares = 0;
    for (const float v : row)
        squares += double{v} * v;
    for (double scale = 0.01; scale < 2; scale *= 1.002) {
        double wrong = 0;
        for (const float v : row) {
            const double rounded = scale * shift3::round(v / scale, nearest::value);
            wrong += (v - rounded) * (v - rounded);
        }
        CHECK(w->error <= std::sqrt(wrong / squares) * (1 + 1e-6));
    }
}

TEST_CASE("import: real weights inside a network take the format that is asked for, others stay") {
    test::random random{13};
    checkpoint c;
    c.put("real.weight", {4, 9}, reals_at_random(36, random));
    c.put("exact.weight", {4, 9}, std::vector<float>(36, 0.5f));
    const auto format = [&](const char* name, bool end, const char* otherwise) -> std::string {
        const auto w = importing::import_weights(
            c.file, name, {4, 1, 1, 9}, {.format = "auto", .end = end, .otherwise = otherwise});
        return w ? w->format : w.error().message();
    };
    CHECK(format("real", false, "shift4") == "shift4");
    CHECK(format("real", false, "int8") == "int8");
    CHECK(format("real", true, "shift4") == "int8");
    CHECK(format("exact", false, "shift4") == "shift2");
    for (const char* none : {"", "auto"})
        CHECK(format("real", false, none).find("say format=") != std::string::npos);
    CHECK(format("real", false, "shift9").find("format (unknown)") != std::string::npos);
}

TEST_CASE("import: integers of 8 bits with scales stay where int8 is wanted, or are rounded") {
    test::random random{17};
    std::vector<std::int8_t> integers;
    for (int i = 0; i < 36; ++i)
        integers.push_back(static_cast<std::int8_t>(random.below(200) - 100));
    integers[7] = -128; // which rounding to int8 never gives
    const auto memory = safetensors::to_bytes(std::span<const std::int8_t>(integers));
    const std::vector<float> scales{0.25f, 0.1f, 0.7f, 0.01f};
    for (const bool per_row : {true, false}) {
        CAPTURE(per_row);
        checkpoint c;
        c.file.tensors["w.weight"] = {safetensors::dtype::i8, {4, 9}, memory};
        c.put("w.scale", {per_row ? 4u : 1u},
              per_row ? scales : std::vector<float>{scales.begin(), scales.begin() + 1});
        const auto import_as = [&](importing::weight_options o) {
            auto w = importing::import_weights(c.file, "w", {4, 1, 1, 9}, o);
            REQUIRE_MESSAGE(w, w.error().message());
            return *std::move(w);
        };
        const std::vector<double> half{0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5};
        for (const auto& o :
             {importing::weight_options{.format = "int8"}, importing::weight_options{.end = true},
              importing::weight_options{.otherwise = "int8"},
              importing::weight_options{.end = true, .divide = half}}) {
            const auto w = import_as(o);
            CHECK(std::string(w.method) == "kept exactly");
            CHECK(w.error < 1e-7);
            const auto& matrix = std::get<packed_filter<int8_weights>>(w.filter).matrix;
            for (std::size_t i = 0; i < 36; ++i) {
                CHECK(matrix.value(i / 9, i % 9) == integers[i]);
                CHECK(matrix.real_scale(i / 9) ==
                      scales[per_row ? i / 9 : 0] / (o.divide.empty() ? 1.0f : 0.5f));
            }
        }
        CHECK(std::string(import_as({.otherwise = "shift3"}).format) == "shift3");
        const auto one = import_as({.end = true, .one_scale = true});
        CHECK(std::string(one.method) == (per_row ? "rounded" : "kept exactly"));
    }
}
