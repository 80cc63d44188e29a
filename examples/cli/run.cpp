// s3shift run and s3shift bench: a model file classifies images, and how fast it does.

#include "commands.hpp"
#include "images.hpp"
#include "progress.hpp"
#include "tables.hpp"
#include "tuned.hpp"

#include <s3/io/model_file.hpp>
#include <s3/net/program.hpp>

#include <algorithm>
#include <chrono>

namespace s3_program {

namespace {

/// A network ready to run in batches.
class runner {
public:
    explicit runner(const options& o)
        : path_(o.model), batch_(o.batch), measured_(!o.tune.empty()),
          loaded_(checked(s3::model_file::load(path_), path_)), program_(prepare(o)),
          arena_(program_.arena_bytes(batch_)) {}

    [[nodiscard]] const net::model& model() const { return loaded_.model; }
    [[nodiscard]] const auto& program() const { return program_; }

    /// Which kernel each layer got, and why.
    void print_kernels() const {
        support::table rows{{"layer", "kernel", "because"}};
        for (std::size_t i = 0; i < model().layers.size(); ++i) {
            const bool chosen =
                std::holds_alternative<net::convolution>(model().layers[i].operation);
            rows.push_back({model().layers[i].name, program_.kernel_name(i),
                            !chosen     ? "there is one"
                            : measured_ ? "measured"
                                        : "estimated"});
        }
        support::print(rows);
    }

    /// `after(images done, all)` is called after each batch.
    template <class Y, class Progress>
    void run(const images& x, std::vector<Y>& y, Progress&& after) {
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
            after(n + some, x.count);
        }
    }

private:
    [[nodiscard]] net::program<> prepare(const options& o) const {
        net::program_options how{.batch = batch_,
                                 .kernels = o.kernels == "shift_add" ? s3::family::shift_add
                                            : o.kernels == "dot"     ? s3::family::dot
                                                                     : s3::family::automatic,
                                 .layer_kernels = {}};
        std::vector<std::string> kernels;
        if (!o.tune.empty())
            kernels = tuned_kernels(o.tune, loaded_.model, how);
        how.layer_kernels = kernels;
        return checked(net::prepare(loaded_.model, how), path_);
    }

    std::string path_;
    std::size_t batch_;
    bool measured_;
    s3::model_file::loaded_model loaded_;
    net::program<> program_;
    std::vector<std::byte> arena_;
};

template <class Y>
void run_as(runner& r, const images& x, const options& o, const char* type) {
    std::vector<Y> y;
    r.run(x, y, progress("running"));
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

} // namespace

void show_kernels(const options& o) {
    runner(o).print_kernels();
}

void run_model(const options& o) {
    runner r(o);
    if (o.verbose)
        r.print_kernels();
    const auto& in = r.model().input();
    auto x = read_images(o.images, in.height, in.width, in.channels);
    if (o.count != 0)
        x.keep(o.count);
    switch (r.program().output().element) {
    case net::element_type::uint8:
        return run_as<std::uint8_t>(r, x, o, "|u1");
    case net::element_type::int32:
        return run_as<std::int32_t>(r, x, o, "<i4");
    case net::element_type::float32:
        return run_as<float>(r, x, o, "<f4");
    }
}

void bench(const options& o) {
    runner r(o);
    const auto& in = r.model().input();
    images x{o.batch, in.height, in.width, in.channels, {}};
    x.bytes.resize(o.batch * x.size());
    for (std::size_t i = 0; i < x.bytes.size(); ++i)
        x.bytes[i] =
            static_cast<std::uint8_t>((i * 2654435761u >> 13) & static_cast<unsigned>(in.top()));
    std::vector<float> y;
    const auto since = [](auto begin) {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    progress show("milliseconds");
    const auto all = static_cast<std::size_t>(o.seconds * 1e3);
    const auto start = std::chrono::steady_clock::now();
    double best = 1e30;
    std::size_t passes = 0;
    while (passes == 0 || since(start) < o.seconds) {
        const auto begin = std::chrono::steady_clock::now();
        r.run(x, y, [](std::size_t, std::size_t) {});
        best = std::min(best, since(begin));
        ++passes;
        show(std::min(static_cast<std::size_t>(since(start) * 1e3), all), all);
    }
    r.print_kernels();
    std::printf("batch %zu, one thread (%s): %.3f ms, %s images/s (best of %zu); memory %s bytes "
                "beside the weights\n",
                o.batch, s3::arch::native::name, best * 1e3,
                count(static_cast<double>(o.batch) / best).c_str(), passes,
                count(static_cast<double>(r.program().arena_bytes(o.batch))).c_str());
}

} // namespace s3_program
