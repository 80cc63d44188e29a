// Each operation of a description that has no weights becomes the integer layer that computes it,
// to a rounding; what does not fit is refused by its line.

#include <s3/net/reference.hpp>

#include "../support/checkpoint.hpp"

#include <doctest/doctest.h>

using namespace s3;

namespace {

/// An imported description, and its values as real numbers.
struct outcome {
    net::model model;
    std::vector<std::vector<double>> real;
};
outcome import_it(const std::string& text, const test::checkpoint& c,
                  const std::vector<std::uint8_t>& x) {
    const auto d = importing::parse(text);
    REQUIRE_MESSAGE(d, d.error().message());
    auto imported = importing::import_network(c.file, *d, {.samples = x});
    REQUIRE_MESSAGE(imported, imported.error().message());
    outcome o{std::move(imported->model), {}};
    const auto values = net::reference::run(o.model, x, x.size() / o.model.input().size());
    REQUIRE(values);
    for (std::size_t v = 0; v < values->size(); ++v) {
        o.real.emplace_back();
        for (const std::int32_t q : (*values)[v])
            o.real[v].push_back((q - o.model.values[v].zero_point) *
                                double{o.model.values[v].scale});
    }
    return o;
}

/// "line N … why" of a description that is refused.
std::string refused(const std::string& text, const test::checkpoint& c = {}) {
    const auto d = importing::parse(text);
    if (!d)
        return d.error().message();
    const std::vector<std::uint8_t> x(d->height * d->width * d->channels);
    const auto imported = importing::import_network(c.file, *d, {.samples = x});
    return imported ? "imported" : imported.error().message();
}
bool has(const std::string& text, const std::string& part) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
    return text.find(part) != std::string::npos;
}

/// Every byte, as a number from −8 to 7.9375, in a value that a convolution computes.
const std::string ramp = "input 1 256 1 scale=1/16\nconv c 1 1 kernel=1\n";
struct ramp_checkpoint : test::checkpoint {
    std::vector<std::uint8_t> x;
    ramp_checkpoint() {
        put("c.weight", {1, 1, 1, 1}, {1});
        put("c.bias", {1}, {-8});
        for (int i = 0; i < 256; ++i)
            x.push_back(static_cast<std::uint8_t>(i));
    }
};

/// Checks a function that changes by at most `slope` times what its input does.
template <class Function>
void check_function(const std::string& line, double slope, Function&& f) {
    CAPTURE(line);
    const ramp_checkpoint c;
    const auto o = import_it(ramp + line + "\n", c, c.x);
    REQUIRE(o.model.layers.size() == 2);
    CHECK(std::holds_alternative<net::table>(o.model.layers[1].operation));
    const net::value_info &in = o.model.values[1], &out = o.model.values[2];
    const double top = (out.top() - out.zero_point) * double{out.scale},
                 bottom = -out.zero_point * double{out.scale};
    double most = 0, least = 0;
    for (std::size_t i = 0; i < 256; ++i) {
        const double wanted = f(static_cast<double>(i) / 16 - 8);
        const double allowed = 0.501 * double{out.scale} + slope * 0.501 * double{in.scale} + 1e-3;
        CHECK(std::fabs(o.real[2][i] - std::clamp(wanted, bottom, top)) <= allowed);
        most = std::max(most, wanted);
        least = std::min(least, wanted);
    }
    CHECK(top > 0.8 * most); // little saturates
    CHECK(bottom <= 0.8 * least);
    CHECK(double{out.scale} < 1.1 * (most - least) / 255);
}

} // namespace

TEST_CASE("import: functions become tables") {
    const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
    check_function("sigmoid", 0.25, sigmoid);
    check_function("tanh", 1, [](double x) { return std::tanh(x); });
    check_function("hardsigmoid", 1.0 / 6,
                   [](double x) { return std::clamp(x + 3, 0.0, 6.0) / 6; });
    check_function("hardswish", 1.5, [](double x) { return x * std::clamp(x + 3, 0.0, 6.0) / 6; });
    check_function("silu", 1.1, [&](double x) { return x * sigmoid(x); });
    check_function("gelu", 1.13, [](double x) { return x * std::erfc(-x / std::sqrt(2.0)) / 2; });
    check_function("elu alpha=0.5", 1, [](double x) { return x > 0 ? x : (std::exp(x) - 1) / 2; });
    check_function("leakyrelu alpha=1/8", 1, [](double x) { return std::max(x, x / 8); });
}

TEST_CASE("import: a function's input covers only where the function changes") {
    const ramp_checkpoint c;
    const auto scale_before = [&](const std::string& lines) {
        return double{import_it(ramp + lines, c, c.x).model.values[1].scale};
    };
    CHECK(scale_before("hardsigmoid\n") <= 6.01 / 255);
    CHECK(scale_before("hardswish\n") <= 10.95 / 255);
    CHECK(scale_before("hardsigmoid s\nadd c\n") > 15.0 / 255 * 0.8); // the sum needs all of it
}

TEST_CASE("import: limits are a convolution's own, or a table where it has none") {
    const ramp_checkpoint c;
    for (const std::string line : {"relu6", "clip low=0 high=6", "clip low=-2 high=3"}) {
        CAPTURE(line);
        const double low = line == "clip low=-2 high=3" ? -2 : 0, high = low < 0 ? 3 : 6;
        const auto own = import_it(ramp + line + "\n", c, c.x);
        const auto table = import_it(ramp + "maxpool kernel=1\n" + line + "\n", c, c.x);
        REQUIRE(own.model.layers.size() == 1);
        REQUIRE(table.model.layers.size() == 3);
        for (std::size_t i = 0; i < 256; ++i) {
            const double wanted = std::clamp(static_cast<double>(i) / 16 - 8, low, high);
            CHECK(std::fabs(own.real[1][i] - wanted) <= 0.04);
            CHECK(std::fabs(table.real[3][i] - wanted) <= 0.07);
        }
    }
}

TEST_CASE("import: products, of one shape or with a number per channel, in either order") {
    test::random r(3);
    test::checkpoint c;
    c.put("a.weight", {3, 3, 1, 1}, test::shifts_at_random(9, 0.25f, r));
    c.put("a.bias", {3}, {-0.25f, 0, 0.5f});
    const auto x = test::bytes_at_random(4 * 3 * 2 * 5, r);
    const std::string text = "input 2 5 3\nconv a 3 3 kernel=1\nglobalmean m\n";
    for (const std::string line : {"mul a name=p", "mul m from=a name=p", "mul a from=a name=p"}) {
        CAPTURE(line);
        const auto o = import_it(text + line + "\nadd m from=m\n", c, x);
        const net::value_info& out = o.model.values[3];
        REQUIRE(out.size() == 30);
        const bool square = line == "mul a from=a name=p";
        double largest = 0;
        for (std::size_t i = 0; i < o.real[3].size(); ++i) {
            const double other = square ? o.real[1][i] : o.real[2][i / 30 * 3 + i % 3];
            const double wanted = o.real[1][i] * other;
            const double top = (out.top() - out.zero_point) * double{out.scale},
                         bottom = -out.zero_point * double{out.scale};
            CHECK(std::fabs(o.real[3][i] - std::clamp(wanted, bottom, top)) <=
                  0.501 * double{out.scale});
            largest = std::max(largest, std::fabs(wanted));
        }
        CHECK(std::max(out.top() - out.zero_point, out.zero_point) * double{out.scale} >
              0.6 * largest);
    }
    const auto limited = import_it(text + "mul a\nrelu\n", c, x);
    CHECK(limited.model.layers.size() == 3);
    const auto& product = std::get<net::multiplication>(limited.model.layers[2].operation);
    CHECK(product.clamp_low == limited.model.output().zero_point);
}

TEST_CASE("import: concatenations bring each input to one scale, in the order of the text") {
    test::random r(5);
    test::checkpoint c;
    c.put("a.weight", {4, 3, 1, 1}, test::shifts_at_random(12, 0.5f, r));
    c.put("b.weight", {2, 3, 1, 1}, test::shifts_at_random(6, 0.125f, r));
    c.put("b.bias", {2}, {0.25f, -0.5f});
    const auto x = test::bytes_at_random(5 * 3 * 2 * 3, r);
    const auto o = import_it("input 2 3 3\nconv a 3 4 kernel=1\nconv b 3 2 kernel=1 from=input\n"
                             "concat a input b\n",
                             c, x);
    const net::value_info& out = o.model.output();
    REQUIRE(out.channels == 2 + 4 + 3 + 2);
    const double top = (out.top() - out.zero_point) * double{out.scale},
                 bottom = -out.zero_point * double{out.scale};
    for (std::size_t p = 0; p < 30; ++p)
        for (std::size_t k = 0; k < 11; ++k) {
            const double wanted = k < 2   ? o.real[2][p * 2 + k]
                                  : k < 6 ? o.real[1][p * 4 + k - 2]
                                  : k < 9 ? o.real[0][p * 3 + k - 6]
                                          : o.real[2][p * 2 + k - 9];
            CHECK(std::fabs(o.real[3][p * 11 + k] - std::clamp(wanted, bottom, top)) <=
                  0.501 * double{out.scale});
        }
}

TEST_CASE("import: what a concatenation alone reads has its scale, and is copied") {
    test::random r(5);
    test::checkpoint c;
    for (const char* name : {"a.weight", "b.weight", "c.weight", "d.weight"})
        c.put(name, {2, 2, 1, 1}, test::shifts_at_random(4, name[0] == 'd' ? 0.5f : 0.125f, r));
    const auto x = test::bytes_at_random(5 * 2 * 4 * 4, r);
    const std::string start = "input 4 4 2\nconv a 2 2 kernel=1\nconv b 2 2 kernel=1 from=input\n"
                              "maxpool kernel=2\nupsample large\nconv c 2 2 kernel=1 bits=6 "
                              "from=input\nconv d 2 2 kernel=1 from=input\nrelu d1\n";
    const auto copied = [&](const std::string& rest) { // of d1, a, large and c
        const auto o = import_it(start + rest, c, x);
        const auto& whole = std::get<net::concatenation>(o.model.layers[6].operation);
        std::string each;
        for (const auto& from : whole.inputs)
            each += from.scale == 1 &&
                            o.model.values[from.value].zero_point == o.model.values[7].zero_point
                        ? "1"
                        : "0";
        return each;
    };
    CHECK(copied("concat a large c from=d1\n") == "1110"); // six bits are not eight
    CHECK(copied("concat a large c from=d1 name=all\nadd all\n") == "1110");
    CHECK(copied("concat a large c from=d1 name=all\nmaxpool kernel=1 from=a\n") == "1010");
    CHECK(copied("concat a large c from=d1 name=all\nmaxpool kernel=1 from=b\n") == "1100");
    CHECK(copied("concat a large c from=d1 name=all\nadd d1 from=d1\n") == "0110");
}

TEST_CASE("import: upsampling repeats pixels, of its input's scale") {
    test::random r(6);
    test::checkpoint c;
    c.put("a.weight", {2, 1, 1, 1}, {1, -2});
    const auto x = test::bytes_at_random(2 * 6, r);
    const auto o = import_it("input 2 3 1\nconv a 1 2 kernel=1\nupsample up factor=3x2\n", c, x);
    const net::value_info &in = o.model.values[1], &out = o.model.values[2];
    CHECK(out.scale == in.scale);
    CHECK(out.zero_point == in.zero_point);
    REQUIRE(out.height == 6);
    REQUIRE(out.width == 6);
    for (std::size_t i = 0; i < o.real[2].size(); ++i) {
        const std::size_t n = i / 72, h = i / 12 % 6, w = i / 2 % 6;
        CHECK(o.real[2][i] == o.real[1][n * 12 + (h / 3 * 3 + w / 2) * 2 + i % 2]);
    }
}

TEST_CASE("import: borders of zeros, also of an input with a mean and a deviation") {
    test::random r(9);
    test::checkpoint c;
    const std::string start = "input 2 3 2 mean=0.5,0.25 std=0.5\n";
    c.put("a.weight", {3, 2, 2, 2}, test::shifts_at_random(24, 0.25f, r));
    c.put("a.bias", {3}, {1, -1, 0.5f});
    const auto x = test::bytes_at_random(4 * 12, r);
    const auto symmetric = import_it(start + "conv a 2 3 kernel=2 padding=1x2\n", c, x);
    const auto padded = import_it(start + "pad before=1x2 after=1x2\nconv a 2 3 kernel=2\n", c, x);
    CHECK(padded.model.values[1].height == 4);
    CHECK(padded.real[2] == symmetric.real[1]);

    const auto o = import_it(start + "conv a 2 3 kernel=2\npad p before=1x0 after=0x2\n", c, x);
    const net::value_info& out = o.model.values[2];
    REQUIRE(out.height == 2);
    REQUIRE(out.width == 4);
    for (std::size_t i = 0; i < o.real[2].size(); ++i) {
        const std::size_t n = i / 24, h = i / 12 % 2, w = i / 3 % 4;
        const bool inside = h >= 1 && w < 2;
        CHECK(o.real[2][i] == (inside ? o.real[1][n * 6 + w * 3 + i % 3] : 0));
    }
    const auto d = importing::parse("input 5 2\npad before=4\nconv a 2 3 kernel=2\n");
    REQUIRE(d);
    CHECK(d->lines[0].before.width == 4);
    CHECK(d->lines[0].before.height == 0);
}

TEST_CASE("import: sequences have sizes along their length") {
    test::random r(7);
    test::checkpoint c;
    c.put("a.weight", {4, 2, 3}, test::shifts_at_random(24, 0.25f, r));
    c.put("fc.weight", {3, 20}, test::shifts_at_random(60, 0.25f, r));
    const auto x = test::bytes_at_random(6 * 2 * 8, r);
    const std::string rest = "maxpool kernel=3 stride=2 padding=1\nupsample\nmaxpool kernel=2\n"
                             "upsample factor=2\navgpool kernel=2\nflatten\nlinear fc 20 3\n";
    const std::string conv = "conv a 2 4 kernel=3 stride=1 padding=2 dilation=1\n";
    const auto o = import_it("input 8 2\n" + conv + rest, c, x);
    for (const auto& v : o.model.values) {
        CHECK(v.kind == net::value_kind::sequence);
        CHECK(v.height == 1);
    }
    CHECK(o.model.values[1].width == 10);
    CHECK(o.model.values[2].width == 5);
    CHECK(o.model.values[3].width == 10);
    const auto weights = c["a.weight"];
    for (std::size_t n = 0; n < 6; ++n)
        for (std::size_t t = 0; t < 10; ++t)
            for (std::size_t m = 0; m < 4; ++m) {
                double sum = 0; // [out][in][tap], as PyTorch's Conv1d has it
                for (std::size_t k = 0; k < 3; ++k)
                    for (std::size_t i = 0; i < 2 && t + k >= 2 && t + k - 2 < 8; ++i)
                        sum += double{weights[(m * 2 + i) * 3 + k]} *
                               x[(n * 8 + t + k - 2) * 2 + i] / 255;
                CHECK(std::fabs(o.real[1][(n * 10 + t) * 4 + m] - sum) <=
                      1.5 * double{o.model.values[1].scale});
            }
    c.put("a.weight", {4, 3, 2}, test::shifts_at_random(24, 0.25f, r));
    has(refused("input 8 2\n" + conv + rest, c), "line 2 (a): weight");
}

TEST_CASE("import: a flatten of one pixel changes nothing") {
    test::random r(8);
    test::checkpoint c;
    c.put("a.weight", {4, 2, 1, 1}, test::shifts_at_random(8, 0.25f, r));
    c.put("b.weight", {3, 4}, test::shifts_at_random(12, 0.25f, r));
    const auto x = test::bytes_at_random(2 * 8, r);
    const auto o = import_it("input 2 2 2\nconv a 2 4 kernel=1\nglobalmean\nflatten\nsigmoid\n"
                             "linear b 4 3\n",
                             c, x);
    CHECK(o.model.layers.size() == 4);
    has(refused("input 2 2 2\nconv a 2 4 kernel=1\nflatten\nsigmoid\n"),
        "line 4: after 'flatten' comes 'linear'");
}

TEST_CASE("import: what these lines cannot be is said with the line") {
    const std::string start = "input 4 4 2\nconv a 2 3 kernel=1\n";
    has(refused(start + "mul b\n"), "line 3: no earlier line is named 'b'");
    has(refused(start + "mul\n"), "line 3: 'mul' takes 1 words before its options, not 0");
    has(refused(start + "concat\n"), "line 3: 'concat' takes");
    has(refused(start + "concat a b\n"), "line 3: no earlier line is named 'b'");
    has(refused(start + "mul a name=a\n"), "line 3: 'a' is the name of an earlier line");
    has(refused(start + "mul a name=\n"), "line 3: 'name' is empty");
    has(refused(start + "relu name=x\n"), "line 3: 'relu' has no option 'name'");
    has(refused(start + "upsample factor=0\n"), "line 3: '0' is not a number");
    has(refused(start + "upsample factor=999999999\n"), "line 3: the value is too large");
    has(refused(start + "sigmoid alpha=1\n"), "line 3: 'sigmoid' has no option 'alpha'");
    has(refused(start + "elu alpha=x\n"), "line 3: 'x' is not a number");
    has(refused(start + "clip low=0\n"), "line 3: 'clip' needs low= and high=");
    has(refused(start + "clip low=1 high=1\n"), "line 3: 'low' is not below 'high'");
    has(refused(start + "softmax\n"), "line 3: there is no layer 'softmax'");
    has(refused("input 4 2 1 1\nconv a 1 1 kernel=1\n"), "line 1: 'input' needs");
    has(refused("input 4\nconv a 1 1 kernel=1\n"), "line 1: 'input' needs");
    has(refused(start + "maxpool p kernel=2\nconcat a\n"),
        "line 4: the values have different heights or widths");
    has(refused(start + "maxpool p kernel=2\nmul a\n"), "line 4: the two values have different");
    has(refused(start + "conv c 3 2 kernel=1\nglobalmean\nmul a\n"),
        "line 5: the two values have different shapes, and neither");
    for (const char* line : {"sigmoid", "avgpool kernel=2", "globalmean"})
        for (const char* before : {"", "pad after=2\n", "maxpool kernel=2\n"})
            has(refused("input 4 4 2 mean=0.5\n" + std::string(before) + line + "\n"),
                "this layer cannot read an input with a mean or std");
    has(refused("input 4 4 2 mean=0.5\nmul input\n"), "line 2: this layer cannot read an input");
    has(refused("input 4 4 2 std=0.5\nconv a 2 2 kernel=1\nadd input\n"),
        "line 3: this layer cannot read an input");
    std::string many = start + "concat";
    for (int i = 0; i < 1001; ++i)
        many += " a";
    has(refused(many + "\n"), "line 3: 'concat' takes 1000 words before its options, not 1001");
}

TEST_CASE("import: a given quantizer is the value's own, and nothing after it is fused") {
    const ramp_checkpoint c;
    const auto rounded = [](double real, double scale, int zero, int top) {
        return (std::clamp(std::nearbyint(real / scale) + zero, 0.0, double(top)) - zero) * scale;
    };
    const auto check = [&](const std::string& lines, std::size_t layers, double scale, int zero,
                           int bits, auto&& wanted) {
        CAPTURE(lines);
        const auto o = import_it(ramp + lines, c, c.x);
        REQUIRE(o.model.layers.size() == layers);
        CHECK(o.model.output().element == net::element_type::uint8);
        CHECK(o.model.output().scale == doctest::Approx(scale));
        CHECK(o.model.output().zero_point == zero);
        CHECK(o.model.output().bits == bits);
        for (std::size_t i = 0; i < 256; ++i)
            CHECK(o.real.back()[i] == doctest::Approx(wanted(static_cast<double>(i) / 16 - 8)));
    };
    check("relu scale=0.0311 zero=7\n", 1, 0.0311, 7, 8,
          [&](double x) { return rounded(std::max(x, 0.0), 0.0311, 7, 255); });
    check("relu bits=4 scale=1/4\n", 1, 0.25, 0, 4,
          [&](double x) { return rounded(std::max(x, 0.0), 0.25, 0, 15); });
    const std::string coarse = "input 1 256 1 scale=1/16\nconv c 1 1 kernel=1 scale=0.5 zero=16\n";
    const auto o = import_it(coarse + "relu scale=0.3\n", c, c.x);
    REQUIRE(o.model.layers.size() == 2); // the convolution rounds before the limit does
    for (std::size_t i = 0; i < 256; ++i)
        CHECK(o.real[2][i] == doctest::Approx(rounded(std::max(o.real[1][i], 0.0), 0.3, 0, 255)));
    const std::string exact = "input 1 256 1 scale=1/16\nconv c 1 1 kernel=1 scale=1/16 zero=128\n";
    const auto twice = import_it(exact + "add c scale=1/16 zero=100\n", c, c.x);
    for (std::size_t i = 0; i < 256; ++i)
        CHECK(twice.real[2][i] == rounded(static_cast<double>(i) / 8 - 16, 0.0625, 100, 255));
    has(refused(coarse + "bn n\n", c), "'bn' must follow a conv or linear that nothing else uses");
    has(refused(coarse + "maxpool kernel=1 scale=0.5 zero=15\n", c),
        "line 3: its scale, zero and bits must be those of its input");
    CHECK(refused(coarse + "maxpool kernel=1 scale=0.5 zero=16\n", c) == "imported");
    has(refused(ramp + "relu zero=3\n"), "line 3: 'relu' has no option 'zero'");
    for (const char* wrong :
         {"scale=0", "scale=-1", "scale=1e-50", "scale=1 zero=256", "scale=1 zero=16 bits=4"})
        has(refused(ramp + "relu " + wrong + "\n", c), "line 3: 'scale' must be positive");
    has(refused("input 1 1 1 zero=256\nrelu\n"), "'zero' must be a number that 'bits' allow");
}

TEST_CASE("import: where all quantizers are given no samples are needed, and they change nothing") {
    const ramp_checkpoint c;
    const auto import_from = [&](const std::string& text, const std::vector<std::uint8_t>& x) {
        return importing::import_network(c.file, *importing::parse(text), {.samples = x});
    };
    const std::string given = "input 1 256 1 scale=1/16\nconv c 1 1 kernel=1\n"
                              "relu r scale=0.03\nmaxpool kernel=1\nadd r scale=0.06\n";
    const auto without = import_from(given, {}), with = import_from(given, c.x);
    REQUIRE_MESSAGE(without, without.error().message());
    REQUIRE(with);
    CHECK(without->model.values == with->model.values);
    CHECK(with->report[0].activation_error > 0);
    CHECK(with->report[0].activation_error < 0.01);
    has(import_from(given + "sigmoid\n", {}).error().message(), "calibration needs sample images");
}

TEST_CASE("import: a zero point of the input is the mean of all its channels") {
    test::checkpoint c;
    c.put("c.weight", {1, 2, 3, 3}, {1, 2, 0, 1, 4, 1, 2, 2, 1, 1, 0, 0, 4, 2, 1, 1, 1, 1});
    c.put("c.bias", {1}, {0.25f});
    test::random random{7};
    const auto x = test::bytes_at_random(5 * 4 * 4 * 2, random);
    const std::string conv = "conv c 2 1 kernel=3 padding=1\n";
    const auto zero = import_it("input 4 4 2 scale=1/64 zero=70\n" + conv, c, x);
    const auto mean = import_it("input 4 4 2 scale=1/64 mean=1.09375\n" + conv, c, x);
    CHECK(zero.model.input().zero_point == 70);
    CHECK(zero.real == mean.real);
    const auto both = import_it("input 4 4 2 scale=1/64 zero=50 mean=0.3125\n" + conv, c, x);
    CHECK(both.real == mean.real);
    CHECK(import_it("input 4 4 2 scale=1/64 zero=70\nsigmoid\n", {}, x).model.layers.size() == 1);
}

TEST_CASE("import: layers without names get free ones") {
    test::checkpoint c;
    c.put("add1.weight", {2, 2, 1, 1}, {1, 2, 0, 1});
    const std::vector<std::uint8_t> x{1, 2, 250, 130};
    const auto o = import_it("input 1 1 2\nconv add1 2 2 kernel=1\nadd add1\n", c, x);
    CHECK(o.model.layers[0].name == "add1");
    CHECK(o.model.layers[1].name == "add1_");
}
