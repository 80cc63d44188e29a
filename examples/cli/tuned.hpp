#pragma once
// Kernels that were measured: kept in a file, and measured again where that is of another machine,
// network or batch.

#include "images.hpp"
#include "progress.hpp"
#include "results.hpp"

#include <s3/net/model.hpp>
#include <s3/runtime/program.hpp>

#include <nlohmann/json.hpp>

#include <fstream>
#include <string>
#include <vector>

namespace s3_program {

/// The name of a kernel for each layer.
[[nodiscard]] inline std::vector<std::string> tuned_kernels(const std::string& file,
                                                            const s3::net::model& m,
                                                            const s3::runtime::program_options& o) {
    const auto set = o.set ? *o.set : support::checked(s3::runtime::prepare(m, o), file).isa();
    nlohmann::ordered_json wanted{{"instruction_set", s3::to_string(set)},
                                  {"batch", o.batch},
                                  {"family", static_cast<int>(o.kernels)},
                                  {"layers", nlohmann::json::array()}};
    for (const auto& layer : m.layers)
        wanted["layers"].push_back(layer.name);
    if (std::ifstream old(file); old) {
        auto kept = nlohmann::ordered_json::parse(old, nullptr, false);
        if (kept.is_object() && kept.contains("kernels")) {
            const auto kernels = kept["kernels"];
            kept.erase("kernels");
            if (kept == wanted)
                return kernels.get<std::vector<std::string>>();
        }
    }
    support::progress show("measuring kernels");
    auto kernels = support::checked(
        s3::runtime::tune(m, o, 0.05, [&](std::size_t layer) { show(layer + 1, m.layers.size()); }),
        file);
    wanted["kernels"] = kernels;
    std::ofstream to(file);
    to << wanted.dump(2) << '\n';
    if (!to.flush())
        fail(file, "cannot be written");
    return kernels;
}

} // namespace s3_program
