// s3shift import: a state dict, a description and samples become a model file.

#include "commands.hpp"
#include "images.hpp"
#include "progress.hpp"
#include "tables.hpp"

#include <s3/import/network.hpp>
#include <s3/io/mapped_file.hpp>
#include <s3/io/model_file.hpp>

#include <CLI/Error.hpp>

#include <numeric>
#include <sstream>

namespace s3_program {

namespace {

using tensors = s3::safetensors::contents;

[[nodiscard]] bool begins(std::span<const std::byte> file, std::string_view with) {
    return file.size() >= with.size() &&
           std::equal(with.begin(), with.end(), file.begin(), [](char c, std::byte b) {
               return std::byte(static_cast<unsigned char>(c)) == b;
           });
}

/// One size of a layer's weights: 0 is the output channels, 1 the input channels; 0 if unknown.
[[nodiscard]] std::size_t size_of(const tensors& file, const std::string& layer, std::size_t axis) {
    for (const char* field : {".weight", ".shift"})
        if (const auto t = file.tensors.find(layer + field);
            t != file.tensors.end() && t->second.shape.size() > axis)
            return t->second.shape[axis];
    return 0;
}

/// The description of a network of ours, with what the checkpoint and the samples say of it. Only
/// where it is printed may the constants of a norm be left open.
[[nodiscard]] std::string built_in(const options& o, const tensors& file, std::size_t size) {
    // These are for small images, whose norms differ from data set to data set; the others are
    // known as networks for ImageNet.
    const bool small = o.network == "resnet8" || o.network == "resnet20" || o.network == "resnet56";
    std::size_t classes = o.classes, channels = o.channels;
    std::istringstream lines(s3::importing::built_in(o.network, 1000, 0, 3));
    std::string first, last; // the names of the first convolution and of the last linear layer
    for (std::string line, word, name; std::getline(lines, line);) {
        std::istringstream(line) >> word >> name;
        if (word == "conv" && first.empty())
            first = name;
        if (word == "linear")
            last = name;
    }
    if (classes == 0)
        classes = size_of(file, last, 0);
    if (channels == 0)
        channels = size_of(file, first, 1);
    std::string text =
        s3::importing::built_in(o.network, classes == 0 ? 1000 : classes,
                                o.size == 0 ? size : o.size, channels == 0 ? 3 : channels);
    if (text.empty())
        return text;
    if (classes == 0 && !o.description)
        fail("--classes",
             "the checkpoint has no tensor " + last + ".weight that would tell their number");
    if (o.mean.empty() != o.deviation.empty())
        fail(o.mean.empty() ? "--mean" : "--std", "is needed where the other is given");
    const std::size_t end = text.find('\n'), norm = text.find(" mean=");
    if (!o.mean.empty() || (small && norm < end)) {
        if (small && o.mean.empty() && !o.description)
            fail("--mean",
                 "say by which --mean and --std the training normalized its images, one number for "
                 "each channel, e.g. --mean 0.5,0.5,0.5 --std 0.25,0.25,0.25 (0,0,0 and 1,1,1: by "
                 "none)");
        text.erase(std::min(norm, end), end - std::min(norm, end));
        if (!o.mean.empty())
            text.insert(text.find('\n'), " mean=" + o.mean + " std=" + o.deviation);
    }
    return text;
}

/// The number of insertions, deletions and substitutions between two names.
[[nodiscard]] std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t corner = row[0]++;
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t above = row[j + 1];
            row[j + 1] = std::min({above + 1, row[j] + 1, corner + (a[i] == b[j] ? 0 : 1)});
            corner = above;
        }
    }
    return row.back();
}

/// What helps with an error of import: names of layers that are like one that is missing, and the
/// option that rounds weights.
[[nodiscard]] std::string hint(const std::string& message, const tensors& file) {
    if (message.find("say format=") != std::string::npos)
        return "\nWith --format shift3 (or another) import rounds the weights of all layers but "
               "the "
               "first and the last.";
    const std::size_t open = message.find('('), close = message.find(')');
    const bool missing = message.find("no such tensor") != std::string::npos ||
                         message.find("there is no tensor") != std::string::npos;
    if (!missing || open == std::string::npos || close < open)
        return "";
    const std::string name = message.substr(open + 1, close - open - 1);
    std::vector<std::pair<std::size_t, std::string>> near;
    for (const auto& [tensor, _] : file.tensors) {
        const std::string layer = tensor.substr(0, tensor.rfind('.'));
        if (near.empty() || near.back().second != layer) // tensors are in the order of their names
            near.emplace_back(distance(name, layer), layer);
    }
    std::sort(near.begin(), near.end());
    std::string text;
    for (std::size_t i = 0; i < std::min<std::size_t>(near.size(), 3); ++i)
        text += (i == 0 ? "\nThe checkpoint has layers of these names: " : ", ") + near[i].second;
    return text;
}

/// Rounds real weights to a format where the description leaves it open, but for the first and the
/// last layer.
void set_format(s3::importing::description& d, const std::string& format) {
    using s3::importing::line_kind;
    std::vector<s3::importing::line*> weighted;
    for (auto& l : d.lines)
        if (l.kind == line_kind::conv || l.kind == line_kind::linear)
            weighted.push_back(&l);
    for (auto* l : weighted)
        if (l->from != 0 && l != weighted.back() && l->format == "auto")
            l->format = format;
}

} // namespace

void import_model(const options& o) {
    std::optional<s3::mapped_file> mapped;
    tensors file;
    if (!o.checkpoint.empty()) {
        mapped = checked(s3::mapped_file::open(o.checkpoint), o.checkpoint);
        const auto bytes = mapped->bytes();
        if (begins(bytes, "PK\3\4") || begins(bytes, "\x80\2"))
            fail(o.checkpoint, "is a file of PyTorch's; convert it: python3 "
                               "examples/cli/export_checkpoint.py " +
                                   o.checkpoint + " checkpoint.safetensors");
        file = checked(s3::safetensors::read(bytes), o.checkpoint);
    }
    std::size_t size = 0;
    if (!o.samples.empty()) {
        auto bytes = read_bytes(o.samples);
        if (const auto shaped = read_shaped_images(o.samples, bytes))
            size = shaped->height;
    }
    auto text = built_in(o, file, size);
    if (text.empty()) {
        const auto bytes = read_bytes(o.network);
        text.assign(bytes.begin(), bytes.end());
    }
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
    auto parsed = checked(s3::importing::parse(text), o.network);
    set_format(parsed, o.format);
    auto samples = read_images(o.samples, parsed.height, parsed.width, parsed.channels);
    if (o.count != 0)
        samples.keep(o.count);
    auto imported = s3::importing::import_network(
        file, parsed, {samples.bytes, o.bits, progress("calibrating"), o.float_last});
    if (!imported) {
        const auto message = imported.error().message();
        fail(o.network, message + hint(message, file));
    }
    support::print(support::import_table(imported->report));
    std::printf("%s", support::import_note);
    check(s3::model_file::save(imported->model, o.out), o.out);
    std::printf("%s: %s bytes of weights\n", o.out.c_str(),
                count(static_cast<double>(net::weight_bytes(imported->model))).c_str());
}

} // namespace s3_program
