// The S3 paper's claims on Fashion-MNIST, as one resumable experiment.
//
//   plan     all runs, the most important first     plan.hpp
//   run      one training → one JSON file           run.hpp, deepshift.hpp
//   report   statistics, verdicts, plots            statistics.hpp, report.hpp
//
// Finished runs are found in their folder and not repeated, so that the program may be stopped at
// any time and started again. Runs go side by side on one thread each.

#include "memory.hpp"
#include "report.hpp"

#include <CLI/CLI.hpp>

#include <condition_variable>
#include <csignal>
#include <set>
#include <thread>

namespace {

using namespace claims;

volatile std::sig_atomic_t interrupted = 0;

struct options {
    scale size;
    std::string data = fashion::debian_folder;
    std::string runs = "build/claims";
    std::string report = "build/report";
    int parallel = std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, 8);
    bool plan = false;
    bool quick = false;
};

finished_runs load(const std::vector<run_spec>& plan, const std::string& folder) {
    finished_runs done;
    for (const auto& s : plan) {
        std::ifstream file(folder + "/" + s.key() + ".json");
        if (!file)
            continue;
        auto run = json::parse(file, nullptr, false);
        if (run.is_discarded() || run.value("key", std::string()) != s.key())
            throw std::runtime_error(folder + "/" + s.key() +
                                     ".json is not a run of this program: remove it");
        done.emplace(s.key(), std::move(run));
    }
    drop_stale(plan, done);
    return done;
}

/// Seconds per epoch of an arm: measured on its finished runs, else on any, else a guess.
double epoch_seconds(const std::string& arm, const finished_runs& done) {
    double own = 0, own_epochs = 0, all = 0, all_epochs = 0;
    for (const auto& [key, run] : done) {
        const double epochs = run["epochs"], seconds = run["seconds"];
        all += seconds, all_epochs += epochs;
        if (run["arm"] == arm)
            own += seconds, own_epochs += epochs;
    }
    return own_epochs > 0 ? own / own_epochs : all_epochs > 0 ? all / all_epochs : 25;
}

double seconds_left(const std::vector<run_spec>& plan, const finished_runs& done, int parallel) {
    double left = 0;
    for (const auto& s : plan)
        if (!done.contains(s.key()))
            left += s.epochs * epoch_seconds(s.arm, done);
    return left / parallel;
}

void print_plan(const std::vector<run_spec>& plan, const finished_runs& done, int parallel) {
    for (const auto& s : plan)
        std::printf("%-45s %3d epochs  %5.1f min  %s\n", s.key().c_str(), s.epochs,
                    s.epochs * epoch_seconds(s.arm, done) / 60,
                    done.contains(s.key()) ? "done" : "");
    std::printf("%zu runs, %zu done; %.1f hours left, %d at a time\n", plan.size(), done.size(),
                seconds_left(plan, done, parallel) / 3600, parallel);
}

/// Hands out runs in the plan's order, a run that waits for others being passed over.
class scheduler {
public:
    scheduler(std::vector<run_spec> plan, finished_runs done, const options& o)
        : plan_(std::move(plan)), done_(std::move(done)), options_(o) {}

    /// Nothing: all are done or an error ended it.
    [[nodiscard]] std::optional<run_spec> next() {
        std::unique_lock lock(mutex_);
        while (!interrupted && error_.empty()) {
            bool waiting = false;
            for (const auto& s : plan_) {
                if (done_.contains(s.key()) || started_.contains(s.key()))
                    continue;
                waiting = true;
                if (s.from_fp32 && !done_.contains(short_fp32(s).key()))
                    continue;
                const auto ready = resolved(s, plan_, done_);
                if (!ready)
                    continue;
                started_.insert(s.key());
                return ready;
            }
            if (!waiting)
                return {};
            changed_.wait_for(lock, std::chrono::milliseconds(200));
        }
        return {};
    }
    void finish(const run_spec& s, json run) {
        const std::lock_guard lock(mutex_);
        write_file(options_.runs + "/" + s.key() + ".json", run.dump() + "\n");
        const double accuracy = run["accuracy"], seconds = run["seconds"];
        done_.emplace(s.key(), std::move(run));
        if (s.tuning)
            drop_stale(plan_, done_);
        const auto left = static_cast<long>(seconds_left(plan_, done_, options_.parallel));
        std::printf("[%zu/%zu] %-42s %.2f%%  %.0f s  %ld:%02ld:%02ld left\n", done_.size(),
                    plan_.size(), s.key().c_str(), accuracy, seconds, left / 3600, left / 60 % 60,
                    left % 60);
        std::fflush(stdout);
        write_report(done_, options_.size, options_.report);
        changed_.notify_all();
    }
    void fail(const std::string& what) {
        const std::lock_guard lock(mutex_);
        error_ = what;
        changed_.notify_all();
    }
    [[nodiscard]] bool failed() const { return !error_.empty(); }
    [[nodiscard]] const std::string& error() const { return error_; }

private:
    std::vector<run_spec> plan_;
    finished_runs done_;
    const options& options_;
    std::set<std::string> started_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::string error_;
};

int run_all(const options& o) {
    std::filesystem::create_directories(o.runs);
    std::filesystem::create_directories(o.report);
    const auto plan = make_plan(o.size);
    auto done = load(plan, o.runs);
    if (o.plan) {
        print_plan(plan, done, o.parallel);
        return 0;
    }
    auto data = fashion::read_dataset(o.data);
    auto held_out = held_out_images;
    if (o.quick) {
        data.train = data.train.first(1500);
        data.test = data.test.first(500);
        held_out = 500;
    }
    write_report(done, o.size, o.report);
    scheduler todo(plan, std::move(done), o);
    std::signal(SIGINT, [](int) { interrupted = 1; });
    std::signal(SIGTERM, [](int) { interrupted = 1; });
    std::vector<std::thread> workers;
    for (int i = 0; i < o.parallel; ++i)
        workers.emplace_back([&] {
            torch::set_num_threads(1);
            try {
                while (const auto s = todo.next()) {
                    auto result = run(*s, data, held_out, o.runs, [] { return interrupted != 0; });
                    if (!result.is_null())
                        todo.finish(*s, std::move(result));
                }
            } catch (const c10::Error& e) {
                todo.fail(e.what_without_backtrace());
            } catch (const std::exception& e) {
                todo.fail(e.what());
            }
        });
    for (auto& w : workers)
        w.join();
    if (todo.failed())
        throw std::runtime_error(todo.error());
    std::printf("Report: %s/claims.json, claims.svg and claims.html\n", o.report.c_str());
    return interrupted ? 130 : 0;
}

} // namespace

int main(int argc, char** argv) {
    options o;
    CLI::App app("Reproduces the claims of the S3 paper on Fashion-MNIST. Resumes where it was "
                 "stopped.");
    app.option_defaults()->always_capture_default();
    auto* epochs =
        app.add_option("--epochs", o.size.epochs, "Epochs of a run")->check(CLI::Range(1, 1000));
    app.add_option("--seeds", o.size.seeds, "At most so many seeds per arm")
        ->check(CLI::Range(1, 10));
    app.add_option("--parallel", o.parallel, "Runs at a time, one thread each")
        ->check(CLI::Range(1, 256));
    app.add_option("--data", o.data, "Folder with the data set's four .gz files");
    app.add_option("--runs", o.runs, "Folder for the finished runs, one JSON file each");
    app.add_option("--report", o.report, "Folder for claims.json and claims.html");
    app.add_flag("--plan", o.plan, "Print the runs and the estimated hours, train nothing");
    app.add_flag("--quick", o.quick, "Every kind of run in brief, on few images");
    CLI11_PARSE(app, argc, argv);
    if (o.quick) {
        if (epochs->count() == 0)
            o.size.epochs = 1;
        o.size.seeds = std::min(o.size.seeds, 2);
        o.size.rates = 2;
        if (o.runs == "build/claims")
            o.runs = "build/claims-quick";
        if (o.report == "build/report")
            o.report = "build/report/claims-quick";
    }
    support::keep_memory();
    try {
        return run_all(o);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "claims: %s\n", e.what());
    }
    return 1;
}
