#pragma once
// Kernels that were measured: kept in a file, and measured again where that is of another machine,
// network or batch.

#include "images.hpp"
#include "progress.hpp"
#include "results.hpp"

#include <s3/io/safetensors.hpp>
#include <s3/net/model.hpp>
#include <s3/runtime/program.hpp>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <system_error>
#include <variant>
#include <vector>

namespace s3_program {

/// What the choice of a layer's kernel depends on.
[[nodiscard]] inline nlohmann::ordered_json tuned_layer(const s3::net::model& m, std::size_t i) {
    nlohmann::ordered_json row{{"name", m.layers[i].name}};
    if (const auto* c = std::get_if<s3::net::convolution>(&m.layers[i].operation)) {
        const auto& in = m.values[c->input];
        const auto& how = c->options;
        row["format"] =
            std::visit([]<class F>(const s3::packed_filter<F>&) { return F::name; }, c->filter);
        const s3::filter_shape& f = s3::net::shape_of(c->filter);
        row["filter"] = {f.out_channels, f.height, f.width, f.in_channels};
        row["groups"] = how.groups;
        row["stride"] = {how.stride.height, how.stride.width};
        row["padding"] = {how.padding.height, how.padding.width};
        row["dilation"] = {how.dilation.height, how.dilation.width};
        row["input"] = {in.height, in.width, in.channels};
        row["bits"] = in.bits;
    }
    return row;
}

/// What a file of kernels holds; null if there is no file. Any other file stays as it is: it may be
/// the model itself, by a slip of the hand.
[[nodiscard]] inline nlohmann::ordered_json read_kernels(const std::string& path) {
    std::error_code failed;
    if (std::filesystem::status(path, failed).type() == std::filesystem::file_type::not_found)
        return nullptr;
    const auto file = support::checked(s3::mapped_file::open(path), path);
    const auto* const first = reinterpret_cast<const char*>(file.bytes().data());
    auto kept = nlohmann::ordered_json::parse(first, first + file.bytes().size(), nullptr, false);
    if (!kept.is_object() || !kept.contains("kernels"))
        fail(path, "is not a file of kernels, and is not overwritten");
    return kept;
}

/// The name of a kernel for each layer.
[[nodiscard]] inline std::vector<std::string> tuned_kernels(const std::string& file,
                                                            const s3::net::model& m,
                                                            const s3::runtime::program_options& o) {
    auto kept = read_kernels(file);
    const auto set = o.set ? *o.set : support::checked(s3::runtime::prepare(m, o), file).isa();
    nlohmann::ordered_json wanted{{"instruction_set", s3::to_string(set)},
                                  {"batch", o.batch},
                                  {"family", static_cast<int>(o.kernels)},
                                  {"layers", nlohmann::json::array()}};
    for (std::size_t i = 0; i < m.layers.size(); ++i)
        wanted["layers"].push_back(tuned_layer(m, i));
    if (!kept.is_null()) {
        const auto kernels = kept["kernels"];
        kept.erase("kernels");
        if (kept == wanted)
            return kernels.get<std::vector<std::string>>();
    }
    support::progress show("measuring kernels");
    auto kernels = support::checked(
        s3::runtime::tune(m, o, 0.05, [&](std::size_t layer) { show(layer + 1, m.layers.size()); }),
        file);
    wanted["kernels"] = kernels;
    const std::string text = wanted.dump(2) + '\n';
    support::check(s3::safetensors::save(file, std::as_bytes(std::span(text))), file);
    return kernels;
}

} // namespace s3_program
