#pragma once
// One run: an arm, a learning rate, a seed → what every epoch left behind, as JSON.
//
// In all arms the stem, the norms and the last layer are float and train by SGD at 0.1; `rate` is
// that of the inner layers' parameters, which one arm moves by Adam and DeepShift-PS by RAdam, both
// without decay. Both rates fall to zero along a cosine. A tuning run holds the last 5,000 training
// images out and reports the accuracy on them; the others train on all images and report the test
// accuracy.

#include "deepshift.hpp"
#include "progress.hpp"

#include <s3/interop/torch_fused.hpp>

#include <nlohmann/json.hpp>

#include <mutex>

namespace claims {

using json = nlohmann::ordered_json;

inline constexpr double weight_decay = 1e-4;

struct run_spec {
    std::string arm;
    double rate = 0; ///< of the inner layers; 0: the tuned one
    int seed = 1;
    int epochs = 15;
    bool tuning = false;
    double alpha = 1e-5;           ///< of the dense-weight regularizer
    double latent_scale = 1;       ///< multiplies the initial latents
    std::string sparse = "normal"; ///< initial sparse latents: normal, uniform, positive
    bool from_fp32 = false;        ///< latents from the short fp32 run of the same seed
    double fp32_rate = 0;          ///< that run's, if `from_fp32`
    std::string variant = "";      ///< what is unusual about it; empty: the arm itself

    /// What belongs to the run beside its key: a finished one that had other settings is stale.
    [[nodiscard]] json settings() const {
        return {{"rate", rate},          {"alpha", alpha},
                {"decay", weight_decay}, {"latent_scale", latent_scale},
                {"sparse", sparse},      {"fp32_rate", fp32_rate}};
    }
    /// The name of its file. The plan's own settings tell runs apart, hence no rate where tuned.
    [[nodiscard]] std::string key() const {
        char text[160];
        if (tuning)
            std::snprintf(text, sizeof text, "tune-%s-lr%g-e%d", arm.c_str(), rate, epochs);
        else
            std::snprintf(text, sizeof text, "%s%s%s-e%d-seed%d", arm.c_str(),
                          variant.empty() ? "" : "-", variant.c_str(), epochs, seed);
        return text;
    }
};

/// torch's generator is one for the process: networks are drawn one at a time.
inline std::mutex drawing;

[[nodiscard]] inline std::string state_file(const std::string& folder, const run_spec& fp32) {
    return folder + "/" + fp32.key() + ".pt";
}
/// The fp32 run that `from_fp32` starts from.
[[nodiscard]] inline run_spec short_fp32(const run_spec& s) {
    return {.arm = "fp32", .seed = s.seed, .epochs = s.epochs, .variant = "short"};
}
/// JSON has no numbers that are not finite.
[[nodiscard]] inline double finite(double v) {
    return std::isfinite(v) ? v : 1e30;
}

/// How the inner layers' parameters move, by kind of layer and, for shift layers, optimizer.
template <class Conv, class Optimizer>
struct inner_trainer {
    inner_trainer(fashion::network<Conv>& net, const run_spec&)
        : sgd(collect(net),
              torch::optim::SGDOptions(0.1).momentum(0.9).weight_decay(weight_decay)) {}
    static tensors collect(fashion::network<Conv>& net) {
        tensors all;
        for (auto& conv : net.inner)
            for (const auto& p : conv->parameters())
                all.push_back(p);
        return all;
    }
    void zero() { sgd.zero_grad(); }
    void step(double rate) {
        sgd.param_groups()[0].options().set_lr(rate);
        sgd.step();
    }
    torch::optim::SGD sgd;
};
template <class F, class E, class Optimizer>
struct inner_trainer<s3::libtorch::ShiftConv2d<F, E>, Optimizer> {
    using conv = s3::libtorch::ShiftConv2d<F, E>;
    inner_trainer(fashion::network<conv>& net, const run_spec& s)
        : fused(net, Optimizer{}, static_cast<float>(s.alpha)) {
        if constexpr (std::is_same_v<Optimizer, s3::sgd>)
            fused.options.weight_decay = static_cast<float>(weight_decay);
    }
    void zero() { fused.zero_grad(); }
    void step(double rate) {
        fused.options.learning_rate = static_cast<float>(rate);
        fused.step();
    }
    s3::libtorch::fused_optimizer<Optimizer> fused;
};
template <class Optimizer>
struct inner_trainer<rival_conv<ps_rule>, Optimizer> {
    using conv = rival_conv<ps_rule>;
    inner_trainer(fashion::network<conv>& n, const run_spec&) : net(n), moments(all()) {}
    tensors all() const {
        tensors found;
        for (const auto& c : net.inner)
            found.insert(found.end(), c->latents.begin(), c->latents.end());
        return found;
    }
    void zero() {
        for (auto& p : all())
            p.mutable_grad() = Tensor();
    }
    void step(double rate) {
        moments.step(rate);
        const torch::NoGradGuard guard;
        for (const auto& c : net.inner)
            ps_rule::project(c->latents);
    }
    fashion::network<conv>& net;
    radam moments;
};

template <class Conv>
void initialize(fashion::network<Conv>&, const run_spec& s, const std::string&) {
    TORCH_CHECK(s.variant.empty() || s.variant == "short", s.arm, " has no variant ", s.variant);
}
template <class F, class E>
void initialize(fashion::network<s3::libtorch::ShiftConv2d<F, E>>& net, const run_spec& s,
                const std::string& folder) {
    const torch::NoGradGuard guard;
    if (s.from_fp32) {
        fashion::network<fashion::full_conv> trained;
        torch::serialize::InputArchive archive;
        archive.load_from(state_file(folder, short_fp32(s)));
        trained.load(archive);
        net.first->weight.copy_(trained.first->weight);
        for (std::size_t i = 0; i < net.inner.size(); ++i)
            net.inner[i]->initialize_from(trained.inner[i]->weight);
        for (std::size_t i = 0; i < net.norms.size(); ++i) {
            net.norms[i]->weight.copy_(trained.norms[i]->weight);
            net.norms[i]->bias.copy_(trained.norms[i]->bias);
        }
        net.linear->weight.copy_(trained.linear->weight);
        net.linear->bias.copy_(trained.linear->bias);
    }
    for (auto& conv : net.inner) {
        for (const auto& f : conv->fields())
            f.mul_(s.latent_scale);
        const Tensor sparse = conv->sparse();
        if (s.sparse == "uniform") { // of the same deviation
            const double bound = std::sqrt(3.0) * sparse.std().template item<double>();
            sparse.uniform_(-bound, bound);
        } else if (s.sparse == "positive") {
            sparse.abs_();
        }
    }
}

/// `stop` is asked at each step; a stopped run returns null.
template <class Conv, class Optimizer, class Stop>
json train(const run_spec& s, const fashion::dataset& data, std::int64_t held_out,
           const std::string& folder, const Stop& stop) {
    const support::stopwatch all_time;
    std::unique_ptr<fashion::network<Conv>> owner;
    {
        const std::lock_guard lock(drawing);
        torch::manual_seed(static_cast<std::uint64_t>(s.seed));
        owner = std::make_unique<fashion::network<Conv>>();
        initialize(*owner, s, folder);
    }
    auto& net = *owner;
    inner_trainer<Conv, Optimizer> inner(net, s);
    tensors others{net.first->weight, net.linear->weight, net.linear->bias};
    for (const auto& norm : net.norms)
        others.insert(others.end(), {norm->weight, norm->bias});
    torch::optim::SGD rest(others,
                           torch::optim::SGDOptions(0.1).momentum(0.9).weight_decay(weight_decay));

    const auto count = data.train.size() - (s.tuning ? held_out : 0);
    const auto judged = s.tuning ? fashion::labelled_images{data.train.images.slice(0, count),
                                                            data.train.labels.slice(0, count)}
                                 : data.test;
    std::vector<s3::libtorch::weight_dynamics> dynamics(net.inner.size());
    for (std::size_t i = 0; i < dynamics.size(); ++i)
        dynamics[i].observe(weights_of(net.inner[i]));
    auto generator = at::detail::createCPUGenerator(static_cast<std::uint64_t>(s.seed));

    json past = json::array();
    double accuracy = 0;
    for (int epoch = 0; epoch < s.epochs; ++epoch) {
        const auto order = torch::randperm(count, generator, torch::kInt64).split(128);
        const auto batches = static_cast<double>(order.size());
        double loss_sum = 0;
        net.train();
        for (std::size_t b = 0; b < order.size(); ++b) {
            if (stop())
                return nullptr;
            const double done = (epoch + static_cast<double>(b) / batches) / s.epochs;
            const double cosine = (1 + std::cos(std::numbers::pi * done)) / 2;
            const auto pixels = fashion::to_float(data.train.images.index_select(0, order[b]));
            rest.zero_grad();
            inner.zero();
            const auto loss = torch::cross_entropy_loss(
                net.forward(pixels), data.train.labels.index_select(0, order[b]));
            loss.backward();
            rest.param_groups()[0].options().set_lr(0.1 * cosine);
            rest.step();
            inner.step(s.rate * cosine);
            loss_sum += loss.template item<double>();
        }
        accuracy = fashion::accuracy(fashion::classify(net, judged.images), judged.labels);
        json layers = json::array();
        for (std::size_t i = 0; i < dynamics.size(); ++i) {
            const auto weights = weights_of(net.inner[i]);
            const auto moved = dynamics[i].observe(weights);
            const auto size = static_cast<double>(weights.numel());
            const auto rms = [](const Tensor& t) {
                return finite(t.square().mean().sqrt().template item<double>());
            };
            json layer{{"zeros", moved.zeros},
                       {"flips", static_cast<double>(moved.flips) / size},
                       {"direct_flips", static_cast<double>(moved.moves.direct_flips()) / size},
                       {"never_flipped", moved.never_flipped},
                       {"moves", moved.moves.count},
                       {"weight_rms", rms(weights)}};
            if constexpr (requires { net.inner[i]->fields(); }) {
                layer["latent_rms"] = rms(net.inner[i]->fields()[0].detach());
                layer["gradient_rms"] = rms(net.inner[i]->discrete().grad());
            } else if constexpr (requires { net.inner[i]->weight; }) {
                layer["gradient_rms"] = rms(net.inner[i]->weight.grad());
            }
            layers.push_back(std::move(layer));
        }
        past.push_back({{"loss", finite(loss_sum / batches)},
                        {"accuracy", accuracy},
                        {"layers", std::move(layers)}});
    }
    if (s.arm == "fp32" && !s.tuning) {
        torch::serialize::OutputArchive archive;
        net.save(archive);
        archive.save_to(state_file(folder, s));
    }
    return {{"key", s.key()},
            {"arm", s.arm},
            {"variant", s.variant},
            {"tuning", s.tuning},
            {"settings", s.settings()},
            {"seed", s.seed},
            {"epochs", s.epochs},
            {"accuracy", accuracy},
            {"seconds", all_time.seconds()},
            {"history", std::move(past)}};
}

template <class Stop>
json run(const run_spec& s, const fashion::dataset& data, std::int64_t held_out,
         const std::string& folder, const Stop& stop) {
    const auto as = [&]<class Conv, class Optimizer = s3::sgd>(std::type_identity<Conv>,
                                                               Optimizer = {}) {
        return train<Conv, Optimizer>(s, data, held_out, folder, stop);
    };
    using namespace s3;
    if (s.arm == "fp32")
        return as(std::type_identity<fashion::full_conv>{});
    if (s.arm == "s3_2bit")
        return as(std::type_identity<libtorch::ShiftConv2d<shift2>>{});
    if (s.arm == "s3_3bit")
        return as(std::type_identity<libtorch::ShiftConv2d<shift3>>{});
    if (s.arm == "s3_3bit_adam")
        return as(std::type_identity<libtorch::ShiftConv2d<shift3>>{}, adam{});
    if (s.arm == "s3_4bit")
        return as(std::type_identity<libtorch::ShiftConv2d<shift4>>{});
    if (s.arm == "denseshift_3bit")
        return as(std::type_identity<libtorch::ShiftConv2d<dense3>>{});
    if (s.arm == "deepshift_q")
        return as(std::type_identity<rival_conv<q_rule>>{});
    TORCH_CHECK(s.arm == "deepshift_ps", "no arm ", s.arm);
    return as(std::type_identity<rival_conv<ps_rule>>{});
}

} // namespace claims
