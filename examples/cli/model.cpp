// s3shift inspect and s3shift export: what a model file says, as tables and as C++.

#include "commands.hpp"
#include "tables.hpp"

#include <s3/export/cpp_header.hpp>
#include <s3/io/model_file.hpp>

namespace s3_program {

void inspect(const options& o) {
    const auto loaded = checked(s3::model_file::load(o.model), o.model);
    const auto& in = loaded.model.input();
    std::printf("input %zux%zux%zu, %d bits, real = %.6g * (q - %d)\n\n", in.height, in.width,
                in.channels, in.bits, double{in.scale}, in.zero_point);
    print_costs(loaded.model);
}

void export_model(const options& o) {
    const auto loaded = checked(s3::model_file::load(o.model), o.model);
    const auto text =
        checked(s3::exporting::cpp_header(loaded.model, {o.name, o.constants}), o.model);
    check(s3::safetensors::save(o.out, std::as_bytes(std::span(text))), o.out);
}

} // namespace s3_program
