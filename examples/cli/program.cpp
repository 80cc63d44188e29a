// s3shift: takes trained networks to small exact integer networks.
//
//   import   a PyTorch model, a state dict and a description, or an ONNX graph → a model file
//   inspect  what is in a model file: layers, bytes, zeros, operations, energy
//   run      classify images
//   compare  two models on the same images: accuracy, outputs, speed
//   bench    images per second
//   export   a model as one C++ header, or as an ONNX graph
//
// Exit codes: 0 success, 1 failure, 2 wrong usage.

#include "commands.hpp"

#include <s3/format/list.hpp>
#include <s3/runtime/options.hpp>

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr const char* image_kinds = "npy, idx (also gzip), PNG, JPEG, PGM, PPM or raw bytes";

/// The names of all formats that import rounds to.
std::vector<std::string> formats() {
    std::vector<std::string> names{"auto"};
    s3::all_formats::each([&]<class F>() { names.emplace_back(F::name); });
    return names;
}

/// The names of the instruction sets that this program is built for.
std::vector<std::string> instruction_sets() {
    std::vector<std::string> names;
    for (const s3::isa set : s3::runtime::instruction_sets())
        names.emplace_back(s3::to_string(set));
    return names;
}

/// Refuses a number below zero for an option that counts: it would become a huge one.
CLI::Validator counts() {
    return {[](const std::string& text) {
                return text.find('-') == std::string::npos ? "" : text + " is below zero";
            },
            ""};
}

/// Refuses what is no length of time, which NaN passes for in any one comparison.
CLI::Validator is_time() {
    return {[](const std::string& text) -> std::string {
                constexpr double most = 1e9; // whose milliseconds can be counted
                const double seconds = std::strtod(text.c_str(), nullptr);
                if (seconds >= 0 && seconds <= most)
                    return "";
                return text + " is not a number of seconds from 0 to 1e9";
            },
            ""};
}

/// Whether a command line reads or writes an ONNX graph: a file of a name in .onnx.
bool names_graph(int argc, const char* const* argv) {
    const std::string command = argc > 1 ? argv[1] : "";
    return (command == "import" || command == "export") &&
           std::any_of(argv + 2, argv + argc,
                       [](const char* word) { return std::string(word).ends_with(".onnx"); });
}

/// Hands the whole command line to the program inside the Python package.
[[noreturn]] void start_python(int argc, const char* const* argv) {
    static constexpr char start[] = R"(import sys
try:
    from s3.__main__ import main
except ImportError as error:
    sys.exit(f"s3shift: {error}: what PyTorch made, and ONNX graphs, need the Python package s3-shift "
             "(packaging/python). Without it convert a state dict by examples/cli/export_checkpoint.py")
main()
)";
    const char* const named = std::getenv("S3_PYTHON");
    const char* const interpreter = named != nullptr ? named : "python3";
    std::vector<char*> arguments;
    for (const char* text : {interpreter, "-c", start})
        arguments.push_back(const_cast<char*>(text));
    for (int i = 1; i < argc; ++i)
        arguments.push_back(const_cast<char*>(argv[i]));
    arguments.push_back(nullptr);
    execvp(interpreter, arguments.data());
    throw std::runtime_error(
        std::string(interpreter) +
        ", which reads what PyTorch made, and ONNX graphs, cannot be started: " +
        std::strerror(errno));
}

} // namespace

namespace s3_program {

bool is_of_torch(const std::string& path) {
    char first[4] = {};
    if (std::FILE* file = std::fopen(path.c_str(), "rb"); file != nullptr) {
        const std::size_t got = std::fread(first, 1, sizeof first, file);
        std::fclose(file);
        return got == sizeof first &&
               (std::memcmp(first, "PK\3\4", 4) == 0 || std::memcmp(first, "\x80\2", 2) == 0);
    }
    return false;
}

int program(int argc, const char* const* argv, const python& py) {
    s3::permit_tiles();
    options o;
    CLI::App app("Takes trained networks to small exact integer networks.");
    app.require_subcommand(1);
    app.option_defaults()->always_capture_default();
    const auto model = [&](CLI::App* c) {
        c->add_option("model", o.model, "Model file")->required();
        return c;
    };
    const auto json = [&](CLI::App* c) {
        c->add_flag("--json", o.json, "Print JSON instead of tables");
    };
    const auto kernels = [&](CLI::App* c) {
        c->add_option("--kernels", o.kernels, "Family of kernels")
            ->check(CLI::IsMember({"automatic", "shift_add", "dot"}));
        c->add_option("--instruction-set", o.instruction_set,
                      "Instruction set of the kernels; by default the best that this machine has")
            ->check(CLI::IsMember(instruction_sets()));
        c->add_option("--batch", o.batch, "Images per run")->check(CLI::Range(1, 4096));
        c->add_option("--threads", o.threads, "Threads that share each run")
            ->check(CLI::Range(1, 1024));
        c->add_option("--tune", o.tune,
                      "Measure the kernels of each layer, and keep their names in this file; those "
                      "of compare's other model in FILE.other");
    };

    auto* importing = app.add_subcommand(
        "import", "A PyTorch model, a state dict or NET.onnx becomes a model file");
    auto* network = importing->add_option(
        "--network", o.network,
        "resnet8, resnet18, resnet20, resnet50, resnet56, mobilenet_v2, mobilenet_v3_small, "
        "mobilenet_v3_large, or a file with a description (see "
        "s3/import/description.hpp)");
    auto* torch = importing->add_option(
        "--torch", o.torch,
        "FILE.py:FUNCTION or MODULE:FUNCTION, called for a trained torch.nn.Module; or "
        "a file of one that torch.save wrote. It runs code of the file: trust it");
    torch->excludes(network);
    importing->add_option("--checkpoint", o.checkpoint,
                          "State dict: safetensors, or of torch.save");
    importing->add_option(
        "--samples", o.samples,
        "Images that activations are calibrated on: npy, idx, PNG, JPEG, PGM, PPM, raw");
    importing->add_option("--count", o.count, "Use so many of the samples; 0: all")
        ->check(counts());
    importing
        ->add_option("--bits", o.bits, "Bits of activations, where the description does not say")
        ->check(CLI::IsMember({4, 6, 8}));
    importing
        ->add_option("--format", o.format,
                     "Round real weights to this format, in all layers but the first and the last "
                     "whose format the description leaves open")
        ->check(CLI::IsMember(formats()));
    importing
        ->add_option("--classes", o.classes, "Of a network of ours; 0: as the checkpoint has them")
        ->check(counts())
        ->excludes(torch);
    importing
        ->add_option("--size", o.size,
                     "Height of the images of a network of ours; 0: of the samples")
        ->check(counts())
        ->excludes(torch);
    importing
        ->add_option("--channels", o.channels,
                     "Of the images of a network of ours; 0: as the checkpoint has them")
        ->check(counts())
        ->excludes(torch);
    importing->add_option("--mean", o.mean,
                          "What training subtracted from images in 0 … 1, per channel: M,M,M");
    importing->add_option("--std", o.deviation, "What it then divided them by: S,S,S");
    importing->add_flag("--float-last", o.float_last,
                        "The last linear layer stays in float, which promises no bits");
    importing->add_flag("--description", o.description, "Only print the network's description");
    importing->add_option("--out", o.out, "Model file to write");
    importing->callback([&] {
        if (o.network.empty() && o.torch.empty())
            throw CLI::RequiredError("--network or --torch");
        if (!py.trace && (!o.torch.empty() || is_of_torch(o.checkpoint)))
            start_python(argc, argv);
        import_model(o, py);
    });

    auto* look =
        model(app.add_subcommand("inspect", "Layers, bytes, zeros, operations, energy, kernels"));
    kernels(look);
    json(look);
    look->callback([&] { inspect(o); });

    auto* run = model(app.add_subcommand("run", "Classify images"));
    run->add_option("images", o.images, image_kinds)->required();
    run->add_option("--labels", o.labels, "idx or npy: report the accuracy");
    run->add_option("--logits", o.logits, "Write the network's outputs to this npy file");
    run->add_option("--count", o.count, "Only so many images; 0: all")->check(counts());
    run->add_flag("--verbose", o.verbose, "Tell which kernel each layer got, and why");
    kernels(run);
    json(run);
    run->callback([&] { run_model(o); });

    auto* comparing = model(
        app.add_subcommand("compare", "Two models on the same images: accuracy, outputs, speed"));
    comparing->add_option("other", o.other, "The other model file")->required();
    comparing->add_option("images", o.images, image_kinds)->required();
    comparing->add_option("--labels", o.labels, "idx or npy: compare accuracies");
    comparing->add_option("--count", o.count, "Only so many images; 0: all")->check(counts());
    kernels(comparing);
    json(comparing);
    comparing->callback([&] { compare(o); });

    auto* speed =
        model(app.add_subcommand("bench", "Time of a run, of each layer, images per second"));
    speed->add_option("--seconds", o.seconds, "How long to measure")->check(is_time());
    kernels(speed);
    json(speed);
    speed->callback([&] { bench(o); });

    auto* header = model(app.add_subcommand("export", "A model as one C++ header"));
    header->add_option("--out", o.out, "Header to write, or NET.onnx")->required();
    header->add_option("--name", o.name, "Namespace of the network");
    header
        ->add_option("--constants", o.constants,
                     "Layers of at most so many shift weights become straight-line code")
        ->check(counts());
    json(header);
    header->callback([&] { export_model(o); });

    int code = 0;
    try {
        if (names_graph(argc, argv))
            start_python(argc, argv);
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        code = app.exit(e) == 0 ? 0 : 2;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "s3shift: %s\n", e.what());
        code = 1;
    }
    // Where a disk is full, the last lines fail only when they leave the buffer.
    const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
    if (!written && code == 0) {
        std::fprintf(stderr, "s3shift: standard output: cannot be written\n");
        code = 1;
    }
    return code;
}

} // namespace s3_program
