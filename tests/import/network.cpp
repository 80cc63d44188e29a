// An imported network computes what the float network says, to a rounding; what cannot be imported
// is refused by name. Expectations are computed here, directly, from the checkpoint's numbers.

#include <s3/net/reference.hpp>
#include <s3/runtime/program.hpp>

#include "../support/checkpoint.hpp"
#include "../support/fast_math.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <locale>
#include <set>
#include <string>

using namespace s3;

namespace {

using test::bytes_at_random;
using test::checkpoint;
using test::reals_at_random;
using test::shifts_at_random;

/// Equal to a part in a thousand, however small.
doctest::Approx near(double value) {
    return doctest::Approx(value).epsilon(1e-3).scale(0);
}

struct outcome {
    described_result<importing::imported_network> network;
    std::string where; ///< what its error says
};
outcome try_import(const checkpoint& c, const std::string& text, importing::import_options o) {
    const auto d = importing::parse(text);
    REQUIRE_MESSAGE(d, d.error().message());
    auto imported = importing::import_network(c.file, *d, o);
    auto where = imported.error().message();
    return {std::move(imported), std::move(where)};
}
importing::imported_network import_it(const checkpoint& c, const std::string& text,
                                      importing::import_options o) {
    auto done = try_import(c, text, o);
    REQUIRE_MESSAGE(done.network, done.where);
    return *std::move(done.network);
}

/// A convolution of 1 × 1 with a batch norm, of single pixels, and what it gives.
struct folded {
    static constexpr std::size_t in = 6, out = 12, count = 64;
    std::size_t groups, each = in / groups; ///< input channels of a group
    const std::string text = "input 1 1 6 mean=0.5,0.4,0.3,0.2,0.1,0.6 std=0.25\n"
                             "conv c 6 12 kernel=1 groups=" +
                             std::to_string(groups) + "\nbn n\n";
    test::random random{3};
    checkpoint c;
    std::vector<std::uint8_t> samples = bytes_at_random(count * in, random);

    explicit folded(std::size_t some_groups = 1) : groups(some_groups) {
        c.put("c.weight", {out, each, 1, 1}, shifts_at_random(out * each, 0.125f, random));
        c.put("c.bias", {out}, reals_at_random(out, random));
        c.put_norm("n", out, random);
    }
    [[nodiscard]] double factor(std::size_t channel) const {
        return c["n.weight"][channel] / std::sqrt(double{c["n.running_var"][channel]} + 1e-5);
    }
    [[nodiscard]] double wanted(std::size_t sample, std::size_t channel) const {
        constexpr double mean[] = {0.5, 0.4, 0.3, 0.2, 0.1, 0.6};
        double x = c["c.bias"][channel];
        for (std::size_t k = 0; k < each; ++k) {
            const std::size_t from = channel / (out / groups) * each + k;
            x += double{c["c.weight"][channel * each + k]} *
                 (samples[sample * in + from] / 255.0 - mean[from]) / 0.25;
        }
        return (x - c["n.running_mean"][channel]) * factor(channel) + c["n.bias"][channel];
    }
    /// Every output is the nearest byte of what is wanted, but for a bias that is rounded to a
    /// whole sum, or saturates where that is beyond the bytes.
    void check(int bits) const {
        CAPTURE(bits);
        const auto m = import_it(c, text, {.samples = samples, .bits = bits}).model;
        const auto values = net::reference::run(m, samples, count);
        REQUIRE(values);
        const net::value_info& v = m.output();
        CHECK(v.bits == bits);
        std::size_t inner = 0;
        for (std::size_t i = 0; i < values->back().size(); ++i) {
            const double y = wanted(i / out, i % out), low = -v.zero_point * double{v.scale},
                         high = (v.top() - v.zero_point) * double{v.scale},
                         got = (values->back()[i] - v.zero_point) * double{v.scale};
            const double unit = 0.125 / 0.25 / 255 * std::fabs(factor(i % out));
            CHECK(std::fabs(got - std::clamp(y, low, high)) <= 0.5001 * (double{v.scale} + unit));
            inner += y > low && y < high;
        }
        CHECK(inner > values->back().size() / 2);
    }
};

/// A network of every kind of line.
struct whole {
    static constexpr std::size_t count = 20;
    const std::string text = "input 6 6 3 mean=0.5,0.4,0.3 std=0.2,0.25,0.3\n"
                             "conv first 3 8 kernel=3 padding=1\n"
                             "bn norm0\n"
                             "relu stem bits=6\n"
                             "maxpool pooled kernel=2\n"
                             "conv second 8 8 kernel=3 padding=1\n"
                             "bn norm1\n"
                             "add pooled\n"
                             "relu6 middle bits=4\n"
                             "globalmean\n"
                             "linear fc 8 10\n";
    test::random random{4};
    checkpoint c;
    std::vector<std::uint8_t> samples = bytes_at_random(count * 6 * 6 * 3, random);

    whole() {
        c.put("first.weight", {8, 3, 3, 3}, reals_at_random(8 * 27, random));
        c.put_norm("norm0", 8, random);
        c.put("second.weight", {8, 8, 3, 3}, shifts_at_random(8 * 72, 0.05f, random));
        c.put_norm("norm1", 8, random);
        c.put("fc.weight", {10, 8}, reals_at_random(80, random));
        c.put("fc.bias", {10}, reals_at_random(10, random));
    }
    /// How it is refused.
    [[nodiscard]] outcome refusal() const {
        auto done = try_import(c, text, {.samples = samples});
        REQUIRE_FALSE(done.network);
        return done;
    }
    void refused(errc code, const std::string& by) const {
        const auto done = refusal();
        CAPTURE(done.where);
        CHECK(done.network.error().code == code);
        CHECK(done.where.find(by) != std::string::npos);
    }
};

} // namespace

TEST_CASE("import: batch norms fold into the epilogue, for gammas of both signs and any groups") {
    for (const std::size_t groups : {1u, 2u, 3u})
        for (const int bits : {8, 6, 4})
            folded(groups).check(bits);
}

TEST_CASE("import: channels that their norm switches off give its beta") {
    folded f;
    auto gamma = f.c["n.weight"], beta = f.c["n.bias"];
    gamma[2] = gamma[3] = gamma[4] = 0;
    gamma[5] = -0.0f;
    gamma[6] = 1e-12f;
    beta[2] = 0.75f;
    beta[3] = -0.75f;
    beta[4] = 0;
    f.c.put("n.weight", {f.out}, gamma);
    f.c.put("n.bias", {f.out}, beta);
    for (const int bits : {8, 6, 4})
        f.check(bits);
}

TEST_CASE("import: numbers of a description are finite, in range, and read alike in every locale") {
    const auto said = [](const std::string& input, const std::string& line) {
        const auto d = importing::parse("input 2 2 1 " + input + "\n" + line + "\n");
        return d ? std::string() : d.error().message();
    };
    CHECK(said("scale=0.5", "conv c 1 1 kernel=1") == "");
    for (const char* scale :
         {"1/0", "0/0", "1e-60", "1e60", "-1", "0", "nan", "inf", "0,5", "0x1p"})
        CHECK(said(std::string("scale=") + scale, "conv c 1 1 kernel=1").find("line 1: ") == 0);
    CHECK(said("std=1e-50", "conv c 1 1 kernel=1").find("line 1: 'std'") == 0);
    CHECK(said("mean=1e50", "conv c 1 1 kernel=1").find("line 1: 'mean'") == 0);
    for (const char* eps : {"0/0", "-5", "-1e-9"})
        CHECK(said("", std::string("conv c 1 1 kernel=1\nbn n eps=") + eps).find("line 3: ") == 0);
    importing::description d = *importing::parse("input 1 1 1\nlinear fc 1 1\n");
    d.scale = 1e-60;
    checkpoint c;
    c.put("fc.weight", {1, 1}, {1});
    const std::vector<std::uint8_t> pixel{1};
    CHECK_FALSE(importing::import_network(c.file, d, {.samples = pixel}));

#if defined(__cpp_rtti) // the standard library casts facets by their type information
    struct comma : std::numpunct<char> {
        char do_decimal_point() const override { return ','; }
    };
    const std::locale before = std::locale::global(std::locale(std::locale(), new comma));
    CHECK(said("scale=0.5", "conv c 1 1 kernel=1") == "");
    std::locale::global(before);
#endif
}

TEST_CASE("import: a long list of numbers, and many lines without a name, take a moment") {
    const auto begin = std::chrono::steady_clock::now();
    std::string list = "input 1 1 1 mean=1";
    for (int i = 0; i < 1000000; ++i)
        list += ",1";
    CHECK_FALSE(importing::parse(list + "\nlinear fc 1 1\n"));
    std::string lines = "input 1 1 1\n";
    for (int i = 0; i < 10000; ++i)
        lines += "pad\n";
    CHECK(try_import({}, lines, {}).network);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    CHECK(seconds.count() < 20);
}

TEST_CASE("import: layers without a name get names that differ") {
    std::string lines = "input 2 2 1\nmaxpool kernel=1\nrelu6\n";
    for (int i = 0; i < 59; ++i)
        lines += "maxpool kernel=1\n";
    const auto network = import_it({}, lines + "relu\n", {.samples = std::vector<std::uint8_t>(4)});
    std::set<std::string> names;
    for (const auto& layer : network.model.layers)
        CHECK_MESSAGE(names.insert(layer.name).second, layer.name);
}

TEST_CASE("import: a line that cannot change the bits of activations may not ask for others") {
    const std::vector<std::uint8_t> samples{1, 2, 3, 4};
    for (const char* word : {"maxpool kernel=2", "upsample factor=2", "pad before=1"}) {
        const std::string line = "input 2 2 1\n" + std::string(word);
        CHECK(try_import({}, line + "\n", {.samples = samples, .bits = 4}).network);
        CHECK(try_import({}, line + " bits=8\n", {.samples = samples}).network);
        const auto four = try_import({}, line + " bits=4\n", {.samples = samples});
        CHECK(four.where.find("must be those of its input") != std::string::npos);
    }
    const auto flat = try_import({}, "input 2 2 1\nflatten bits=4\n", {.samples = samples});
    CHECK(flat.where.find("cannot change the bits") != std::string::npos);
}

TEST_CASE("import: a window may be much larger than the image") {
    const std::vector<std::uint8_t> pixel{9};
    for (const char* kind : {"maxpool", "avgpool"}) {
        const std::string line = "input 1 1 1\n" + std::string(kind);
        const auto most =
            import_it({}, line + " kernel=1000 padding=999 stride=1\n", {.samples = pixel});
        CHECK(most.model.values[1].height == 1000);
        const auto more = try_import({}, line + " kernel=999999999 padding=999999998 stride=1\n",
                                     {.samples = pixel});
        CHECK_FALSE(more.network);
    }
}

TEST_CASE("import: a scale that float cannot hold is refused") {
    checkpoint c;
    c.put("c.weight", {1, 1, 1, 1}, {3e-8f});
    const std::vector<std::uint8_t> pixel{1};
    const auto divided =
        try_import(c, "input 1 1 1 mean=0 std=3e38\nconv c 1 1 kernel=1 scale=1\nrelu scale=1\n",
                   {.samples = pixel});
    CHECK(divided.where.find("weight.scale[0]") != std::string::npos);
    c.put("c.weight", {1, 1, 1, 1}, {3e-30f});
    c.put("c.scale", {1}, {3e-30f});
    const auto scaled = try_import(c, "input 1 1 1\nconv c 1 1 kernel=1 scale=1\nrelu scale=1\n",
                                   {.samples = pixel});
    CHECK(scaled.where.find("weight.scale[0]") != std::string::npos);
}

TEST_CASE("import: each group of a convolution is divided by the deviations of its own channels") {
    checkpoint c;
    c.put("c.weight", {2, 1, 1, 1}, {1, 1});
    const std::vector<std::uint8_t> samples{100, 100};
    const auto network = import_it(
        c, "input 1 1 2 mean=0,0 std=0.1,0.2 scale=1\nconv c 2 2 kernel=1 groups=2 format=int8\n",
        {.samples = samples});
    CHECK(network.report[0].weight_error < 0.01);
    const auto p = runtime::prepare(network.model);
    REQUIRE(p);
    std::vector<float> y(2);
    REQUIRE(p->run({samples, 1, 1, 1, 2}, std::span(y)));
    CHECK(y[0] == near(1000));
    CHECK(y[1] == doctest::Approx(500).epsilon(0.01)); // the last layer has one scale for both rows
}

TEST_CASE("import: a value that two lines use is fused into neither of them") {
    checkpoint c;
    test::random r(8);
    c.put("c.weight", {2, 2, 1, 1}, shifts_at_random(4, 0.5f, r));
    c.put_norm("n", 2, r);
    const auto samples = bytes_at_random(40, r);
    const std::string conv = "input 1 1 2\nconv c 2 2 kernel=1\n";
    const auto done = try_import(c, conv + "bn n\nadd c\n", {.samples = samples});
    REQUIRE_FALSE(done.network);
    CHECK(done.network.error().code == errc::unsupported);
    CHECK(done.where.find("line 3") != std::string::npos);
    CHECK(done.where.find("that nothing else uses") != std::string::npos);

    for (const char* name : {"n.weight", "n.bias", "n.running_mean", "n.running_var"})
        c.file.tensors.erase(name);
    const auto m = import_it(c, conv + "relu r\nadd c\n", {.samples = samples}).model;
    REQUIRE(m.layers.size() == 3); // the ReLU by itself, as a table
    const auto values = net::reference::run(m, samples, 20);
    REQUIRE(values);
    const auto real = [&](std::size_t v, std::size_t i) {
        return ((*values)[v][i] - m.values[v].zero_point) * double{m.values[v].scale};
    };
    for (std::size_t i = 0; i < 40; ++i)
        CHECK(real(3, i) == doctest::Approx(real(1, i) + std::max(real(1, i), 0.0)).epsilon(0.02));
}

TEST_CASE("import: calibration without data is refused") {
    const whole w;
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, w.samples.size() - 1}) {
        const auto done = try_import(w.c, w.text, {.samples = std::span(w.samples).first(size)});
        REQUIRE_FALSE(done.network);
        CHECK(std::string(done.network.error().argument) == "samples");
        CHECK(done.where.find("sample images of 108 bytes") != std::string::npos);
    }
    for (const int bits : {0, 1, 9})
        CHECK(std::string(try_import(w.c, w.text, {.samples = w.samples, .bits = bits})
                              .network.error()
                              .argument) == "bits");
    auto text = w.text;
    text.insert(text.find('\n'), " bits=7");
    const auto done = try_import(w.c, text, {.samples = w.samples});
    CHECK(done.where.find("larger than the input's bits") != std::string::npos);
}

TEST_CASE("import: tensors that are missing, left over, of another shape or not finite") {
    const auto erased = [](const char* name) {
        whole w;
        CHECK(w.c.file.tensors.erase(name) == 1);
        return w;
    };
    erased("second.weight").refused(errc::foreign, "line 6 (second): weight (no such tensor)");
    erased("norm1.running_var")
        .refused(errc::foreign, "line 7 (norm1): there is no tensor running_var");

    const auto added = [](const char* name, std::vector<std::size_t> shape,
                          const std::vector<float>& values) {
        whole w;
        w.c.put(name, std::move(shape), values);
        return w;
    };
    added("third.weight", {1}, {1}).refused(errc::foreign, "uses the tensor third.weight");
    added("second.weight_mask", {1}, {1}).refused(errc::foreign, "the tensor second.weight_mask");
    const auto counted = added("norm0.num_batches_tracked", {}, {1});
    CHECK(try_import(counted.c, counted.text, {.samples = counted.samples}).network);

    const std::vector<float> zeros(8 * 72, 0);
    added("second.weight", {8, 9, 3, 3}, std::vector<float>(8 * 81))
        .refused(errc::shape_mismatch, "line 6 (second): weight");
    added("second.weight", {3, 3, 8, 8}, zeros)
        .refused(errc::shape_mismatch, "line 6 (second): weight");
    added("second.weight", {8, 3, 3, 8}, zeros)
        .refused(errc::shape_mismatch, "line 6 (second): weight");
    added("fc.bias", {9}, std::vector<float>(9)).refused(errc::shape_mismatch, "(fc): bias");
    added("norm0.running_mean", {7}, std::vector<float>(7))
        .refused(errc::shape_mismatch, "line 3 (norm0): running_mean");

    const auto spoiled = [](const char* name, float value) {
        whole w;
        auto values = w.c[name];
        values[5] = value;
        w.c.put(name, w.c.file.tensors.at(name).shape, values);
        return w;
    };
    for (const float value : {test::not_a_number, test::infinity, -test::infinity}) {
        spoiled("first.weight", value).refused(errc::not_finite, "line 2 (first): weight[5]");
        spoiled("fc.bias", value).refused(errc::not_finite, "line 11 (fc): bias[5]");
        spoiled("norm1.bias", value).refused(errc::not_finite, "line 7 (norm1): channel 5");
    }
    spoiled("norm1.running_var", -3).refused(errc::not_finite, "line 7 (norm1): channel 5");
}

TEST_CASE("import: 5-bit rows whose sums could overflow are refused, at K = 4608") {
    constexpr std::size_t columns = 4608;
    const std::vector<std::uint8_t> bright(512 * 9, 255);
    const auto import_row = [&](std::size_t large, std::size_t ones) {
        std::vector<float> w(2 * columns, 0);
        w[0] = 1; // a row that fits
        w[1] = 16384;
        for (std::size_t k = 0; k < large + ones; ++k)
            w[columns + k] = k < large ? 16384.0f : 1.0f;
        checkpoint c;
        c.put("c.weight", {2, 512, 3, 3}, w);
        return try_import(c, "input 3 3 512\nconv c 512 2 kernel=3\n", {.samples = bright});
    };
    // floor((2^31 − 1) / 255) = 514·2^14 + 128.
    for (const auto& [large, ones] :
         {std::pair<std::size_t, std::size_t>{514, 129}, {515, 0}, {4608, 0}}) {
        const auto done = import_row(large, ones);
        REQUIRE_FALSE(done.network);
        CHECK(done.network.error().code == errc::depth_exceeded);
        CHECK(done.network.error().index == 1);
        CHECK(done.where.find("line 2 (c): row 1 has a sum of |w| of " +
                              std::to_string(16384 * large + ones)) == 0);
    }
    const auto fits = import_row(514, 128);
    REQUIRE_MESSAGE(fits.network, fits.where);
    CHECK(fits.network->report[0].format == "shift5");
    const auto p = runtime::prepare(fits.network->model);
    REQUIRE_MESSAGE(p, p.error().message());
    std::vector<std::int32_t> y(2);
    REQUIRE(p->run({bright, 1, 3, 3, 512}, std::span(y)));
    CHECK(y == std::vector<std::int32_t>{16385 * 255, 8421504 * 255});
}

TEST_CASE("import: the report's numbers are those of a direct computation") {
    folded f;
    const auto imported = [&](const std::string& format) {
        auto text = f.text;
        text.insert(text.find("kernel=1"), "format=" + format + " ");
        return import_it(f.c, text, {.samples = f.samples});
    };
    const auto exact = imported("shift3");
    const auto w = f.c["c.weight"];
    const importing::layer_report& r = exact.report[0];
    CHECK(r.name == "c");
    CHECK(r.format == "shift3");
    CHECK(r.method == "kept exactly");
    CHECK(r.weights == w.size());
    CHECK(r.zeros == static_cast<std::size_t>(std::count(w.begin(), w.end(), 0.0f)));
    CHECK(r.least_scale == 0.125f / 0.25f); // the deviation is in the weights
    CHECK(r.largest_scale == r.least_scale);
    CHECK(r.weight_error == 0);
    CHECK(r.bits == 8);
    CHECK(r.scale == double{exact.model.output().scale});

    f.c.put("c.weight", {f.out, f.in, 1, 1}, reals_at_random(w.size(), f.random));
    const auto given = f.c["c.weight"];
    const importing::layer_report rounded = imported("int8").report[0];
    std::size_t zeros = 0;
    double least = 1e30, largest = 0;
    double wrong = 0, all = 0;
    for (std::size_t m = 0; m < f.out; ++m) {
        double top = 0;
        for (std::size_t k = 0; k < f.in; ++k)
            top = std::max(top, std::fabs(double{given[m * f.in + k]}));
        least = std::min(least, top / 127 / 0.25);
        largest = std::max(largest, top / 127 / 0.25);
        for (std::size_t k = 0; k < f.in; ++k) {
            const double x = double{given[m * f.in + k]}, q = std::nearbyint(x / top * 127);
            zeros += q == 0;
            wrong += std::pow(x - q * top / 127, 2);
            all += x * x;
        }
    }
    CHECK(rounded.method == "rounded");
    CHECK(rounded.zeros == zeros);
    CHECK(rounded.least_scale == near(least));
    CHECK(rounded.largest_scale == near(largest));
    CHECK(rounded.weight_error == near(std::sqrt(wrong / all)));
    CHECK(rounded.weight_error > 0);
}

TEST_CASE(
    "import: the step of activations is the best of those that cover a share of their range") {
    const folded f;
    std::vector<double> y;
    for (std::size_t i = 0; i < f.count * f.out; ++i)
        y.push_back(f.wanted(i / f.out, i % f.out));
    const double low = *std::min_element(y.begin(), y.end()),
                 width = *std::max_element(y.begin(), y.end()) - low;
    const auto error_of = [&](double step, int zero_point, int top) {
        double wrong = 0, all = 0;
        for (const double x : y) {
            const double q =
                std::clamp(std::nearbyint(x / step), double(-zero_point), double(top - zero_point));
            wrong += std::pow(x - q * step, 2);
            all += x * x;
        }
        return std::sqrt(wrong / all);
    };
    for (const int bits : {8, 6, 4, 2}) {
        CAPTURE(bits);
        const auto imported = import_it(f.c, f.text, {.samples = f.samples, .bits = bits});
        const net::value_info& v = imported.model.output();
        double least = 1e30, whole = 0;
        for (const double share : {0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0}) {
            whole = error_of(width * share / v.top(), v.zero_point, v.top());
            least = std::min(least, whole);
        }
        CHECK(v.zero_point == std::lround(-low / width * v.top()));
        CHECK(imported.report[0].activation_error == near(least));
        CHECK(error_of(double{v.scale}, v.zero_point, v.top()) == near(least));
        CHECK((bits > 2 || least < 0.95 * whole)); // so that more than the range decides
    }
}

TEST_CASE("import: bits of activations per layer, and kernels that equal the definition") {
    const whole w;
    const auto imported = import_it(w.c, w.text, {.samples = w.samples});
    const net::model& m = imported.model;
    std::vector<int> bits, reported;
    for (const auto& v : m.values)
        bits.push_back(v.bits);
    for (const auto& r : imported.report)
        reported.push_back(r.bits);
    CHECK(bits == std::vector<int>{8, 6, 6, 4, 8, 8}); // the pooling has its input's
    CHECK(reported == std::vector<int>(bits.begin() + 1, bits.end()));
    const auto values = net::reference::run(m, w.samples, w.count);
    REQUIRE(values);
    for (std::size_t i = 0; i + 1 < m.layers.size(); ++i)
        for (const std::int32_t q : (*values)[i + 1]) {
            REQUIRE(q >= 0);
            REQUIRE(q <= m.values[i + 1].top());
        }
    const auto p = runtime::prepare(m);
    REQUIRE_MESSAGE(p, p.error().message());
    std::vector<std::int32_t> y(w.count * 10);
    REQUIRE(p->run({w.samples, w.count, 6, 6, 3}, std::span(y)));
    CHECK(y == values->back());
}

TEST_CASE("import: biases make up for the mean of what rounded weights lose") {
    test::random random{8};
    constexpr std::size_t in = 6, hidden = 16, out = 10, count = 200;
    const std::string text = "input 1 1 6\n"
                             "conv a 6 16 kernel=1\n"
                             "relu\n"
                             "conv b 16 10 kernel=1 groups=2 format=shift2\n"
                             "linear fc 10 10 format=float\n";
    checkpoint c;
    c.put("a.weight", {hidden, in, 1, 1}, shifts_at_random(hidden * in, 0.25f, random));
    c.put("b.weight", {out, hidden / 2, 1, 1}, reals_at_random(out * hidden / 2, random));
    std::vector<float> identity(out * out, 0.0f);
    for (std::size_t k = 0; k < out; ++k)
        identity[k * (out + 1)] = 1;
    c.put("fc.weight", {out, out}, identity);
    const auto samples = bytes_at_random(count * in, random);
    const auto m = import_it(c, text, {.samples = samples}).model;
    const auto got = runtime::prepare(m);
    REQUIRE(got);
    std::vector<float> y(count * out);
    REQUIRE(got->run({samples, count, 1, 1, in}, std::span(y)));
    const auto wanted = test::float_values(c.file, *importing::parse(text), samples, 4);
    double spread = 0;
    for (std::size_t k = 0; k < out; ++k) {
        double lost = 0;
        for (std::size_t i = k; i < y.size(); i += out) {
            lost += (double{wanted[i]} - double{y[i]}) / count;
            spread = std::max(spread, std::fabs(double{wanted[i]} - double{y[i]}));
        }
        CHECK(std::fabs(lost) < 0.01);
    }
    CHECK(spread > 0.1); // of single outputs, whose weights are of two bits
}

TEST_CASE("import: a last layer in float is the float layer of the activations before it") {
    const whole w;
    const auto imported = import_it(w.c, w.text, {.samples = w.samples, .float_last = true});
    const net::model& m = imported.model;
    CHECK(m.output().element == net::element_type::float32);
    CHECK(imported.report.back().format == "float");
    CHECK(imported.report.back().weight_error == 0);
    const auto p = runtime::prepare(m);
    REQUIRE_MESSAGE(p, p.error().message());
    std::vector<float> y(w.count * 10);
    REQUIRE(p->run({w.samples, w.count, 6, 6, 3}, std::span(y)));
    const auto values = net::reference::run(m, w.samples, w.count);
    REQUIRE(values);
    const net::value_info& v = m.values[5 - 1];
    const auto weights = w.c["fc.weight"], bias = w.c["fc.bias"];
    for (std::size_t i = 0; i < y.size(); ++i) {
        double sum = double{bias[i % 10]};
        for (std::size_t k = 0; k < 8; ++k)
            sum += double{weights[i % 10 * 8 + k]} * ((*values)[4][i / 10 * 8 + k] - v.zero_point) *
                   double{v.scale};
        CHECK(y[i] == doctest::Approx(sum).epsilon(1e-5));
    }
    auto text = w.text;
    text += "relu\n";
    const auto refused = try_import(w.c, text, {.samples = w.samples, .float_last = true});
    REQUIRE_FALSE(refused.network);
    CHECK(refused.where.find("only a 'linear' that is the last line") != std::string::npos);
}

TEST_CASE("import: a float network of one layer is the given one, image order and means included") {
    test::random r(5);
    checkpoint c;
    c.put("fc.weight", {4, 18}, reals_at_random(72, r)); // [out][channel][row][column]
    c.put("fc.bias", {4}, reals_at_random(4, r));
    const auto x = bytes_at_random(3 * 18, r);
    const auto m = import_it(c, "input 3 3 2 mean=0.5,0.3 std=0.2,0.4\nflatten\nlinear fc 18 4\n",
                             {.samples = x, .float_last = true})
                       .model;
    const auto p = runtime::prepare(m);
    REQUIRE_MESSAGE(p, p.error().message());
    std::vector<float> y(3 * 4);
    REQUIRE(p->run({x, 3, 3, 3, 2}, std::span(y)));
    const auto weights = c["fc.weight"], bias = c["fc.bias"];
    for (std::size_t i = 0; i < y.size(); ++i) {
        double sum = double{bias[i % 4]};
        for (std::size_t k = 0; k < 18; ++k) {
            const double pixel = x[i / 4 * 18 + k % 9 * 2 + k / 9] / 255.0;
            sum += double{weights[i % 4 * 18 + k]} *
                   (k < 9 ? (pixel - 0.5) / 0.2 : (pixel - 0.3) / 0.4);
        }
        CHECK(std::fabs(double{y[i]} - sum) < 1e-4);
    }
}
