// s3shift import: a state dict, a description and samples become a model file.

#include "commands.hpp"
#include "images.hpp"
#include "progress.hpp"
#include "tables.hpp"

#include <s3/import/network.hpp>
#include <s3/io/mapped_file.hpp>
#include <s3/io/model_file.hpp>

#include <CLI/Error.hpp>

#include <functional>
#include <numeric>
#include <sstream>
#include <utility>

namespace s3_program {

namespace {

using tensors = s3::safetensors::contents;

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

/// What a description and a state dict say of a network.
struct source {
    std::string text; ///< the description
    std::string name; ///< where that is from
    tensors file;
    std::optional<s3::mapped_file> mapped;
    std::shared_ptr<const void> owner; ///< of the tensors' memory
    std::vector<std::uint8_t> samples; ///< if they were read for tracing
};

/// The network that a module of PyTorch's stands for.
[[nodiscard]] source traced(const options& o, const python& py) {
    if (o.samples.empty())
        fail("--samples", "a network is traced with some inputs: give images");
    auto samples = read_array(o.samples, o.count);
    auto found = py.trace(o, samples);
    return {std::move(found.description), o.torch,
            std::move(found.tensors),     {},
            std::move(found.owner),       std::move(samples.bytes)};
}

/// The network of a description or one of ours, with the tensors of a state dict.
[[nodiscard]] source described(const options& o, const python& py) {
    source from;
    from.name = o.network;
    if (is_of_torch(o.checkpoint)) {
        auto found = py.state_dict(o.checkpoint);
        from.file = std::move(found.tensors);
        from.owner = std::move(found.owner);
    } else if (!o.checkpoint.empty()) {
        from.mapped = checked(s3::mapped_file::open(o.checkpoint), o.checkpoint);
        from.file = checked(s3::safetensors::read(from.mapped->bytes()), o.checkpoint);
    }
    std::size_t size = 0;
    if (!o.samples.empty()) {
        auto bytes = read_bytes(o.samples);
        if (const auto shaped = read_shaped_images(o.samples, bytes))
            size = shaped->height;
    }
    from.text = built_in(o, from.file, size);
    if (from.text.empty()) {
        const std::pair<const char*, bool> given[]{{"--mean", !o.mean.empty()},
                                                   {"--std", !o.deviation.empty()},
                                                   {"--classes", o.classes != 0},
                                                   {"--size", o.size != 0},
                                                   {"--channels", o.channels != 0}};
        for (const auto& [name, is_given] : given)
            if (is_given)
                fail(name, "is for networks of ours; the description has its own");
        const auto bytes = read_bytes(o.network);
        from.text.assign(bytes.begin(), bytes.end());
    }
    return from;
}

} // namespace

void import_model(const options& o, const python& py) {
    const source from = o.torch.empty() ? described(o, py) : traced(o, py);
    if (o.description) {
        std::printf("%s", from.text.c_str());
        return;
    }
    if (o.torch.empty() && o.checkpoint.empty())
        throw CLI::RequiredError("--checkpoint");
    if (o.out.empty())
        throw CLI::RequiredError("--out");
    if (o.samples.empty())
        fail("--samples", "calibration without data is refused: give some images");
    const auto parsed = checked(s3::importing::parse(from.text), from.name);
    auto samples = from.samples;
    if (samples.empty()) {
        auto read = read_images(o.samples, parsed.height, parsed.width, parsed.channels);
        if (o.count != 0)
            read.keep(o.count);
        samples = std::move(read.bytes);
    }
    support::progress show("calibrating");
    auto imported = s3::importing::import_network(
        from.file, parsed,
        {samples, o.bits, std::ref(show), o.float_last, o.format == "auto" ? "" : o.format});
    if (!imported) {
        const auto message = imported.error().message();
        fail(from.name, message + hint(message, from.file));
    }
    support::print(support::import_table(imported->report));
    std::printf("%s", support::import_note);
    check(s3::model_file::save(imported->model, o.out), o.out);
    std::printf("%s: %s bytes of weights\n", o.out.c_str(),
                count(static_cast<double>(net::weight_bytes(imported->model))).c_str());
}

} // namespace s3_program
