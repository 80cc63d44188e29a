// The main example: one shift network's whole life.
//
//   train     the same CNN in fp32 and with 3-bit S3 weights     network.hpp, train.hpp
//   convert   pack, fold the norms, calibrate uint8 activations  convert.hpp
//   run       classify the test images in exact integers         integer.hpp, integer.cpp
//   keep      the packed model in a file, to be run again        model_file.hpp
//   show      tables, curves, and a file for machines            speed.hpp, report.hpp

#include "memory.hpp"
#include "model_file.hpp"
#include "report.hpp"

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
    progress bars({"fp32    ", "S3 3-bit"}, o.training.epochs);
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

/// In percent.
[[nodiscard]] double accuracy(std::span<const std::int32_t> logits, const torch::Tensor& labels) {
    const auto truth = span_of<std::int64_t>(labels);
    std::size_t right = 0;
    for (std::size_t n = 0; n < truth.size(); ++n) {
        const auto* first = logits.data() + n * classes;
        right += std::max_element(first, first + classes) - first == truth[n];
    }
    return 100.0 * static_cast<double>(right) / static_cast<double>(truth.size());
}

/// All test images through both kernel families.
void run_integers(const integer_network& net, const labelled_images& test, results& r) {
    const auto pixels = span_of<std::uint8_t>(test.images);
    const auto outputs = static_cast<std::size_t>(test.size()) * classes;
    std::vector<std::int32_t> by_shifts(outputs), by_products(outputs);
    integer_runner shift_add(net, s3::family::shift_add), dot(net, s3::family::dot);
    r.shift_add_speed = images_per_second(test.size(), [&] { shift_add.run(pixels, by_shifts); });
    r.dot_speed = images_per_second(test.size(), [&] { dot.run(pixels, by_products); });
    r.s3_shift_add = accuracy(by_shifts, test.labels);
    r.s3_dot = accuracy(by_products, test.labels);
    r.logits_identical = by_shifts == by_products;
    for (std::size_t i = 0; i < net.inner.size(); ++i)
        r.layer_weights[i] = net.inner[i].filter.matrix.size();
    r.weights = net.weights();
    r.weight_bytes = net.weight_bytes();
}

int run_saved(const options& o) {
    const auto net = load_model(o.run);
    results r;
    run_integers(net, read_part(o.data, "t10k"), r);
    std::printf("S3 3-bit, integers, shift_add  %.2f%%  %s images/s\n"
                "S3 3-bit, integers, dot        %.2f%%  %s images/s\n"
                "logits identical: %s\n",
                r.s3_shift_add, text::count(r.shift_add_speed).c_str(), r.s3_dot,
                text::count(r.dot_speed).c_str(), r.logits_identical ? "yes" : "NO");
    return r.logits_identical ? 0 : 1;
}

int train_and_run(const options& o) {
    const stopwatch time;
    auto data = read_dataset(o.data);
    if (o.quick)
        data.train = data.train.first(10'000);
    const auto model = o.model.empty() ? o.report + "/fashion_mnist.safetensors" : o.model;
    require_writable(o.report);
    require_writable(std::filesystem::absolute(model).parent_path());

    torch::manual_seed(o.training.seed);
    network<full_conv> fp32;
    network<shift_conv> s3;
    results r;
    train_both(fp32, s3, data, o, r);

    torch::set_num_threads(1);
    const auto net = to_integer(s3, data.train.first(500).images);
    save_model(net, model);
    run_integers(load_model(model), data.test, r);
    r.fp32_speed = measure_float(fp32, data.test.first(2000).images);
    r.seconds = time.seconds();

    std::printf("\n");
    print(outcome_table(r));
    print(layer_table(r));
    std::printf("%s\n", notes(r).c_str());
    write_report(r, o.report);
    std::printf("Report: %s/index.html\nModel:  %s (run it again with --run)\n", o.report.c_str(),
                model.c_str());
    return r.logits_identical ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
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
    app.add_option("--run", o.run, "Train nothing: run this packed model on the test images");
    app.add_flag("--quick", o.quick, "A sixth of the images, three epochs: under a minute");
    CLI11_PARSE(app, argc, argv);
    if (o.quick && epochs->count() == 0)
        o.training.epochs = 3;

    keep_memory();
    try {
        return o.run.empty() ? train_and_run(o) : run_saved(o);
    } catch (const c10::Error& e) {
        std::fprintf(stderr, "fashion_mnist: %s\n", e.what_without_backtrace());
    } catch (const std::exception& e) {
        std::fprintf(stderr, "fashion_mnist: %s\n", e.what());
    }
    return 1;
}
