// The main example: one shift network's whole life.
//
//   train    the same CNN in fp32 and with 3-bit S3 weights         network.hpp, train.hpp
//   import   weights and norms become an exact integer network      integers.hpp
//   keep     that network in a file, to be run again                s3/io/model_file.hpp
//   run      classify the test images, without and with products    integers.hpp
//   show     tables, curves, and a file for machines                speed.hpp, report.hpp

#include "memory.hpp"
#include "report.hpp"

#include <s3/io/model_file.hpp>
#include <s3/simd/tile_permission.hpp>

#include <CLI/CLI.hpp>

#include <future>
#include <thread>

namespace {

using namespace fashion;

struct options {
    training_options training;
    std::string data = debian_folder;
    std::string report = "build/report";
    std::string model;
    std::string run;
    std::string logits;
    int threads = std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, 8);
    bool quick = false;
};

/// What cannot be written to should be known before the training.
void require_writable(const std::filesystem::path& folder) {
    std::filesystem::create_directories(folder);
    if (access(folder.c_str(), W_OK) != 0)
        throw std::runtime_error(folder.string() + ": cannot be written to");
}

/// Trains both networks, side by side where there are threads for it: many small steps on one
/// thread each scale better than the same steps shared by two.
void train_both(network<full_conv>& fp32, network<shift_conv>& s3, const dataset& data,
                const options& o, results& r) {
    support::progress bars({"fp32    ", "S3 3-bit"}, o.training.epochs);
    const auto launch = o.threads > 1 ? std::launch::async : std::launch::deferred;
    const int threads = std::max(1, o.threads / 2);
    auto first = std::async(launch, [&] {
        torch::set_num_threads(threads);
        return train(fp32, data, o.training, bars, 0);
    });
    auto second = std::async(launch, [&] {
        torch::set_num_threads(threads);
        return train(s3, data, o.training, bars, 1);
    });
    r.fp32 = first.get();
    r.s3 = second.get();
}

/// All test images through both kernel families.
[[nodiscard]] integer_results run_integers(const s3::net::model& model, const labelled_images& test,
                                           const std::string& name) {
    torch::Tensor logits;
    const auto run = [&](s3::family kernels) -> kernel_results {
        classifier net(model, kernels, name);
        const double speed = images_per_second(test.size(), [&] { logits = net(test.images); });
        return {accuracy(logits, test.labels), speed};
    };
    integer_results r;
    r.bits = model.values[1].bits;
    r.shift_add = run(s3::family::shift_add);
    r.logits = logits;
    r.dot = run(s3::family::dot);
    r.logits_identical = r.logits.equal(logits);
    return r;
}

int run_saved(const options& o) {
    const auto saved = support::checked(s3::model_file::load(o.run), o.run);
    const auto r = run_integers(saved.model, read_part(o.data, "t10k"), o.run);
    support::print(integer_table({r}));
    if (!o.logits.empty())
        support::check(s3::safetensors::save(
                           o.logits, s3::safetensors::to_bytes(span_of<std::int32_t>(r.logits))),
                       o.logits);
    return r.logits_identical ? 0 : 1;
}

int train_and_run(const options& o) {
    const support::stopwatch time;
    auto data = read_dataset(o.data);
    if (o.quick)
        data.train = data.train.first(10'000);
    const auto model = o.model.empty() ? o.report + "/fashion_mnist.safetensors" : o.model;
    require_writable(o.report);
    require_writable(std::filesystem::absolute(model).parent_path());

    torch::manual_seed(o.training.seed);
    network<full_conv> fp32;
    network<shift_conv> s3;
    for (auto& layer : s3.inner)
        layer->initialize(s3::small_deviation); // the first updates decide, rather than chance
    results r;
    train_both(fp32, s3, data, o, r);

    torch::set_num_threads(1);
    const auto samples = data.train.first(500).images;
    auto imported = to_integers(s3, samples, 8);
    support::check(s3::model_file::save(imported.model, model), model);
    const auto kept = support::checked(s3::model_file::load(model), model);
    r.layers = std::move(imported.report);
    r.weight_bytes = s3::net::weight_bytes(kept.model);
    r.integers.push_back(run_integers(kept.model, data.test, model));
    for (const int bits : {6, 4})
        r.integers.push_back(
            run_integers(to_integers(s3, samples, bits).model, data.test, "network"));
    r.fp32_speed = measure_float(fp32, data.test.first(2000).images);
    r.seconds = time.seconds();

    std::printf("\n");
    for (const auto& t : tables(r))
        support::print(t);
    std::printf("%s\n", notes(r).c_str());
    write_report(r, o.report);
    std::printf("Report: %s/index.html\nModel:  %s (run it again with --run)\n", o.report.c_str(),
                model.c_str());
    return r.logits_identical() ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
    s3::permit_tiles();
    options o;
    CLI::App app(
        "Trains a CNN on Fashion-MNIST in fp32 and with 3-bit S3 weights, packs the latter, "
        "and runs it in exact integers.");
    app.option_defaults()->always_capture_default();
    auto* epochs = app.add_option("--epochs", o.training.epochs, "Epochs of each training")
                       ->check(CLI::Range(1, 1000));
    app.add_option("--seed", o.training.seed, "Fixes initial weights and the order of images");
    app.add_option("--threads", o.threads, "Threads for training")->check(CLI::Range(1, 256));
    app.add_option("--data", o.data, "Folder with the data set's four .gz files");
    app.add_option("--report", o.report, "Folder for index.html and main_job.json");
    app.add_option(
        "--model", o.model,
        "File for the packed model (default: fashion_mnist.safetensors beside the report)");
    auto* run =
        app.add_option("--run", o.run, "Train nothing: run this packed model on the test images");
    app.add_option("--logits", o.logits,
                   "With --run: file for the logits (int32, little-endian, [image][class])")
        ->needs(run);
    app.add_flag("--quick", o.quick, "A sixth of the images, three epochs: under a minute");
    CLI11_PARSE(app, argc, argv);
    if (o.quick && epochs->count() == 0)
        o.training.epochs = 3;

    support::keep_memory();
    try {
        return o.run.empty() ? train_and_run(o) : run_saved(o);
    } catch (const c10::Error& e) {
        std::fprintf(stderr, "fashion_mnist: %s\n", e.what_without_backtrace());
    } catch (const std::exception& e) {
        std::fprintf(stderr, "fashion_mnist: %s\n", e.what());
    }
    return 1;
}
