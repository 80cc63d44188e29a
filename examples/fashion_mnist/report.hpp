#pragma once
// What the run found: tables on the terminal, main_job.json for machines, and index.html, one
// self-contained page with the same tables and curves.

#include "speed.hpp"
#include "train.hpp"

#include <s3/io/safetensors.hpp>

#include <sstream>

namespace fashion {

struct results {
    history fp32, s3;
    double s3_shift_add = 0; ///< accuracies in percent
    double s3_dot = 0;
    bool logits_identical = false;
    std::size_t weights = 0;
    std::size_t weight_bytes = 0;
    std::array<std::size_t, inner_layers.size()> layer_weights{};
    double shift_add_speed = 0; ///< images per second
    double dot_speed = 0;
    float_speed fp32_speed;
    double seconds = 0;

    [[nodiscard]] std::size_t fp32_weight_bytes() const { return weights * sizeof(float); }
};

namespace text {

[[nodiscard]] inline std::string fixed(double value, int digits) {
    char number[64];
    std::snprintf(number, sizeof number, "%.*f", digits, value);
    return number;
}
[[nodiscard]] inline std::string percent(double value, int digits = 1) {
    return fixed(value, digits) + "%";
}
/// With a comma after each group of three digits.
[[nodiscard]] inline std::string count(double value) {
    std::string digits = fixed(value, 0);
    for (std::size_t at = digits.size(); at > 3;)
        digits.insert(at -= 3, 1, ',');
    return digits;
}

} // namespace text

/// The first row is the head; the first column holds names, the others numbers.
using table = std::vector<std::vector<std::string>>;

[[nodiscard]] inline table outcome_table(const results& r) {
    const auto bytes = [](std::size_t n) { return text::count(static_cast<double>(n)); };
    return {{"network", "test accuracy", "bytes of weights", "images/s"},
            {"fp32, libtorch", text::percent(r.fp32.back().test_accuracy, 2),
             bytes(r.fp32_weight_bytes()), text::count(r.fp32_speed.images_per_second)},
            {"S3 3-bit, float, libtorch", text::percent(r.s3.back().test_accuracy, 2), "", ""},
            {"S3 3-bit, integers, shift_add", text::percent(r.s3_shift_add, 2),
             bytes(r.weight_bytes), text::count(r.shift_add_speed)},
            {"S3 3-bit, integers, dot", text::percent(r.s3_dot, 2), bytes(r.weight_bytes),
             text::count(r.dot_speed)}};
}

[[nodiscard]] inline table layer_table(const results& r) {
    table rows{{"shift layer", "weights", "zeros", "changed sign", "changed sign in fp32"}};
    for (std::size_t i = 0; i < inner_layers.size(); ++i)
        rows.push_back({std::to_string(i + 1) + ": " + std::to_string(inner_layers[i].in_channels) +
                            " to " + std::to_string(inner_layers[i].out_channels),
                        text::count(static_cast<double>(r.layer_weights[i])),
                        text::percent(r.s3.back().zeros[i]),
                        text::percent(r.s3.back().ever_changed[i]),
                        text::percent(r.fp32.back().ever_changed[i])});
    return rows;
}

[[nodiscard]] inline std::string notes(const results& r) {
    std::string lines;
    lines += std::string("The logits of shift_add and dot are ") +
             (r.logits_identical ? "identical, every one of them." : "NOT IDENTICAL.") + "\n";
    lines +=
        "Weights take 1/" +
        text::fixed(
            static_cast<double>(r.fp32_weight_bytes()) / static_cast<double>(r.weight_bytes), 1) +
        " of fp32's bytes (first and last layer: 8 bits, the others: 3).\n";
    lines += "Images per second are those of one thread (" + std::string(s3::arch::native::name) +
             "); batch " + std::to_string(integer_runner::batch) + " in integers, " +
             std::to_string(r.fp32_speed.batch) + " in libtorch, whose norms are folded.\n";
    lines += "\"Changed sign\": the share of weights that had both signs at ends of epochs.\n";
    lines += "The whole run took " + text::fixed(r.seconds, 0) + " s.\n";
    return lines;
}

inline void print(const table& rows) {
    std::vector<std::size_t> width(rows[0].size());
    for (const auto& row : rows)
        for (std::size_t c = 0; c < row.size(); ++c)
            width[c] = std::max(width[c], row[c].size());
    for (const auto& row : rows) {
        std::printf("%-*s", static_cast<int>(width[0]), row[0].c_str());
        for (std::size_t c = 1; c < row.size(); ++c)
            std::printf("  %*s", static_cast<int>(width[c]), row[c].c_str());
        std::printf("\n");
    }
    std::printf("\n");
}

[[nodiscard]] inline std::string json(const results& r) {
    const nlohmann::ordered_json values{
        {"fp32", r.fp32.back().test_accuracy},
        {"s3_float", r.s3.back().test_accuracy},
        {"s3_shift_add", r.s3_shift_add},
        {"s3_dot", r.s3_dot},
        {"logits_identical", r.logits_identical},
        {"weight_bytes", r.weight_bytes},
        {"fp32_weight_bytes", r.fp32_weight_bytes()},
        {"images_per_second", std::max(r.shift_add_speed, r.dot_speed)},
        {"fp32_images_per_second", r.fp32_speed.images_per_second},
        {"seconds", r.seconds}};
    return values.dump(2) + "\n";
}

[[nodiscard]] inline std::string html(const table& rows) {
    std::string out = "<table>\n";
    for (std::size_t i = 0; i < rows.size(); ++i) {
        out += "<tr>";
        for (const auto& cell : rows[i])
            out += i == 0 ? "<th>" + cell + "</th>" : "<td>" + cell + "</td>";
        out += "</tr>\n";
    }
    return out + "</table>\n";
}

/// One line in a chart; a value per epoch.
struct curve {
    std::string name;
    std::string colour;
    bool dashed = false;
    std::vector<double> values;
};

/// A chart as inline SVG, with a legend below.
[[nodiscard]] inline std::string chart(const std::string& title, const std::vector<curve>& curves) {
    constexpr double left = 44, top = 10, width = 330, height = 180, bottom = 22;
    double low = std::numeric_limits<double>::infinity(), high = -low;
    std::size_t epochs = 1;
    for (const auto& c : curves)
        for (std::size_t i = 0; i < c.values.size(); ++i) {
            low = std::min(low, c.values[i]);
            high = std::max(high, c.values[i]);
            epochs = std::max(epochs, i + 1);
        }
    // Grid lines at 1, 2 or 5 times a power of ten, about four of them.
    double grid = std::pow(10, std::floor(std::log10(std::max(high - low, 1e-3) / 4)));
    for (const double factor : {2.0, 2.5, 2.0})
        if ((high - low) / grid > 5)
            grid *= factor;
    low = std::floor(low / grid) * grid;
    high = std::max(std::ceil(high / grid) * grid, low + grid);
    const auto x = [&](std::size_t epoch) {
        return left +
               (epochs == 1 ? 0.5 : static_cast<double>(epoch) / static_cast<double>(epochs - 1)) *
                   width;
    };
    const auto y = [&](double value) { return top + (high - value) / (high - low) * height; };

    std::ostringstream svg, legend;
    svg << "<figure><figcaption>" << title << "</figcaption>\n<svg viewBox='0 0 "
        << left + width + 10 << ' ' << top + height + bottom << "'>\n";
    const int lines = static_cast<int>(std::lround((high - low) / grid));
    for (int i = 0; i <= lines; ++i) {
        const double value = low + grid * i;
        svg << "<path class='grid' d='M" << left << ' ' << y(value) << "h" << width
            << "'/><text x='" << left - 6 << "' y='" << y(value) + 4 << "' text-anchor='end'>"
            << text::fixed(value, grid < 0.1 ? 2
                                  : grid < 1 ? 1
                                             : 0)
            << "</text>\n";
    }
    for (std::size_t e = 0; e < epochs; e += (epochs + 9) / 10)
        svg << "<text x='" << x(e) << "' y='" << top + height + 17 << "' text-anchor='middle'>"
            << e + 1 << "</text>\n";
    for (const auto& c : curves) {
        svg << "<path class='curve' stroke='" << c.colour << "'"
            << (c.dashed ? " stroke-dasharray='5 4'" : "") << " d='";
        for (std::size_t i = 0; i < c.values.size(); ++i)
            svg << (i == 0 ? 'M' : 'L') << x(i) << ' ' << y(c.values[i]);
        svg << "'/>\n";
        legend << "<span style='color:" << c.colour << "'>" << (c.dashed ? "┄┄ " : "━━ ") << c.name
               << "</span> ";
    }
    svg << "</svg>\n<div>" << legend.str() << "</div></figure>\n";
    return svg.str();
}

/// `member` of every epoch.
template <class Member>
[[nodiscard]] std::vector<double> series(const history& past, Member&& member) {
    std::vector<double> values;
    for (const auto& epoch : past)
        values.push_back(member(epoch));
    return values;
}

[[nodiscard]] inline std::string page(const results& r) {
    const std::string grey = "#7a869a", orange = "#d9631e";
    const std::array<std::string, 4> colours{"#d9631e", "#b3372f", "#2b7a78", "#3d5a98"};
    const auto loss = [](const epoch_record& e) { return e.loss; };
    const auto test = [](const epoch_record& e) { return e.test_accuracy; };
    std::vector<curve> zeros, changes;
    for (std::size_t i = 0; i < inner_layers.size(); ++i) {
        const auto name = "layer " + std::to_string(i + 1);
        const auto change = [i](const epoch_record& e) { return e.sign_changes[i]; };
        zeros.push_back({name, colours[i], false,
                         series(r.s3, [i](const epoch_record& e) { return e.zeros[i]; })});
        changes.push_back({name, colours[i], false, series(r.s3, change)});
        changes.push_back({"in fp32", colours[i], true, series(r.fp32, change)});
    }
    std::string lines = notes(r);
    for (std::size_t at = 0; (at = lines.find('\n', at)) != std::string::npos; at += 5)
        lines.replace(at, 1, "<br>\n");
    return R"(<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>S3 on Fashion-MNIST</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .9rem; text-align: right; border-bottom: 1px solid #8884 }
th:first-child, td:first-child { text-align: left; padding-left: 0 }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem }
figure { margin: 0 } figcaption { font-weight: 600 } figure div { font-size: 13px }
svg { width: 100%; font-size: 11px } text { fill: currentColor }
.grid { stroke: #8884 } .curve { fill: none; stroke-width: 2 }
</style>
<h1>A 3-bit shift network on Fashion-MNIST</h1>
<p>The same small CNN trained twice: in fp32, and with S3 weights {0, ±1, ±2, ±4} in its four inner
convolutions. The second is then packed into 3 bits a weight and run in exact integers, without
(shift_add) and with (dot) multiplications.</p>
)" + html(outcome_table(r)) +
           "<p>" + lines + "</p>\n" + html(layer_table(r)) + "<div class='charts'>\n" +
           chart("Training loss by epoch", {{"fp32", grey, false, series(r.fp32, loss)},
                                            {"S3 3-bit", orange, false, series(r.s3, loss)}}) +
           chart("Test accuracy by epoch, %", {{"fp32", grey, false, series(r.fp32, test)},
                                               {"S3 3-bit", orange, false, series(r.s3, test)}}) +
           chart("Zeros among S3 weights, %", zeros) +
           chart("Weights that changed sign in the epoch, %", changes) + "</div>\n</html>\n";
}

/// Writes main_job.json and index.html.
inline void write_report(const results& r, const std::filesystem::path& folder) {
    const auto write = [&](const char* name, const std::string& content) {
        const auto path = (folder / name).string();
        check(s3::safetensors::save(path, std::as_bytes(std::span(content))), path);
    };
    write("main_job.json", json(r));
    write("index.html", page(r));
}

} // namespace fashion
