#pragma once
// All runs, the most important first: claims (a) and (b), then the other arms, then (e), (c), and
// what explains the latents' learning rate. (d) is read off the runs of (a) and (b).

#include "run.hpp"

#include <map>

namespace claims {

struct arm {
    std::string name;
    std::vector<double> rates; ///< tried on the held-out images: as many in every arm
    int seeds = 5;
    double alpha = 0;
};

/// The rates were moved up once: of the first grids, which began at a third of these, every arm did
/// best at the upper end.
[[nodiscard]] inline std::vector<arm> all_arms() {
    return {{"fp32", {0.1, 0.3, 1, 3}, 10},        {"s3_3bit", {0.5, 1, 2, 4}, 10, 1e-5},
            {"deepshift_q", {0.1, 0.3, 1, 3}},     {"deepshift_ps", {0.01, 0.03, 0.1, 0.3}},
            {"s3_2bit", {0.5, 1, 2, 4}, 5, 1e-5},  {"s3_4bit", {0.5, 1, 2, 4}, 5, 1e-5},
            {"denseshift_3bit", {0.1, 0.5, 2, 8}}, {"s3_3bit_no_regularizer", {0.5, 1, 2, 4}}};
}

struct scale {
    int epochs = 15;
    int seeds = 10; ///< at most so many of any arm
    std::size_t rates = 4;
    std::size_t arms = 8;
};

[[nodiscard]] inline std::vector<run_spec> make_plan(const scale& size) {
    std::vector<run_spec> plan;
    auto arms = all_arms();
    arms.resize(std::min(arms.size(), size.arms));
    const auto tune = [&](const arm& a) {
        for (std::size_t i = 0; i < std::min(size.rates, a.rates.size()); ++i)
            plan.push_back({.arm = a.name,
                            .rate = a.rates[i],
                            .seed = 1000,
                            .epochs = (size.epochs + 1) / 2,
                            .tuning = true,
                            .alpha = a.alpha});
    };
    const auto seeds = [&](std::size_t first, std::size_t last, int from, int to) {
        for (int seed = from; seed <= std::min(to, size.seeds); ++seed)
            for (std::size_t i = first; i < std::min(last, arms.size()); ++i)
                if (seed <= arms[i].seeds)
                    plan.push_back({.arm = arms[i].name,
                                    .seed = seed,
                                    .epochs = size.epochs,
                                    .alpha = arms[i].alpha});
    };
    const auto vary = [&](run_spec s, int to = 5) {
        for (s.seed = 1; s.seed <= std::min(to, size.seeds); ++s.seed)
            plan.push_back(s);
    };
    for (std::size_t i = 0; i < std::min<std::size_t>(4, arms.size()); ++i)
        tune(arms[i]);
    seeds(0, 4, 1, 5);
    seeds(0, 2, 6, 10);
    for (std::size_t i = 4; i < arms.size(); ++i)
        tune(arms[i]);
    seeds(4, 8, 1, 5);

    const run_spec base{.arm = "s3_3bit", .epochs = size.epochs};
    const auto with = [&](const char* name, auto change, int to = 5) {
        run_spec s = base;
        s.variant = name;
        change(s);
        vary(s, to);
    };
    // (e), beside the arm without the regularizer
    with("alpha1e-4", [](run_spec& s) { s.alpha = 1e-4; });
    with("alpha1e-3", [](run_spec& s) { s.alpha = 1e-3; });
    // (c)
    with("std0.1", [](run_spec& s) { s.latent_scale = 0.1; });
    with("std10", [](run_spec& s) { s.latent_scale = 10; });
    with("uniform", [](run_spec& s) { s.sparse = "uniform"; });
    with("positive", [](run_spec& s) { s.sparse = "positive"; });
    // Only signs of latents reach the weights, so latents, rate and 1/decay scaled together are the
    // same training: the rate that latents want is a matter of their initial scale.
    with("std0.1-rate0.1", [](run_spec& s) {
        s.latent_scale = s.rate_factor = 0.1;
        s.decay *= 10;
    });
    with("rate0.2", [](run_spec& s) { s.rate_factor = 0.2; });
    with("from-fp32", [](run_spec& s) { s.from_fp32 = true; });
    for (const int epochs : {size.epochs / 3, size.epochs * 2})
        for (const char* name : {"fp32", "s3_3bit"}) {
            run_spec s{.arm = name,
                       .epochs = std::max(1, epochs),
                       .variant = "epochs" + std::to_string(epochs)};
            if (s.arm == "fp32")
                s.alpha = 0;
            vary(s, epochs > size.epochs ? 3 : 5);
        }
    return plan;
}

/// What is known of finished runs, by key.
using finished_runs = std::map<std::string, json>;

/// The rate with the best held-out accuracy; 0 while a tuning run is missing.
[[nodiscard]] inline double tuned_rate(const std::string& arm, const std::vector<run_spec>& plan,
                                       const finished_runs& done) {
    double best = -1, rate = 0;
    for (const auto& s : plan) {
        if (!s.tuning || s.arm != arm)
            continue;
        const auto found = done.find(s.key());
        if (found == done.end())
            return 0;
        if (const double a = found->second["accuracy"]; a > best)
            best = a, rate = s.rate;
    }
    return rate;
}

} // namespace claims
