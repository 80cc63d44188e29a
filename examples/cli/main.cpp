// s3: takes trained networks to small exact integer networks.
//
//   import   a PyTorch state dict and a description → a model file
//   inspect  what is in a model file: layers, bytes, zeros, operations, energy
//   run      classify images
//   bench    images per second
//   export   a model as one C++ header
//
// Exit codes: 0 success, 1 failure, 2 wrong usage.

#include "images.hpp"
#include "results.hpp"
#include "tables.hpp"

#include <s3/export/cpp_header.hpp>
#include <s3/net/program.hpp>

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <chrono>
#include <cstring>
#include <numeric>

namespace {

using namespace s3_program;

using support::check, support::checked;

/// A bar on the terminal; nothing where the output is not one.
void show_progress(const char* what, std::size_t done, std::size_t all) {
    if (isatty(STDERR_FILENO) == 0)
        return;
    constexpr std::size_t width = 30;
    std::string bar;
    for (std::size_t i = 0; i < width; ++i)
        bar += i < done * width / all ? "━" : "┄";
    std::fprintf(stderr, "\r%s %s %zu/%zu%s", what, bar.c_str(), done, all,
                 done == all ? "\n" : "");
}

struct options {
    std::string checkpoint, network, samples, out, model, images, labels, logits;
    std::size_t classes = 1000, size = 0, channels = 3, count = 0, batch = 1;
    int bits = 8;
    double seconds = 2;
    bool description = false, float_last = false;
    std::size_t constants = 0;
    std::string kernels = "automatic";
    std::string name = "network";
};

[[nodiscard]] std::string description_text(const options& o) {
    if (auto text = s3::importing::built_in(o.network, o.classes, o.size, o.channels);
        !text.empty())
        return text;
    const auto bytes = read_bytes(o.network);
    return {bytes.begin(), bytes.end()};
}

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
    std::string where = o.network;
    const auto parsed = s3::importing::parse(text, where);
    if (!parsed)
        fail(o.network, where);
    const auto file = checked(s3::mapped_file::open(o.checkpoint), o.checkpoint);
    const auto tensors = checked(s3::safetensors::read(file.bytes()), o.checkpoint);
    auto samples = read_images(o.samples, parsed->height, parsed->width, parsed->channels);
    if (o.count != 0)
        samples.keep(o.count);
    where.clear();
    const auto imported = s3::importing::import_network(
        tensors, *parsed,
        {samples.bytes, o.bits,
         [](std::size_t done, std::size_t all) { show_progress("calibrating", done, all); },
         o.float_last},
        where);
    if (!imported)
        fail(o.network, where.empty() ? imported.error().message() : where);
    support::print(support::import_table(imported->report));
    std::printf("%s", support::import_note);
    check(s3::model_file::save(imported->model, o.out), o.out);
    std::printf("%s: %s bytes of weights\n", o.out.c_str(),
                count(static_cast<double>(net::weight_bytes(imported->model))).c_str());
}

void inspect(const options& o) {
    const auto loaded = checked(s3::model_file::load(o.model), o.model);
    const auto& in = loaded.model.input();
    std::printf("input %zux%zux%zu, %d bits, real = %.6g * (q - %d)\n\n", in.height, in.width,
                in.channels, in.bits, double{in.step}, in.zero_point);
    print_costs(loaded.model);
}

/// A network ready to run in batches.
class runner {
public:
    runner(const std::string& path, std::size_t batch, const std::string& kernels)
        : path_(path), batch_(batch), loaded_(checked(s3::model_file::load(path), path)),
          program_(checked(
              net::prepare(loaded_.model, {.batch = batch,
                                           .kernels = kernels == "shift_add" ? s3::family::shift_add
                                                      : kernels == "dot"     ? s3::family::dot
                                                                         : s3::family::automatic}),
              path)),
          arena_(program_.arena_bytes(batch)) {}

    [[nodiscard]] const net::model& model() const { return loaded_.model; }
    [[nodiscard]] const auto& program() const { return program_; }

    template <class Y>
    void run(const images& x, std::vector<Y>& y) {
        const std::size_t out = model().output().size();
        y.resize(x.count * out);
        for (std::size_t n = 0; n < x.count; n += batch_) {
            const std::size_t some = std::min(batch_, x.count - n);
            const s3::image_view<const std::uint8_t> view{
                std::span(x.bytes).subspan(n * x.size(), some * x.size()), some, x.height, x.width,
                x.channels};
            check(net::run(program_, view, std::span(y).subspan(n * out, some * out),
                           std::span<std::byte>(arena_)),
                  path_);
            show_progress("running", n + some, x.count);
        }
    }

private:
    std::string path_;
    std::size_t batch_;
    s3::model_file::loaded_model loaded_;
    net::program<> program_;
    std::vector<std::byte> arena_;
};

template <class Y>
void run_as(runner& r, const images& x, const options& o, const char* type) {
    std::vector<Y> y;
    r.run(x, y);
    const std::size_t out = r.model().output().size();
    if (!o.logits.empty())
        write_npy(o.logits, type, std::to_string(x.count) + ", " + std::to_string(out), y.data(),
                  y.size() * sizeof(Y));
    std::vector<std::size_t> best(x.count);
    for (std::size_t n = 0; n < x.count; ++n) {
        const auto first = y.begin() + static_cast<std::ptrdiff_t>(n * out);
        best[n] = static_cast<std::size_t>(
            std::max_element(first, first + static_cast<std::ptrdiff_t>(out)) - first);
    }
    if (!o.labels.empty()) {
        const auto labels = read_labels(o.labels);
        if (labels.size() < x.count)
            fail(o.labels, "there are fewer labels than images");
        std::size_t right = 0;
        for (std::size_t n = 0; n < x.count; ++n)
            right += labels[n] == static_cast<std::int64_t>(best[n]);
        std::printf("accuracy %.2f%% of %zu images\n",
                    100.0 * static_cast<double>(right) / static_cast<double>(x.count), x.count);
    } else if (o.logits.empty()) {
        for (std::size_t n = 0; n < x.count; ++n)
            std::printf("image %zu: class %zu\n", n, best[n]);
    }
}

void run_model(const options& o) {
    runner r(o.model, o.batch, o.kernels);
    const auto& in = r.model().input();
    auto x = read_images(o.images, in.height, in.width, in.channels);
    if (o.count != 0)
        x.keep(o.count);
    switch (r.program().kind()) {
    case net::output_kind::bytes:
        return run_as<std::uint8_t>(r, x, o, "|u1");
    case net::output_kind::sums:
        return run_as<std::int32_t>(r, x, o, "<i4");
    case net::output_kind::real:
        return run_as<float>(r, x, o, "<f4");
    }
}

void bench(const options& o) {
    runner r(o.model, o.batch, o.kernels);
    const auto& in = r.model().input();
    images x{o.batch, in.height, in.width, in.channels, {}};
    x.bytes.resize(o.batch * x.size());
    for (std::size_t i = 0; i < x.bytes.size(); ++i)
        x.bytes[i] =
            static_cast<std::uint8_t>((i * 2654435761u >> 13) & static_cast<unsigned>(in.top()));
    std::vector<float> y;
    const auto now = [] { return std::chrono::steady_clock::now(); };
    const auto start = now();
    double best = 1e30;
    std::size_t passes = 0;
    do {
        const auto begin = now();
        r.run(x, y);
        best = std::min(best, std::chrono::duration<double>(now() - begin).count());
        ++passes;
    } while (std::chrono::duration<double>(now() - start).count() < o.seconds);
    support::table rows{{"layer", "kernel"}};
    for (std::size_t i = 0; i < r.model().layers.size(); ++i)
        rows.push_back({r.model().layers[i].name, r.program().kernel_name(i)});
    support::print(rows);
    std::printf("batch %zu, one thread (%s): %.3f ms, %s images/s (best of %zu); memory %s bytes "
                "beside the weights\n",
                o.batch, s3::arch::native::name, best * 1e3,
                count(static_cast<double>(o.batch) / best).c_str(), passes,
                count(static_cast<double>(r.program().arena_bytes(o.batch))).c_str());
}

void export_model(const options& o) {
    const auto loaded = checked(s3::model_file::load(o.model), o.model);
    const auto text =
        checked(s3::exporting::cpp_header(loaded.model, {o.name, o.constants}), o.model);
    check(s3::safetensors::save(o.out, std::as_bytes(std::span(text))), o.out);
}

} // namespace

int main(int argc, char** argv) {
    options o;
    CLI::App app("Takes trained networks to small exact integer networks.");
    app.require_subcommand(1);
    app.option_defaults()->always_capture_default();
    const auto model = [&](CLI::App* c) {
        c->add_option("model", o.model, "Model file")->required();
        return c;
    };
    const auto kernels = [&](CLI::App* c) {
        c->add_option("--kernels", o.kernels, "Family of kernels")
            ->check(CLI::IsMember({"automatic", "shift_add", "dot"}));
        c->add_option("--batch", o.batch, "Images per run")->check(CLI::Range(1, 4096));
    };

    auto* importing = app.add_subcommand("import", "A PyTorch state dict becomes a model file");
    importing
        ->add_option("--network", o.network,
                     "resnet8, resnet18, resnet20, resnet50, resnet56, or a file with a "
                     "description (see s3/import/description.hpp)")
        ->required();
    importing->add_option("--checkpoint", o.checkpoint,
                          "State dict as safetensors (see export_checkpoint.py)");
    importing->add_option("--samples", o.samples,
                          "Images that activations are calibrated on: npy, idx, PGM, PPM, raw");
    importing->add_option("--count", o.count, "Use so many of the samples; 0: all");
    importing
        ->add_option("--bits", o.bits, "Bits of activations, where the description does not say")
        ->check(CLI::IsMember({4, 6, 8}));
    importing->add_option("--classes", o.classes, "Of a network of ours");
    importing->add_option("--size", o.size,
                          "Height of the images of a network of ours; 0: its own");
    importing->add_option("--channels", o.channels, "Of the images of a network of ours");
    importing->add_flag("--float-last", o.float_last,
                        "The last linear layer stays in float, which promises no bits");
    importing->add_flag("--description", o.description, "Only print the network's description");
    importing->add_option("--out", o.out, "Model file to write");
    importing->callback([&] { import_model(o); });

    auto* look = model(app.add_subcommand("inspect", "Layers, bytes, zeros, operations, energy"));
    look->callback([&] { inspect(o); });

    auto* run = model(app.add_subcommand("run", "Classify images"));
    run->add_option("images", o.images, "npy, idx (also gzip), PGM, PPM or raw bytes")->required();
    run->add_option("--labels", o.labels, "idx or npy: report the accuracy");
    run->add_option("--logits", o.logits, "Write the network's outputs to this npy file");
    run->add_option("--count", o.count, "Only so many images; 0: all");
    kernels(run);
    run->callback([&] { run_model(o); });

    auto* speed = model(app.add_subcommand("bench", "Images per second, on one thread"));
    speed->add_option("--seconds", o.seconds, "How long to measure");
    kernels(speed);
    speed->callback([&] { bench(o); });

    auto* header = model(app.add_subcommand("export", "A model as one C++ header"));
    header->add_option("--out", o.out, "Header to write")->required();
    header->add_option("--name", o.name, "Namespace of the network");
    header->add_option("--constants", o.constants,
                       "Layers of at most so many shift weights become straight-line code");
    header->callback([&] { export_model(o); });

    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? 0 : 2;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "s3: %s\n", e.what());
        return 1;
    }
    return 0;
}
