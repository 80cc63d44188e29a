// s3shift export: a model file as C++, and the memory that it takes.

#include "commands.hpp"
#include "results.hpp"
#include "tables.hpp"

#include <s3/export/cpp_header.hpp>
#include <s3/io/model_file.hpp>

namespace s3_program {

void export_model(const options& o) {
    const auto loaded = checked(s3::model_file::load(o.model), o.model);
    const auto header =
        checked(s3::exporting::write_header(loaded.model, {o.name, o.constants}), o.model);
    check(s3::safetensors::save(o.out, std::as_bytes(std::span(header.text))), o.out);
    const s3::exporting::exported_memory& m = header.memory;
    if (o.json) {
        const nlohmann::ordered_json said{{"flash",
                                           {{"weights", m.weights},
                                            {"constants", m.constants},
                                            {"weights_in_code", m.weights_in_code}}},
                                          {"ram",
                                           {{"arena", m.arena},
                                            {"largest_layer", m.largest_layer},
                                            {"input", m.input},
                                            {"output", m.output}}}};
        print_json(said, 1);
        return;
    }
    const auto bytes = [](std::size_t n) { return count(static_cast<double>(n)); };
    std::printf("flash: %s bytes of weights, %s of scales, biases and tables, besides code\n",
                bytes(m.weights).c_str(), bytes(m.constants).c_str());
    if (m.weights_in_code != 0)
        std::printf("       and %s weights that are code\n", bytes(m.weights_in_code).c_str());
    std::printf(
        "RAM:   %s bytes, most of them for the layer %s; besides %s of input, %s of output, "
        "and the stack\n",
        bytes(m.arena).c_str(), m.largest_layer.c_str(), bytes(m.input).c_str(),
        bytes(m.output).c_str());
}

} // namespace s3_program
