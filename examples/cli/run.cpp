// What runs a model file: inspect and run tell of it, compare sets two side by side, bench
// measures.

#include "commands.hpp"
#include "images.hpp"
#include "progress.hpp"
#include "tables.hpp"
#include "tuned.hpp"

#include <s3/io/model_file.hpp>
#include <s3/runtime/program.hpp>
#if defined(_OPENMP)
#include <s3/exec/openmp.hpp>
#endif

#include <algorithm>
#include <chrono>

namespace s3_program {

namespace {

using json = nlohmann::ordered_json;

#if defined(_OPENMP)
using threads = s3::openmp_executor;
#else
struct threads : s3::inline_executor {
    explicit threads(int count) {
        if (count != 1)
            fail("--threads", "this program was built without OpenMP");
    }
};
#endif

[[nodiscard]] double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// The value below which a share of some sorted numbers lies.
[[nodiscard]] double quantile(const std::vector<double>& sorted, double share) {
    const auto at = static_cast<std::size_t>(share * static_cast<double>(sorted.size()));
    return sorted[std::min(at, sorted.size() - 1)];
}

/// A network ready to run in batches.
class runner {
public:
    /// `tune` is the file of measured kernels, if kernels are measured.
    runner(const options& o, const std::string& path, const std::string& tune)
        : path_(path), batch_(o.batch), measured_(!tune.empty()), threads_(o.threads),
          loaded_(checked(s3::model_file::load(path_), path_)), program_(prepare(o, tune)),
          arena_(program_.arena_bytes(batch_, threads_.concurrency())) {}

    [[nodiscard]] const net::model& model() const { return loaded_.model; }
    [[nodiscard]] const auto& program() const { return program_; }

    [[nodiscard]] std::size_t threads_used() const { return threads_.concurrency(); }
    [[nodiscard]] std::size_t arena_bytes() const { return arena_.size(); }

    /// Which kernel each layer got, and why; the seconds that each took, if they are known.
    [[nodiscard]] json kernels(const std::vector<double>& seconds = {}) const {
        json rows = json::array();
        for (std::size_t i = 0; i < model().layers.size(); ++i) {
            const bool chosen =
                std::holds_alternative<net::convolution>(model().layers[i].operation);
            json row{{"layer", model().layers[i].name},
                     {"kernel", program_.kernel_name(i)},
                     {"because", !chosen     ? "there is one"
                                 : measured_ ? "measured"
                                             : "estimated"}};
            if (!seconds.empty())
                row["microseconds"] = seconds[i] * 1e6;
            rows.push_back(std::move(row));
        }
        return rows;
    }
    static void print_kernels(const json& kernels) {
        const bool timed = !kernels.empty() && kernels[0].contains("microseconds");
        support::table rows{{"layer", "kernel", "because"}};
        if (timed)
            rows[0].emplace_back("microseconds");
        for (const json& k : kernels) {
            rows.push_back({k["layer"], k["kernel"], k["because"]});
            if (timed)
                rows.back().push_back(format("%.1f", k["microseconds"].get<double>()));
        }
        support::print(rows);
    }

    /// `after(images done, all)` is called after each batch, after_layer(layer) after each layer.
    template <class Y, class Progress>
    void run(const images& x, std::vector<Y>& y, Progress&& after,
             const s3::runtime::layer_observer& after_layer = {}) {
        const std::size_t out = model().output().size();
        y.resize(x.count * out);
        for (std::size_t n = 0; n < x.count; n += batch_) {
            const std::size_t some = std::min(batch_, x.count - n);
            const s3::image_view<const std::uint8_t> view{
                std::span(x.bytes).subspan(n * x.size(), some * x.size()), some, x.height, x.width,
                x.channels};
            check(program_.run(view, std::span(y).subspan(n * out, some * out), arena_, threads_,
                               after_layer),
                  path_);
            after(n + some, x.count);
        }
    }

private:
    [[nodiscard]] s3::runtime::program prepare(const options& o, const std::string& tune) const {
        s3::runtime::program_options how;
        if (!o.instruction_set.empty())
            how.set = checked(s3::runtime::find(o.instruction_set), "--instruction-set");
        how.batch = batch_;
        how.kernels = o.kernels == "shift_add" ? s3::family::shift_add
                      : o.kernels == "dot"     ? s3::family::dot
                                               : s3::family::automatic;
        std::vector<std::string> kernels;
        if (!tune.empty())
            kernels = tuned_kernels(tune, loaded_.model, how);
        how.layer_kernels = kernels;
        return checked(s3::runtime::prepare(loaded_.model, how), path_);
    }

    std::string path_;
    std::size_t batch_;
    bool measured_;
    threads threads_;
    s3::model_file::loaded_model loaded_;
    s3::runtime::program program_;
    std::vector<std::byte> arena_;
};

/// The number of the largest output of each image.
template <class Y>
[[nodiscard]] std::vector<std::size_t> best_classes(const std::vector<Y>& y, std::size_t outputs) {
    std::vector<std::size_t> best;
    for (auto first = y.begin(); first != y.end(); first += static_cast<std::ptrdiff_t>(outputs))
        best.push_back(static_cast<std::size_t>(
            std::max_element(first, first + static_cast<std::ptrdiff_t>(outputs)) - first));
    return best;
}

[[nodiscard]] double accuracy(const std::vector<std::size_t>& best, const std::string& path) {
    const auto labels = read_labels(path);
    if (labels.size() < best.size())
        fail(path, "there are fewer labels than images");
    std::size_t right = 0;
    for (std::size_t n = 0; n < best.size(); ++n)
        right += labels[n] == static_cast<std::int64_t>(best[n]);
    return static_cast<double>(right) / static_cast<double>(best.size());
}

[[nodiscard]] images read_inputs(const options& o, const net::value_info& in) {
    auto x = read_images(o.images, in.height, in.width, in.channels);
    if (o.count != 0)
        x.keep(o.count);
    return x;
}

template <class Y>
void run_as(runner& r, const images& x, const options& o, const char* type) {
    std::vector<Y> y;
    r.run(x, y, support::progress("running"));
    const std::size_t out = r.model().output().size();
    if (!o.logits.empty())
        write_npy(o.logits, type, std::to_string(x.count) + ", " + std::to_string(out), y.data(),
                  y.size() * sizeof(Y));
    const auto best = best_classes(y, out);
    json said{{"images", x.count}, {"classes", best}};
    if (!o.labels.empty())
        said["accuracy"] = accuracy(best, o.labels);
    if (o.verbose)
        said["kernels"] = r.kernels();
    if (o.json)
        print_json(said);
    else if (!o.labels.empty())
        std::printf("accuracy %.2f%% of %zu images\n", 100 * said["accuracy"].get<double>(),
                    x.count);
    else if (o.logits.empty())
        for (std::size_t n = 0; n < x.count; ++n)
            std::printf("image %zu: class %zu\n", n, best[n]);
}

} // namespace

void inspect(const options& o) {
    const runner r(o, o.model, o.tune);
    if (o.json) {
        json said = costs(r.model());
        said["kernels"] = r.kernels();
        print_json(said);
        return;
    }
    const auto& in = r.model().input();
    std::printf("input %zux%zux%zu, %d bits, real = %.6g * (q - %d)\n\n", in.height, in.width,
                in.channels, in.bits, double{in.scale}, in.zero_point);
    print_costs(r.model());
    runner::print_kernels(r.kernels());
}

void run_model(const options& o) {
    runner r(o, o.model, o.tune);
    if (o.verbose && !o.json)
        runner::print_kernels(r.kernels());
    const auto x = read_inputs(o, r.model().input());
    switch (r.program().output().element) {
    case net::element_type::uint8:
        return run_as<std::uint8_t>(r, x, o, "|u1");
    case net::element_type::int32:
        return run_as<std::int32_t>(r, x, o, "<i4");
    case net::element_type::float32:
        return run_as<float>(r, x, o, "<f4");
    }
}

void compare(const options& o) {
    // A file keeps the kernels of one model.
    runner models[]{{o, o.model, o.tune}, {o, o.other, o.tune.empty() ? "" : o.tune + ".other"}};
    if (models[0].model().output().size() != models[1].model().output().size())
        fail(o.other, "has another number of outputs than " + o.model);
    std::vector<float> y[2]; // real numbers, whatever the scales of the two are
    std::vector<std::size_t> best[2];
    json said{{"models", json::array()}};
    for (std::size_t m = 0; m < 2; ++m) {
        const auto x = read_inputs(o, models[m].model().input());
        const auto begin = std::chrono::steady_clock::now();
        models[m].run(x, y[m], support::progress(m == 0 ? o.model : o.other));
        const double seconds = seconds_since(begin);
        best[m] = best_classes(y[m], models[m].model().output().size());
        json row{{"model", m == 0 ? o.model : o.other},
                 {"bytes", net::weight_bytes(models[m].model())},
                 {"images_per_second", static_cast<double>(x.count) / seconds}};
        if (!o.labels.empty())
            row["accuracy"] = accuracy(best[m], o.labels);
        said["models"].push_back(std::move(row));
    }
    std::size_t same = 0;
    for (std::size_t n = 0; n < best[0].size(); ++n)
        same += best[0][n] == best[1][n];
    double wrong = 0, all = 0, largest = 0;
    for (std::size_t i = 0; i < y[0].size(); ++i) {
        const double d = double{y[0][i]} - double{y[1][i]};
        wrong += d * d;
        all += double{y[0][i]} * double{y[0][i]};
        largest = std::max(largest, std::fabs(d));
    }
    said["images"] = best[0].size();
    said["same_class"] = static_cast<double>(same) / static_cast<double>(best[0].size());
    said["largest_difference"] = largest;
    said["relative_difference"] = all > 0 ? std::sqrt(wrong / all) : largest;
    if (o.json) {
        print_json(said);
        return;
    }
    support::table rows{{"model", "bytes of weights", "images/s", "accuracy"}};
    for (const json& row : said["models"])
        rows.push_back({row["model"], count(row["bytes"].get<double>()),
                        count(row["images_per_second"].get<double>()),
                        row.contains("accuracy")
                            ? format("%.2f%%", 100 * row["accuracy"].get<double>())
                            : "no labels"});
    support::print(rows);
    std::printf("The same class for %.2f%% of %zu images. Real outputs differ by at most %.4g, and "
                "by %.2f%% in the root of squares.\n",
                100 * said["same_class"].get<double>(), best[0].size(), largest,
                100 * said["relative_difference"].get<double>());
}

void bench(const options& o) {
    runner r(o, o.model, o.tune);
    const auto& in = r.model().input();
    images x{o.batch, in.height, in.width, in.channels, {}};
    x.bytes.resize(o.batch * x.size());
    for (std::size_t i = 0; i < x.bytes.size(); ++i)
        x.bytes[i] =
            static_cast<std::uint8_t>((i * 2654435761u >> 13) & static_cast<unsigned>(in.top()));
    std::vector<float> y;
    support::progress show("milliseconds");
    const auto all = static_cast<std::size_t>(o.seconds * 1e3);
    const auto nothing = [](std::size_t, std::size_t) {};
    const auto start = std::chrono::steady_clock::now();
    std::vector<double> passes;
    while (passes.empty() || seconds_since(start) < o.seconds) {
        const auto begin = std::chrono::steady_clock::now();
        r.run(x, y, nothing);
        passes.push_back(seconds_since(begin));
        show(std::min(static_cast<std::size_t>(seconds_since(start) * 1e3), all), all);
    }
    std::sort(passes.begin(), passes.end());
    // Layers are timed in passes of their own, because looking at the clock takes time; the median
    // of a few passes each.
    std::vector<std::vector<double>> layers(r.model().layers.size());
    for (std::size_t pass = 0; pass < std::min<std::size_t>(passes.size(), 25); ++pass) {
        auto begin = std::chrono::steady_clock::now();
        r.run(x, y, nothing, [&](std::size_t layer) {
            layers[layer].push_back(seconds_since(begin));
            begin = std::chrono::steady_clock::now();
        });
    }
    std::vector<double> medians;
    for (auto& times : layers) {
        std::sort(times.begin(), times.end());
        medians.push_back(quantile(times, 0.5));
    }
    const double median = quantile(passes, 0.5);
    const json said{{"batch", o.batch},
                    {"threads", r.threads_used()},
                    {"instruction_set", s3::to_string(r.program().isa())},
                    {"runs", passes.size()},
                    {"best_ms", passes.front() * 1e3},
                    {"median_ms", median * 1e3},
                    {"p99_ms", quantile(passes, 0.99) * 1e3},
                    {"images_per_second", static_cast<double>(o.batch) / median},
                    {"arena_bytes", r.arena_bytes()},
                    {"layers", r.kernels(medians)}};
    if (o.json) {
        print_json(said);
        return;
    }
    runner::print_kernels(said["layers"]);
    std::printf("batch %zu, %zu thread%s (%s), %zu runs: median %.3f ms, 99th percentile %.3f ms, "
                "best %.3f ms; %s images/s at the median; memory %s bytes beside the weights\n",
                o.batch, r.threads_used(), r.threads_used() == 1 ? "" : "s",
                s3::to_string(r.program().isa()), passes.size(), median * 1e3,
                quantile(passes, 0.99) * 1e3, passes.front() * 1e3,
                count(static_cast<double>(o.batch) / median).c_str(),
                count(static_cast<double>(r.arena_bytes())).c_str());
}

} // namespace s3_program
