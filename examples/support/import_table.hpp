#pragma once
// What import says of each layer, as a table.

#include "page.hpp"

#include <s3/import/network.hpp>

namespace support {

inline constexpr const char* import_note =
    "Import's errors are relative root mean squares: of packed weights against those given, of "
    "rounded activations against float ones on the samples.\n";

/// A row per layer. Real weight = scale · value, real activation = activation scale · (value − zero point).
[[nodiscard]] inline table import_table(const std::vector<s3::importing::layer_report>& layers) {
    table rows{{"layer", "format", "method", "weights", "zeros", "scale", "weight error", "bits",
                "activation scale", "activation error"}};
    for (const auto& r : layers) {
        const bool weighted = r.weights != 0;
        const auto if_weighted = [&](const std::string& cell) { return weighted ? cell : ""; };
        const auto least = text::significant(r.least_scale, 3);
        const auto largest = text::significant(r.largest_scale, 3);
        rows.push_back({r.name, r.format, r.method,
                        if_weighted(text::count(static_cast<double>(r.weights))),
                        if_weighted(text::percent(100.0 * static_cast<double>(r.zeros) /
                                                  static_cast<double>(weighted ? r.weights : 1))),
                        if_weighted(least == largest ? least : least + "-" + largest),
                        if_weighted(text::percent(100 * r.weight_error, 3)), std::to_string(r.bits),
                        text::significant(r.scale, 4), text::percent(100 * r.activation_error, 2)});
    }
    return rows;
}

} // namespace support
