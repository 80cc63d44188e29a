// The example: a language model's whole way from training to tokens.
//
//   train    the same transformer of bytes in fp32, ternary and 3 bits    network.hpp, train.hpp
//   pack     each model that is not float into one file                   pack.hpp, weights.hpp
//   run      the file without libtorch: its loss, and text that it writes model.hpp, generate.hpp
//   show     a table and curves                                           report.hpp

#include "generate.hpp"
#include "memory.hpp"
#include "pack.hpp"
#include "progress.hpp"
#include "report.hpp"
#include "text.hpp"

#include <s3/simd/tile_permission.hpp>

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <mutex>
#include <thread>

namespace {

using namespace lm;

struct options {
    training_options training;
    config shape;
    std::string text = "build/language_model/kjv.txt";
    std::string report = "build/report/language_model";
    int seeds = 3;
    int threads = std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, 16);
    bool quick = false;
};

/// One training of one arm.
struct task {
    arm kind;
    int seed;
    network net;
    outcome found;

    [[nodiscard]] std::string name() const {
        return std::string(title(kind)) + ", seed " + std::to_string(seed);
    }
    [[nodiscard]] std::string file(const options& o) const {
        return o.report + (kind == arm::ternary ? "/ternary-" : "/shift3-") + std::to_string(seed) +
               ".safetensors";
    }
};

[[nodiscard]] Tensor tensor_of(std::span<const std::byte> bytes) {
    return torch::from_blob(const_cast<std::byte*>(bytes.data()), to_int64(bytes.size()),
                            torch::kUInt8);
}

/// Calls work(number) for all numbers below `count`, as many side by side as there are threads.
/// Many small steps of training on a thread each scale better than the same steps shared.
template <class Work>
void side_by_side(std::size_t count, int threads, const Work& work) {
    std::atomic<std::size_t> next = 0;
    std::mutex mutex;
    std::exception_ptr failed;
    const auto run = [&] {
        torch::set_num_threads(1);
        for (std::size_t i = 0; (i = next++) < count;)
            try {
                work(i);
            } catch (...) {
                const std::lock_guard lock(mutex);
                failed = std::current_exception();
                next = count;
            }
    };
    {
        std::vector<std::jthread> all;
        for (int t = 0; t < threads; ++t)
            all.emplace_back(run);
    }
    if (failed)
        std::rethrow_exception(failed);
}

void train_all(std::vector<task>& tasks, const text& t, std::size_t windows_held_out,
               const options& o) {
    const auto training = tensor_of(t.training()), held_out = tensor_of(t.held_out());
    const auto all = static_cast<double>(tasks.size()) * o.training.steps;
    support::progress bar({"training"}, all);
    std::atomic<int> steps = 0;
    side_by_side(tasks.size(), o.threads, [&](std::size_t i) {
        task& job = tasks[i];
        auto settings = o.training;
        settings.seed = static_cast<std::uint64_t>(job.seed);
        job.found.past = train(
            job.net, training, held_out, settings, [&] { bar.step(0, ++steps); },
            [&](const std::string& line) { bar.say(0, job.name() + "  " + line); });
        job.found.float_bits = bits_per_byte(job.net, held_out, to_int64(windows_held_out));
    });
}

/// Packs a trained network into a file, and finds out what the file gives.
void pack_and_run(task& job, const text& t, std::size_t windows_held_out, const options& o) {
    save(job.net, job.file(o));
    job.found.file_bytes = std::filesystem::file_size(job.file(o));
    const auto model = support::checked(load(job.file(o), {.batch = 64}), "model");
    job.found.packed_bits = bits_per_byte(*model, t.held_out(), windows_held_out);
}

[[nodiscard]] results run(const options& o) {
    const support::stopwatch time;
    const text t = read_text(o.text);
    const std::size_t needed = 20 * 65 * o.shape.context;
    if (t.bytes.size() < needed)
        throw std::runtime_error(o.text + ": it has " + std::to_string(t.bytes.size()) +
                                 " bytes, needs " + std::to_string(needed));
    const std::size_t all = (t.held_out().size() - 1) / o.shape.context;
    const std::size_t held_out = o.quick ? std::min<std::size_t>(all, 256) : all;
    std::vector<task> tasks;
    for (int seed = 1; seed <= o.seeds; ++seed)
        for (const arm kind : arms) {
            torch::manual_seed(static_cast<std::uint64_t>(seed));
            tasks.push_back({kind, seed, network(o.shape, kind), {}});
        }
    train_all(tasks, t, held_out, o);

    results r;
    r.training = o.training;
    r.parameters = weights_in(tasks[0].net);
    r.training_bytes = t.training().size();
    r.held_out_bytes = held_out * o.shape.context;
    for (const arm kind : arms) {
        r.arms.push_back({kind, {}});
        for (task& job : tasks)
            if (job.kind == kind) {
                if (kind != arm::fp32)
                    pack_and_run(job, t, held_out, o);
                r.arms.back().seeds.push_back(job.found);
            }
    }
    const auto model = support::checked(load(tasks.back().file(o), {.batch = 64}), "model");
    r.sample = "And the LORD said unto ";
    const auto prompt = tokens_of(*model, r.sample);
    generate(*model, prompt, model->options().cache - prompt.size(), {},
             [&r](std::uint32_t token) { r.sample += static_cast<char>(token); });
    r.seconds = time.seconds();
    return r;
}

} // namespace

int main(int argc, char** argv) {
    s3::permit_tiles();
    options o;
    CLI::App app("Trains a small language model of bytes in fp32, ternary and 3 bits, packs it, "
                 "and runs it without libtorch.");
    app.option_defaults()->always_capture_default();
    auto* steps = app.add_option("--steps", o.training.steps, "Steps of each training")
                      ->check(CLI::Range(20, 10'000'000));
    auto* seeds =
        app.add_option("--seeds", o.seeds, "Trainings of each arm")->check(CLI::Range(1, 100));
    app.add_option("--threads", o.threads, "Trainings that run side by side")
        ->check(CLI::Range(1, 256));
    app.add_option("--text", o.text, "Text file; its last twentieth is held out");
    app.add_option("--report", o.report, "Folder for index.html, results and packed models");
    app.add_flag("--quick", o.quick, "One seed, few steps: under a minute");
    CLI11_PARSE(app, argc, argv);
    if (o.quick && steps->count() == 0)
        o.training.steps = 300;
    if (o.quick && seeds->count() == 0)
        o.seeds = 1;

    support::keep_memory();
    try {
        std::filesystem::create_directories(o.report);
        if (access(o.report.c_str(), W_OK) != 0)
            throw std::runtime_error(o.report + ": cannot be written to");
        const auto found = run(o);
        std::printf("\n");
        support::print(outcome_table(found));
        std::printf("%s\n\n", notes(found).c_str());
        std::printf("The packed 3-bit model writes:\n%s\n\n", escaped(found.sample, false).c_str());
        write_report(found, o.report);
        return found.difference() <= tolerance ? 0 : 1;
    } catch (const c10::Error& e) {
        std::fprintf(stderr, "train_language_model: %s\n", e.what_without_backtrace());
    } catch (const std::exception& e) {
        std::fprintf(stderr, "train_language_model: %s\n", e.what());
    }
    return 1;
}
