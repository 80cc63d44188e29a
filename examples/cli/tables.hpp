#pragma once
// Tables for people: what a network costs (net/cost.hpp).

#include "import_table.hpp"

#include <s3/net/cost.hpp>

#include <nlohmann/json.hpp>

#include <cstdio>
#include <string>
#include <vector>

namespace s3_program {

namespace net = s3::net;

using support::print;
using support::table;
using support::text::count;

template <class... T>
[[nodiscard]] std::string format(const char* pattern, T... values) {
    char text[128];
    std::snprintf(text, sizeof text, pattern, values...);
    return text;
}

/// Prints JSON. Names of files are any bytes, but JSON is UTF-8: what is not is replaced in them.
inline void print_json(const nlohmann::ordered_json& said, int indent = 2) {
    using handler = nlohmann::ordered_json::error_handler_t;
    std::printf("%s\n", said.dump(indent, ' ', false, handler::replace).c_str());
}

/// What a network costs, as JSON.
[[nodiscard]] inline nlohmann::ordered_json costs(const net::model& m) {
    nlohmann::ordered_json layers = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < m.layers.size(); ++i) {
        const net::layer_cost c = net::cost_of(m, i);
        const auto& out = m.values[i + 1];
        layers.push_back({{"layer", m.layers[i].name},
                          {"weights", c.weights},
                          {"format", c.format},
                          {"zeros", c.zeros},
                          {"bytes", c.bytes},
                          {"output", {out.height, out.width, out.channels}},
                          {"bits", out.bits},
                          {"products", c.work.products},
                          {"additions", c.work.additions},
                          {"shifts", c.work.shifts},
                          {"multiplies", c.work.multiplies},
                          {"picojoules", c.work.picojoules()}});
    }
    const auto& in = m.input();
    return {{"input",
             {{"shape", {in.height, in.width, in.channels}},
              {"bits", in.bits},
              {"scale", in.scale},
              {"zero_point", in.zero_point}}},
            {"bytes", net::weight_bytes(m)},
            {"layers", std::move(layers)}};
}

inline void print_costs(const net::model& m) {
    support::table rows{{"layer", "weights", "format", "zeros", "bytes", "output", "bits",
                         "products", "adds", "shifts", "multiplies", "uJ"}};
    net::operation_counts all;
    std::size_t weights = 0, bytes = 0;
    for (std::size_t i = 0; i < m.layers.size(); ++i) {
        const net::layer_cost c = net::cost_of(m, i);
        const auto& out = m.values[i + 1];
        rows.push_back({m.layers[i].name, count(static_cast<double>(c.weights)), c.format,
                        c.weights == 0 ? ""
                                       : format("%.1f%%", 100.0 * static_cast<double>(c.zeros) /
                                                              static_cast<double>(c.weights)),
                        count(static_cast<double>(c.bytes)),
                        format("%zux%zux%zu", out.height, out.width, out.channels),
                        std::to_string(out.bits), count(c.work.products), count(c.work.additions),
                        count(c.work.shifts), count(c.work.multiplies),
                        format("%.3f", c.work.picojoules() * 1e-6)});
        all.add(c.work);
        weights += c.weights;
        bytes += c.bytes;
    }
    rows.push_back({"all", count(static_cast<double>(weights)), "", "",
                    count(static_cast<double>(bytes)), "", "", count(all.products),
                    count(all.additions), count(all.shifts), count(all.multiplies),
                    format("%.3f", all.picojoules() * 1e-6)});
    support::print(rows);
    std::printf("Weights take %.1f%% of their bytes in fp32. %.1f%% of the products need no "
                "multiplication.\n"
                "Arithmetic of one image, 45 nm (Horowitz, ISSCC 2014): %.3f uJ; the same network "
                "in int8 %.3f uJ,\nin fp32 %.3f uJ. Shifts are counted as int8 additions; memory "
                "is not counted.\n",
                100.0 * static_cast<double>(bytes) / (4.0 * static_cast<double>(weights)),
                100 * (1 - all.multiplies / std::max(all.products, 1.0)), all.picojoules() * 1e-6,
                all.int8_picojoules() * 1e-6, all.float_picojoules() * 1e-6);
}

} // namespace s3_program
