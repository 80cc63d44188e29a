// s3shift export: a model file as C++.

#include "commands.hpp"
#include "results.hpp"

#include <s3/export/cpp_header.hpp>
#include <s3/io/model_file.hpp>

namespace s3_program {

void export_model(const options& o) {
    const auto loaded = checked(s3::model_file::load(o.model), o.model);
    const auto text =
        checked(s3::exporting::cpp_header(loaded.model, {o.name, o.constants}), o.model);
    check(s3::safetensors::save(o.out, std::as_bytes(std::span(text))), o.out);
}

} // namespace s3_program
