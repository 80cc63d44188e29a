// The signal-to-noise ratio that formats keep of real weights, one line of JSON for each format,
// group, kind of scale and kind of weights.
//
//   bench_pack_quality [NAME=FILE:COLUMNS]…
//
// beside Gaussian and heavy-tailed weights (Student's t with 4 degrees of freedom), those in files
// of float32.

#include <s3/pack/quantize.hpp>

#include "../support/data.hpp"

#include <cmath>
#include <cstdio>
#include <fstream>
#include <numbers>
#include <string>
#include <vector>

namespace {

using namespace s3;
using formats = format_list<shift2, shift3, shift4, dense2, dense3, dense4, integer_format<2>,
                            integer_format<3>, int4_weights, int8_weights>;

struct matrix {
    std::string name;
    std::size_t columns;
    std::vector<float> weights;
};

class distribution {
public:
    [[nodiscard]] double gaussian() {
        return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * std::numbers::pi * uniform());
    }
    [[nodiscard]] double student4() {
        const double z =
            gaussian(); // over √(χ²/4), whose 4 degrees of freedom are two exponentials
        return z / std::sqrt(-0.5 * std::log(uniform() * uniform()));
    }

private:
    /// In (0, 1].
    [[nodiscard]] double uniform() { return (static_cast<double>(bits_() >> 11) + 1) * 0x1p-53; }
    bench::random_bits bits_;
};

/// 10·log10 of the weights' squares over those of what rounding lost.
template <weight_format F>
double decibels(const packed_matrix<F>& p, const std::vector<float>& w) {
    double signal = 0, noise = 0;
    for (std::size_t r = 0, i = 0; r < p.rows(); ++r)
        for (std::size_t c = 0; c < p.columns(); ++c, ++i) {
            const std::size_t group = p.group() == 0 ? 0 : c / p.group();
            const double real = w[i], lost = real - p.value(r, c) * double{p.real_scale(r, group)};
            signal += real * real;
            noise += lost * lost;
        }
    return 10 * std::log10(signal / noise);
}

template <weight_format F>
void measure(const matrix& m, std::size_t group, scale_kind kind, scale_type stored) {
    const std::size_t rows = m.weights.size() / m.columns;
    const auto p =
        bench::require(quantize<F>(m.weights, rows, m.columns,
                                   {.granularity = group == 0 ? scale_per::row : scale_per::group,
                                    .scale = kind,
                                    .group = group,
                                    .stored = stored}));
    const double scale_bits = 8.0 * static_cast<double>(layout::bytes_of(p.stored()));
    std::printf(R"({"weights": "%s", "format": "%s", "group": %zu, "scales": "%s", )"
                R"("bits": %.4g, "decibels": %.2f})"
                "\n",
                m.name.c_str(), F::name, group,
                kind == scale_kind::power_of_two     ? "2^p"
                : p.stored() == scale_type::binary32 ? "binary32"
                : p.stored() == scale_type::binary16 ? "binary16"
                                                     : "bfloat16",
                F::bits + scale_bits / static_cast<double>(group == 0 ? m.columns : group),
                decibels(p, m.weights));
}

void measure(const matrix& m) {
    formats::each([&]<weight_format F>() {
        for (const std::size_t group : {0u, 256u, 128u, 64u, 32u})
            for (const auto& [kind, stored] :
                 {std::pair(scale_kind::real, scale_type::binary16),
                  std::pair(scale_kind::real, scale_type::bfloat16),
                  std::pair(scale_kind::power_of_two, scale_type::binary16)})
                if (group != 0 || stored == scale_type::binary16) // rows have binary32
                    measure<F>(m, group, kind, stored);
    });
}

matrix drawn(const char* name, double (distribution::*draw)()) {
    matrix m{name, 4096, std::vector<float>(std::size_t{256} * 4096)};
    distribution d;
    for (float& w : m.weights)
        w = static_cast<float>((d.*draw)() * 0.02);
    return m;
}

matrix read(const std::string& argument) {
    const std::size_t equals = argument.find('='), colon = argument.rfind(':');
    if (equals == std::string::npos || colon == std::string::npos || colon < equals)
        bench::fail("an argument is not NAME=FILE:COLUMNS");
    matrix m{argument.substr(0, equals), std::stoul(argument.substr(colon + 1)), {}};
    std::ifstream file(argument.substr(equals + 1, colon - equals - 1), std::ios::binary);
    for (float w; file.read(reinterpret_cast<char*>(&w), sizeof w);)
        m.weights.push_back(w);
    if (m.weights.empty() || m.columns == 0 || m.weights.size() % m.columns != 0)
        bench::fail("a file of weights is empty, or has no whole number of rows");
    return m;
}

} // namespace

int main(int count, char** arguments) {
    measure(drawn("Gaussian", &distribution::gaussian));
    measure(drawn("heavy-tailed", &distribution::student4));
    for (int i = 1; i < count; ++i)
        measure(read(arguments[i]));
}
