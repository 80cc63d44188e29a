// What training shift weights costs: whole training steps of ResNet-18 (batch 8, 64×64) and of the
// example CNN (batch 128), each in four ways that take turns step by step:
//
//   fp32      libtorch's Conv2d and SGD
//   formulas  the S3 authors' 3-bit formulas as libtorch operations, SGD over the latents
//   autograd  s3::libtorch::ShiftConv2d, SGD over the latents
//   fused     the same with s3::libtorch::fused_optimizer
//
// and `realize` and `backward` against a copy loop with as many reads and writes. Times are
// medians; ratios are to fp32 in the same round. Memory per weight: what stays alive between steps
// (latents, moments, gradients, weights), and the peak within a step above fp32's. →
// training_cost.json

#include "memory.hpp"
#include "network.hpp"
#include "progress.hpp"

#include <s3/interop/torch_fused.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>

namespace {

using torch::Tensor;
using tensors = std::vector<Tensor>;
using json = nlohmann::ordered_json;
using format = s3::shift3;

/// Counts the bytes of all tensors.
struct counting_allocator final : c10::Allocator {
    static inline std::atomic<std::size_t> live = 0, peak = 0;
    c10::DataPtr allocate(std::size_t n) const override {
        auto* block = static_cast<char*>(std::aligned_alloc(64, (n + 127) / 64 * 64));
        TORCH_CHECK(block != nullptr, "out of memory");
        std::memcpy(block, &n, sizeof n);
        peak = std::max(peak.load(), live += n);
        return {block + 64, block + 64, &release, c10::Device(c10::kCPU)};
    }
    c10::DeleterFnPtr raw_deleter() const override { return &release; }
    static void release(void* data) {
        if (data == nullptr)
            return;
        char* const block = static_cast<char*>(data) - 64;
        std::size_t n = 0;
        std::memcpy(&n, block, sizeof n);
        live -= n;
        std::free(block);
    }
};

/// H or sgn with a straight-through gradient, as the authors wrote them.
struct step_function : torch::autograd::Function<step_function> {
    static Tensor forward(torch::autograd::AutogradContext*, const Tensor& x, bool sign) {
        return sign ? torch::where(x >= 0, torch::ones_like(x), -torch::ones_like(x))
                    : (x > 0).to(torch::kFloat32);
    }
    static tensors backward(torch::autograd::AutogradContext*, tensors g) {
        return {g[0], Tensor()};
    }
};

class formulas_conv_impl : public torch::nn::Module {
public:
    explicit formulas_conv_impl(const torch::nn::Conv2dOptions& o) : options(o) {
        const auto& k = *o.kernel_size();
        for (const char* name : {"weight", "weight_val", "weight_shift", "weight_shift2"})
            latents.push_back(register_parameter(
                name, torch::randn({o.out_channels(), o.in_channels(), k[0], k[1]}) * 0.06));
    }
    Tensor forward(const Tensor& x) {
        const auto step = [](const Tensor& t, bool sign = false) {
            return step_function::apply(t, sign);
        };
        const auto shift = step(latents[2]) * (step(latents[3]) + 1);
        const auto weights = step(latents[0], true) * step(latents[1]) * torch::pow(2, shift);
        return torch::conv2d(x, weights, {}, options.stride(), (*options.kernel_size())[0] / 2);
    }
    torch::nn::Conv2dOptions options;
    tensors latents;
};
TORCH_MODULE_IMPL(formulas_conv, formulas_conv_impl);
using shift_conv = s3::libtorch::ShiftConv2d<format>;
using fashion::full_conv;

torch::nn::Conv2dOptions options(int in, int out, int size, int stride) {
    return torch::nn::Conv2dOptions(in, out, size).stride(stride).padding(size / 2).bias(false);
}

/// Stem and last layer float, all else of `Conv`, down-sampling included.
template <class Conv>
class resnet18 : public torch::nn::Module {
public:
    resnet18() {
        int in = 64;
        for (const int out : {64, 128, 256, 512})
            for (const int stride : {out == 64 ? 1 : 2, 1}) {
                blocks.push_back({Conv(options(in, out, 3, stride)), Conv(options(out, out, 3, 1)),
                                  torch::nn::BatchNorm2d(out), torch::nn::BatchNorm2d(out)});
                auto& b = blocks.back();
                const auto id = std::to_string(blocks.size());
                register_module("a" + id, b.first);
                register_module("b" + id, b.second);
                register_module("na" + id, b.first_norm);
                register_module("nb" + id, b.second_norm);
                if (in != out) {
                    b.down = Conv(options(in, out, 1, stride));
                    b.down_norm = torch::nn::BatchNorm2d(out);
                    register_module("d" + id, b.down);
                    register_module("nd" + id, b.down_norm);
                }
                in = out;
            }
        register_module("stem", stem);
        register_module("norm", norm);
        register_module("linear", linear);
    }
    Tensor forward(const Tensor& image) {
        Tensor x = torch::max_pool2d(norm(stem(image)).relu_(), 3, 2, 1);
        for (auto& b : blocks) {
            const Tensor skip = b.down.is_empty() ? x : b.down_norm(b.down(x));
            x = (b.second_norm(b.second(b.first_norm(b.first(x)).relu_())) + skip).relu_();
        }
        return linear(x.mean({2, 3}));
    }

private:
    struct block {
        Conv first, second;
        torch::nn::BatchNorm2d first_norm, second_norm;
        Conv down{nullptr};
        torch::nn::BatchNorm2d down_norm{nullptr};
    };
    full_conv stem{options(3, 64, 7, 2)};
    torch::nn::BatchNorm2d norm{64};
    std::vector<block> blocks;
    torch::nn::Linear linear{512, 1000};
};

/// One way to train: the halves of its step, and what it keeps.
struct contender {
    const char* name = "";
    std::function<void()> gradients, update; ///< forward and backward; the optimizers
    double kept = 0, peak = 0;               ///< bytes of tensors
    std::vector<double> seconds, update_seconds;

    void step() {
        const support::stopwatch time;
        gradients();
        const double half = time.seconds();
        update();
        seconds.push_back(time.seconds());
        update_seconds.push_back(seconds.back() - half);
    }
};

template <class Net>
contender make(const char* name, const Tensor& x, const Tensor& labels, bool fused) {
    const auto before = counting_allocator::live.load();
    auto net = std::make_shared<Net>();
    using torch::optim::SGD;
    const auto settings = torch::optim::SGDOptions(1e-3).momentum(0.9).weight_decay(1e-4);
    contender c;
    c.name = name;
    if (fused) {
        auto shift = std::make_shared<s3::libtorch::fused_optimizer<s3::sgd>>(
            *net, s3::sgd{.learning_rate = 1e-3f, .momentum = 0.9f, .weight_decay = 1e-4f}, 1e-5f);
        auto rest = std::make_shared<SGD>(s3::libtorch::other_parameters(*net), settings);
        // The discrete weights are leaves of their own, no parameters of the module.
        c.gradients = [=] {
            shift->zero_grad();
            net->zero_grad(/*set_to_none=*/true);
            torch::cross_entropy_loss(net->forward(x), labels).backward();
        };
        c.update = [=] {
            rest->step();
            shift->step();
        };
    } else {
        auto all = std::make_shared<SGD>(net->parameters(), settings);
        c.gradients = [=] {
            net->zero_grad(/*set_to_none=*/true);
            torch::cross_entropy_loss(net->forward(x), labels).backward();
            s3::libtorch::add_dense_gradient(*net, 1e-5f);
        };
        c.update = [=] { all->step(); };
    }
    c.step();
    counting_allocator::peak = counting_allocator::live.load();
    c.step();
    c.kept = static_cast<double>(counting_allocator::live - before);
    c.peak = static_cast<double>(counting_allocator::peak - before);
    return c;
}

double median(std::vector<double> v) {
    std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
    return v[v.size() / 2];
}

json compare(const char* title, std::vector<contender> all, double weights, int rounds) {
    std::map<std::string, std::vector<double>> ratios;
    for (int r = 0; r < rounds; ++r) {
        for (auto& c : all)
            c.step();
        for (const auto& c : all)
            ratios[c.name].push_back(c.seconds.back() / all[0].seconds.back());
    }
    json out;
    std::printf("%s\n  %-9s %10s %8s %10s %14s %18s\n", title, "", "ms/step", "of fp32",
                "update/ms", "bytes/weight", "peak bytes/weight");
    for (const auto& c : all) {
        const double kept = 12 + (c.kept - all[0].kept) / weights;
        const double peak = 12 + (c.peak - all[0].peak) / weights;
        out[c.name] = {{"milliseconds", median(c.seconds) * 1e3},
                       {"of_fp32", median(ratios[c.name])},
                       {"update_milliseconds", median(c.update_seconds) * 1e3},
                       {"bytes_per_weight", kept},
                       {"peak_bytes_per_weight", peak}};
        std::printf("  %-9s %10.2f %8.3f %10.2f %14.1f %18.1f\n", c.name, median(c.seconds) * 1e3,
                    median(ratios[c.name]), median(c.update_seconds) * 1e3, kept, peak);
    }
    return out;
}

template <template <class> class Net>
std::vector<contender> contenders(const Tensor& x, const Tensor& labels) {
    return {make<Net<full_conv>>("fp32", x, labels, false),
            make<Net<formulas_conv>>("formulas", x, labels, false),
            make<Net<shift_conv>>("autograd", x, labels, false),
            make<Net<shift_conv>>("fused", x, labels, true)};
}

/// copy time / kernel time, medians of rounds that take turns.
template <class Copy, class Kernel>
double of_copy(const Copy& copy, const Kernel& kernel, int rounds) {
    std::vector<double> copies, kernels;
    for (int r = 0; r < rounds; ++r) {
        const support::stopwatch first;
        copy();
        copies.push_back(first.seconds());
        const support::stopwatch second;
        kernel();
        kernels.push_back(second.seconds());
    }
    return median(copies) / median(kernels);
}

template <class F>
json passes(int rounds) {
    constexpr std::size_t size = 2359296, n = s3::latents_per_weight<F>;
    tensors in, out;
    for (std::size_t k = 0; k < n + 1; ++k) {
        in.push_back(torch::randn({size}));
        out.push_back(torch::zeros({size}));
    }
    const auto p = s3::libtorch::latents_of<F>({in.begin(), in.begin() + n});
    const auto to = s3::libtorch::latents_of<F>({out.begin(), out.begin() + n});
    const auto g = s3::libtorch::floats(in[n], "g"), w = s3::libtorch::floats(out[0], "w");
    std::array<const float*, n + 1> read;
    std::array<float*, n> write;
    for (std::size_t k = 0; k < n + 1; ++k)
        read[k] = in[k].data_ptr<float>();
    for (std::size_t k = 0; k < n; ++k)
        write[k] = out[k].data_ptr<float>();
    namespace lanes = s3::detail::lanes;
    const auto copy = [&](auto reads, auto writes) {
        constexpr std::size_t R = decltype(reads)::value, W = decltype(writes)::value;
        lanes::for_each<s3::arch::native>(size, [&]<class V>(V, std::size_t i) S3_INLINE_LAMBDA {
            std::array<V, W> sum{};
            lanes::unroll<R>([&](auto k) S3_INLINE_LAMBDA {
                const V v = lanes::load<V>(read[k] + i);
                sum[k % W] = k < W ? v : sum[k % W] + v;
            });
            lanes::unroll<W>([&](auto k) S3_INLINE_LAMBDA { lanes::store(write[k] + i, sum[k]); });
        });
    };
    using std::integral_constant;
    const double realize = of_copy(
        [&] { copy(integral_constant<std::size_t, n>{}, integral_constant<std::size_t, 1>{}); },
        [&] { s3::libtorch::check(s3::realize(p, w)); }, rounds);
    const double backward = of_copy(
        [&] { copy(integral_constant<std::size_t, n + 1>{}, integral_constant<std::size_t, n>{}); },
        [&] { s3::libtorch::check(s3::backward(p, std::span<const float>(g), to)); }, rounds);
    std::printf("  %s  realize %.2f, backward %.2f of a copy loop\n", F::name, realize, backward);
    return {{"realize_of_copy", realize}, {"backward_of_copy", backward}};
}

} // namespace

int main(int argc, char** argv) {
    std::string report = "build/report";
    int rounds = 25, threads = 1;
    bool quick = false;
    CLI::App app("Measures what training shift weights costs.");
    app.option_defaults()->always_capture_default();
    app.add_option("--report", report, "Folder for training_cost.json");
    app.add_option("--rounds", rounds, "Steps of each kind")->check(CLI::Range(1, 10000));
    app.add_option("--threads", threads, "Threads")->check(CLI::Range(1, 256));
    app.add_flag("--quick", quick, "Two steps of each kind");
    CLI11_PARSE(app, argc, argv);
    if (quick)
        rounds = 2;
    support::keep_memory();
    static counting_allocator counter;
    c10::SetAllocator(c10::kCPU, &counter, 1);
    torch::set_num_threads(threads);
    try {
        std::filesystem::create_directories(report);
        json out{{"threads", threads}, {"rounds", rounds}};
        const double resnet_weights = 11157504; // all convolutions but the stem
        const double cnn_weights = 69120;
        out["resnet18"] = compare("ResNet-18, batch 8, 64x64",
                                  contenders<resnet18>(torch::randn({8, 3, 64, 64}),
                                                       torch::randint(1000, {8}, torch::kInt64)),
                                  resnet_weights, rounds);
        out["cnn"] =
            compare("Example CNN, batch 128",
                    contenders<fashion::network>(
                        fashion::to_float(torch::randint(256, {128, 1, 28, 28}, torch::kUInt8)),
                        torch::randint(10, {128}, torch::kInt64)),
                    cnn_weights, rounds);
        std::printf("Passes over 2.4 million weights\n");
        out["shift2"] = passes<s3::shift2>(rounds * 4);
        out["shift3"] = passes<s3::shift3>(rounds * 4);
        out["shift4"] = passes<s3::shift4>(rounds * 4);
        out["dense3"] = passes<s3::dense3>(rounds * 4);
        std::ofstream file(report + "/training_cost.json");
        if (!(file << out.dump(1) << "\n").flush())
            throw std::runtime_error(report + "/training_cost.json: cannot be written");
        return 0;
    } catch (const c10::Error& e) {
        std::fprintf(stderr, "training_cost: %s\n", e.what_without_backtrace());
    } catch (const std::exception& e) {
        std::fprintf(stderr, "training_cost: %s\n", e.what());
    }
    return 1;
}
