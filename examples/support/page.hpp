#pragma once
// Results to look at: tables on the terminal, and tables and charts for self-contained HTML pages.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

namespace support {

namespace text {

[[nodiscard]] inline std::string fixed(double value, int digits) {
    char number[64];
    std::snprintf(number, sizeof number, "%.*f", digits, value);
    return number;
}
[[nodiscard]] inline std::string significant(double value, int digits) {
    char number[64];
    std::snprintf(number, sizeof number, "%.*g", digits, value);
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

inline constexpr const char* page_style = R"(<style>
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
)";

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

} // namespace support
