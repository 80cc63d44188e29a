#pragma once
// All runs, the most important first: claims (a) and (b), 2 and 4 bits, then (e), (c) and latents
// from a trained fp32 network; at last DenseShift, and S3 by Adam: is it the optimizer that
// DeepShift-PS owes its place to? (d) is read off the runs of (a) and (b).
//
// What varies S3, and the last two, run in a third of the epochs: the shorter the training, the
// more the initial latents and the regularizer's first epochs show.

#include "run.hpp"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
#include <string_view>

namespace claims {

struct arm {
    std::string name;
    std::vector<double> rates; ///< tried on the held-out images, as many for all
    double alpha = 0;
};

[[nodiscard]] inline std::vector<arm> all_arms() {
    return {{"fp32", {0.1, 0.3, 1, 3}},
            {"s3_3bit", {0.5, 1, 2, 4}, 1e-5},
            {"deepshift_q", {0.1, 0.3, 1, 3}},
            {"deepshift_ps", {0.01, 0.03, 0.1, 0.3}},
            {"s3_2bit", {0.5, 1, 2, 4}, 1e-5},
            {"s3_4bit", {0.1, 0.3, 1, 3}, 1e-5},
            {"denseshift_3bit", {0.1, 0.5, 2, 8}},
            {"s3_3bit_adam", {0.003, 0.01, 0.03, 0.1}, 1e-5}};
}

inline constexpr std::int64_t held_out_images = 5000;

struct scale {
    int epochs = 15;
    int seeds = 10; ///< at most so many of any arm
    std::size_t rates = 4;
};

[[nodiscard]] inline std::vector<run_spec> make_plan(const scale& size) {
    std::vector<run_spec> plan;
    const auto arms = all_arms();
    const auto named = [&](std::string_view name) -> const arm& {
        return *std::find_if(arms.begin(), arms.end(), [&](auto& a) { return a.name == name; });
    };
    using names = std::initializer_list<const char*>;
    const auto tune = [&](const names& some) {
        for (const auto* name : some)
            for (std::size_t i = 0; i < std::min(size.rates, named(name).rates.size()); ++i)
                plan.push_back({.arm = name,
                                .rate = named(name).rates[i],
                                .seed = 1000,
                                .epochs = (size.epochs + 1) / 2,
                                .tuning = true,
                                .alpha = named(name).alpha});
    };
    const auto seeds = [&](const names& some, int from, int to) {
        for (int seed = from; seed <= std::min(to, size.seeds); ++seed)
            for (const auto* name : some)
                plan.push_back(
                    {.arm = name, .seed = seed, .epochs = size.epochs, .alpha = named(name).alpha});
    };
    tune({"fp32", "s3_3bit", "deepshift_q", "deepshift_ps"});
    seeds({"fp32", "s3_3bit", "deepshift_q", "deepshift_ps"}, 1, 5);
    seeds({"fp32", "s3_3bit"}, 6, 10);
    tune({"s3_2bit", "s3_4bit"});
    seeds({"s3_2bit", "s3_4bit"}, 1, 5);

    const auto vary = [&](const char* name, const char* variant, auto change) {
        run_spec s{.arm = name,
                   .epochs = std::max(1, size.epochs / 3),
                   .alpha = named(name).alpha,
                   .variant = variant};
        change(s);
        for (s.seed = 1; s.seed <= std::min(5, size.seeds); ++s.seed)
            plan.push_back(s);
    };
    const auto unchanged = [](run_spec&) {};
    vary("s3_3bit", "short", unchanged);
    vary("fp32", "short", unchanged);
    // (e)
    vary("s3_3bit", "alpha0", [](run_spec& s) { s.alpha = 0; });
    vary("s3_3bit", "alpha1e-4", [](run_spec& s) { s.alpha = 1e-4; });
    vary("s3_3bit", "alpha1e-3", [](run_spec& s) { s.alpha = 1e-3; });
    // (c)
    vary("s3_3bit", "std0.1", [](run_spec& s) { s.latent_scale = 0.1; });
    vary("s3_3bit", "std10", [](run_spec& s) { s.latent_scale = 10; });
    vary("s3_3bit", "uniform", [](run_spec& s) { s.sparse = "uniform"; });
    vary("s3_3bit", "positive", [](run_spec& s) { s.sparse = "positive"; });
    vary("s3_3bit", "from-fp32", [](run_spec& s) { s.from_fp32 = true; });

    for (const char* name : {"denseshift_3bit", "s3_3bit_adam"}) {
        tune({name});
        vary(name, "short", unchanged);
    }
    return plan;
}

/// What is known of finished runs, by key.
using finished_runs = std::map<std::string, json>;

/// Of the rates whose held-out accuracy is within a standard error of the best, the one with the
/// lowest training loss, which tells neighbours apart that the few held-out images cannot; 0 while
/// a tuning run is missing.
[[nodiscard]] inline double tuned_rate(const std::string& arm, const std::vector<run_spec>& plan,
                                       const finished_runs& done) {
    std::vector<const json*> runs;
    double best = 0;
    for (const auto& s : plan) {
        if (!s.tuning || s.arm != arm)
            continue;
        const auto found = done.find(s.key());
        if (found == done.end())
            return 0;
        runs.push_back(&found->second);
        best = std::max(best, found->second["accuracy"].get<double>());
    }
    const double error = std::sqrt(best * (100 - best) / held_out_images);
    double rate = 0, lowest = std::numeric_limits<double>::infinity();
    for (const auto* run : runs)
        if (const double loss = run->at("history").back()["loss"];
            (*run)["accuracy"] >= best - error && loss < lowest)
            lowest = loss, rate = (*run)["settings"]["rate"];
    return rate;
}

/// With the rates that the plan leaves to tuning; nothing while they are not known.
[[nodiscard]] inline std::optional<run_spec> resolved(run_spec s, const std::vector<run_spec>& plan,
                                                      const finished_runs& done) {
    if (s.rate == 0 && (s.rate = tuned_rate(s.arm, plan, done)) == 0)
        return {};
    if (s.from_fp32 && (s.fp32_rate = tuned_rate("fp32", plan, done)) == 0)
        return {};
    return s;
}

/// Forgets runs that had other settings than the plan and the tuning now have: they are repeated.
inline void drop_stale(const std::vector<run_spec>& plan, finished_runs& done) {
    for (const auto& s : plan)
        if (const auto run = done.find(s.key()); run != done.end())
            if (const auto now = resolved(s, plan, done);
                now && run->second.value("settings", json()) != now->settings())
                done.erase(run);
}

} // namespace claims
