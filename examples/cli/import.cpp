// s3shift import: a state dict, a description and samples become a model file.

#include "commands.hpp"
#include "images.hpp"
#include "progress.hpp"
#include "tables.hpp"

#include <s3/io/mapped_file.hpp>

#include <CLI/Error.hpp>

namespace s3_program {

namespace {

[[nodiscard]] std::string description_text(const options& o) {
    if (auto text = s3::importing::built_in(o.network, o.classes, o.size, o.channels);
        !text.empty())
        return text;
    const auto bytes = read_bytes(o.network);
    return {bytes.begin(), bytes.end()};
}

} // namespace

void import_model(const options& o) {
    const auto text = description_text(o);
    if (o.description) {
        std::printf("%s", text.c_str());
        return;
    }
    for (const auto& [value, option] :
         {std::pair(&o.checkpoint, "--checkpoint"), {&o.out, "--out"}})
        if (value->empty())
            throw CLI::RequiredError(option);
    if (o.samples.empty())
        fail("--samples", "calibration without data is refused: give some images");
    const auto parsed = checked(s3::importing::parse(text), o.network);
    const auto file = checked(s3::mapped_file::open(o.checkpoint), o.checkpoint);
    const auto tensors = checked(s3::safetensors::read(file.bytes()), o.checkpoint);
    auto samples = read_images(o.samples, parsed.height, parsed.width, parsed.channels);
    if (o.count != 0)
        samples.keep(o.count);
    const auto imported = checked(
        s3::importing::import_network(
            tensors, parsed, {samples.bytes, o.bits, progress("calibrating"), o.float_last}),
        o.network);
    support::print(support::import_table(imported.report));
    std::printf("%s", support::import_note);
    check(s3::model_file::save(imported.model, o.out), o.out);
    std::printf("%s: %s bytes of weights\n", o.out.c_str(),
                count(static_cast<double>(net::weight_bytes(imported.model))).c_str());
}

} // namespace s3_program
