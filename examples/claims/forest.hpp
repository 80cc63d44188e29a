#pragma once
// A forest plot: one line per comparison, with the mean difference, its 95% interval, the margin
// that the claim is judged by, and the verdict.

#include "page.hpp"
#include "run.hpp"

#include <algorithm>
#include <sstream>

namespace claims {

/// A whole SVG document. `claims` as in claims.json; comparisons of fewer than two seeds are left
/// out. Every claim has a scale of its own, around the common zero.
[[nodiscard]] inline std::string forest(const json& claims) {
    constexpr double row = 20, left = 230, right = 600, width = 820;
    std::ostringstream body;
    double y = 8;
    const auto text = [&](double x, const char* anchor, const std::string& what) {
        body << "<text x='" << x << "' y='" << y + 4 << "' text-anchor='" << anchor << "'>" << what
             << "</text>\n";
    };
    for (const auto& [name, claim] : claims.items()) {
        std::vector<std::pair<std::string, json>> rows;
        double scale = 0;
        for (const auto& [what, r] : claim.items())
            if (r.is_object() && r.contains("verdict") && r["seeds"] >= 2) {
                rows.emplace_back(what, r);
                for (const double v : {r["interval"][0], r["interval"][1], r["margin"]})
                    scale = std::max(scale, std::abs(v));
            }
        if (rows.empty())
            continue;
        y += 1.5 * row;
        text(8, "start", "(" + name + ") " + claim["claim"].get<std::string>());
        const auto x = [&](double v) { return (left + right + v / scale * (right - left)) / 2; };
        for (const auto& [what, r] : rows) {
            y += row;
            const std::string verdict = r["verdict"];
            const char* colour = verdict == "holds"   ? "#2b7a78"
                                 : verdict == "fails" ? "#b3372f"
                                                      : "#7a869a";
            text(left - 16, "end", what);
            body << "<path stroke='#999' stroke-dasharray='2 2' d='M" << x(r["margin"]) << ' '
                 << y - 9 << "v18'/><path stroke='" << colour << "' stroke-width='2' d='M"
                 << x(r["interval"][0]) << ' ' << y << "H" << x(r["interval"][1])
                 << "'/><circle r='4' fill='" << colour << "' cx='" << x(r["mean"]) << "' cy='" << y
                 << "'/>\n";
            text(right + 16, "start",
                 support::text::fixed(r["mean"], 2) + ", " + std::to_string(r["seeds"].get<int>()) +
                     " seeds: " + verdict);
        }
    }
    y += 1.5 * row;
    text(8, "start",
         "Points: mean and 95% interval; dashed, the margin; middle line, no difference");
    std::ostringstream svg;
    svg << "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 " << width << ' ' << y + row
        << "' font-family='system-ui, sans-serif' font-size='12'>\n"
        << "<rect width='100%' height='100%' fill='white'/>\n<path stroke='#ccc' d='M"
        << (left + right) / 2 << " 40V" << y - row << "'/>\n"
        << body.str() << "</svg>\n";
    return svg.str();
}

} // namespace claims
