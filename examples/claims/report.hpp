#pragma once
// From finished runs to claims.json, claims.svg and claims.html: per arm and seed the accuracies,
// per claim the statistic, its 95% interval and the verdict ("holds", "fails", "undecided", or
// "incomplete" while runs are missing).

#include "forest.hpp"
#include "page.hpp"
#include "plan.hpp"
#include "statistics.hpp"

#include <fstream>

namespace claims {

class findings {
public:
    findings(const finished_runs& done, const scale& size) : done_(done), size_(size) {}

    /// A number of every seed's run. `of` takes the run.
    template <class Of>
    [[nodiscard]] std::map<int, double> by_seed(const std::string& arm, const std::string& variant,
                                                const Of& of) const {
        std::map<int, double> found;
        for (const auto& [key, run] : done_)
            if (!run["tuning"] && run["arm"] == arm && run["variant"] == variant)
                found[run["seed"]] = of(run);
        return found;
    }
    [[nodiscard]] static double accuracy(const json& run) { return run["accuracy"]; }

    /// first − second over the seeds that both have.
    [[nodiscard]] static interval difference(const std::map<int, double>& first,
                                             const std::map<int, double>& second) {
        std::vector<double> values;
        for (const auto& [seed, value] : first)
            if (const auto other = second.find(seed); other != second.end())
                values.push_back(value - other->second);
        return interval_of(values);
    }
    [[nodiscard]] interval against(const std::string& arm, const std::string& other,
                                   const std::string& variant = "",
                                   const std::string& other_variant = "") const {
        return difference(by_seed(arm, variant, accuracy), by_seed(other, other_variant, accuracy));
    }
    /// Mean over the layers of an epoch's `member` (default: the last epoch's).
    [[nodiscard]] static double layers_mean(const json& run, const char* member,
                                            std::size_t epoch = ~std::size_t{0}) {
        const auto& past = run["history"];
        const auto& layers = past[std::min(epoch, past.size() - 1)]["layers"];
        double sum = 0;
        for (const auto& layer : layers)
            sum += layer[member].get<double>() / static_cast<double>(layers.size());
        return sum;
    }
    /// The mean over seeds of a number of every epoch.
    template <class Of>
    [[nodiscard]] std::vector<double> curve_of(const std::string& arm, const std::string& variant,
                                               const Of& of) const {
        std::vector<double> sum;
        double runs = 0;
        for (const auto& [key, run] : done_) {
            if (run["tuning"] || run["arm"] != arm || run["variant"] != variant)
                continue;
            sum.resize(run["history"].size());
            for (std::size_t e = 0; e < sum.size(); ++e)
                sum[e] += of(run, e);
            ++runs;
        }
        for (double& v : sum)
            v /= runs;
        return sum;
    }
    [[nodiscard]] std::size_t wanted(std::size_t seeds) const {
        return std::min(seeds, static_cast<std::size_t>(size_.seeds));
    }
    [[nodiscard]] const finished_runs& runs() const { return done_; }
    [[nodiscard]] std::vector<run_spec> plan() const { return make_plan(size_); }

private:
    const finished_runs& done_;
    scale size_;
};

[[nodiscard]] inline json to_json(const interval& i) {
    return {{"seeds", i.count}, {"mean", i.mean}, {"interval", {i.low, i.high}}};
}

/// The claim "the difference is above `margin`".
[[nodiscard]] inline json above(const interval& i, double margin, std::size_t seeds) {
    auto out = to_json(i);
    out["margin"] = margin;
    out["verdict"] = i.count < std::max<std::size_t>(2, seeds) ? "incomplete"
                     : i.low > margin                          ? "holds"
                     : i.high < margin                         ? "fails"
                                                               : "undecided";
    return out;
}

[[nodiscard]] inline json evaluate(const findings& f) {
    json arms, tuning;
    for (const auto& [key, run] : f.runs()) {
        const std::string arm = run["arm"], variant = run["variant"];
        if (run["tuning"])
            tuning[arm]["runs"].push_back({{"rate", run["settings"]["rate"]},
                                           {"held_out", run["accuracy"]},
                                           {"loss", run["history"].back()["loss"]}});
        else
            arms[arm + (variant.empty() ? "" : ":" + variant)]
                [std::to_string(run["seed"].get<int>())] = run["accuracy"];
    }
    for (auto& [arm, of] : tuning.items())
        of["chosen"] = tuned_rate(arm, f.plan(), f.runs());
    const auto five = f.wanted(5), ten = f.wanted(10);
    json claims;
    claims["a"] = {{"claim", "S3 at 3 bits reaches full precision; difference to fp32 in points"},
                   {"s3_3bit", above(f.against("s3_3bit", "fp32"), -0.3, ten)},
                   {"s3_2bit", above(f.against("s3_2bit", "fp32"), -0.7, five)},
                   {"s3_4bit", above(f.against("s3_4bit", "fp32"), -0.2, five)},
                   {"denseshift_3bit",
                    above(f.against("denseshift_3bit", "fp32", "short", "short"), -0.3, five)}};
    claims["b"] = {{"claim", "S3 at 3 bits is above DeepShift at 3 bits, from random weights"},
                   {"over_deepshift_q", above(f.against("s3_3bit", "deepshift_q"), 0, five)},
                   {"over_deepshift_ps", above(f.against("s3_3bit", "deepshift_ps"), 0, five)}};
    claims["c"] = {{"claim", "S3 is insensitive to the initial latents: at most 0.5 points lost"}};
    for (const char* variant : {"std0.1", "std10", "uniform", "positive"})
        claims["c"][variant] = above(f.against("s3_3bit", "s3_3bit", variant, "short"), -0.5, five);

    const auto never = [](const json& run) {
        return 100 * findings::layers_mean(run, "never_flipped");
    };
    const auto fp32_never = f.by_seed("fp32", "", never);
    claims["d"] = {{"claim",
                    "signs do not freeze: the share of weights that flipped, in points, is "
                    "at most 10 below fp32's"}};
    for (const char* arm : {"s3_3bit", "deepshift_q", "deepshift_ps"})
        claims["d"][arm] =
            above(findings::difference(fp32_never, f.by_seed(arm, "", never)), -10, five);

    const auto early = [](const json& run) {
        const auto& past = run["history"];
        return past[(past.size() + 4) / 5 - 1]["accuracy"].get<double>();
    };
    const std::string s3 = "s3_3bit";
    const auto gain = [&](const std::string& variant) {
        return above(
            findings::difference(f.by_seed(s3, variant, early), f.by_seed(s3, "alpha0", early)), 0,
            five);
    };
    claims["e"] = {{"claim", "the regularizer matters in early epochs: accuracy after a fifth of "
                             "them is above that without it"},
                   {"alpha1e-5", gain("short")},
                   {"alpha1e-4", gain("alpha1e-4")},
                   {"alpha1e-3", gain("alpha1e-3")}};
    for (const std::string variant : {"short", "alpha1e-4", "alpha1e-3"})
        claims["e"]["last_epoch_" + (variant == "short" ? "alpha1e-5" : variant)] =
            to_json(f.against(s3, s3, variant, "alpha0"));

    json rate{{"what", "S3 3-bit in a third of the epochs against itself unvaried, in points"}};
    for (const char* variant : {"std0.1", "std10", "from-fp32"})
        rate[variant] = to_json(f.against("s3_3bit", "s3_3bit", variant, "short"));
    for (const auto& [key, run] : f.runs())
        if (run["tuning"] && run["arm"].get<std::string>().starts_with("s3_"))
            rate["tuning"][key] = {{"accuracy", run["accuracy"]},
                                   {"loss", run["history"].back()["loss"]},
                                   {"flipped", 1 - findings::layers_mean(run, "never_flipped")},
                                   {"latent_rms", findings::layers_mean(run, "latent_rms")},
                                   {"gradient_rms", findings::layers_mean(run, "gradient_rms")}};
    rate["adam"] = to_json(f.against("s3_3bit_adam", "s3_3bit", "short", "short"));
    json schedule;
    for (const std::string v : {"short", ""})
        schedule[v.empty() ? "full" : v] = above(f.against("s3_3bit", "fp32", v, v), -0.3, five);
    return {{"arms", arms},
            {"tuning", tuning},
            {"claims", claims},
            {"learning_rate", rate},
            {"schedule", schedule}};
}

[[nodiscard]] inline std::string page(const findings& f, const json& result) {
    using support::text::fixed;
    support::table accuracies{{"arm", "seeds", "mean %", "lowest", "highest"}};
    for (const auto& [arm, seeds] : result["arms"].items()) {
        std::vector<double> v;
        for (const auto& a : seeds)
            v.push_back(a);
        accuracies.push_back({arm, std::to_string(v.size()), fixed(interval_of(v).mean, 2),
                              fixed(*std::min_element(v.begin(), v.end()), 2),
                              fixed(*std::max_element(v.begin(), v.end()), 2)});
    }
    std::string out = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">"
                      "<title>The claims of S3</title>\n" +
                      std::string(support::page_style) + "<h1>The claims of S3</h1>\n" +
                      support::html(accuracies) + forest(result["claims"]);
    for (const auto& [name, claim] : result["claims"].items()) {
        support::table rows{{"", "difference", "95% interval", "margin", "seeds", "verdict"}};
        for (const auto& [what, r] : claim.items())
            if (r.is_object())
                rows.push_back({what, fixed(r["mean"], 2),
                                fixed(r["interval"][0], 2) + " … " + fixed(r["interval"][1], 2),
                                r.contains("margin") ? fixed(r["margin"], 1) : "",
                                std::to_string(r["seeds"].get<int>()),
                                r.value("verdict", std::string())});
        out += "<h2>(" + name + ") " + claim["claim"].get<std::string>() + "</h2>\n" +
               support::html(rows);
    }
    const std::vector<std::pair<std::string, std::string>> shown{{"fp32", "#7a869a"},
                                                                 {"s3_3bit", "#d9631e"},
                                                                 {"deepshift_q", "#2b7a78"},
                                                                 {"deepshift_ps", "#3d5a98"}};
    const auto arms_chart = [&](const std::string& title, const auto& of) {
        std::vector<support::curve> curves;
        for (const auto& [arm, colour] : shown)
            if (auto v = f.curve_of(arm, "", of); !v.empty())
                curves.push_back({arm, colour, false, std::move(v)});
        return curves.empty() ? std::string() : support::chart(title, curves);
    };
    const auto of_layers = [](const char* member, double factor = 100) {
        return [=](const json& run, std::size_t e) {
            return factor * findings::layers_mean(run, member, e);
        };
    };
    support::table rates{{"tuning", "rate", "held-out %", "training loss", ""}};
    for (const auto& [arm, of] : result["tuning"].items())
        for (const auto& run : of["runs"])
            rates.push_back({arm, support::text::significant(run["rate"], 2),
                             fixed(run["held_out"], 2), fixed(run["loss"], 3),
                             run["rate"] == of["chosen"] ? "chosen" : ""});
    out += support::html(rates) + "<div class='charts'>\n";
    const auto accuracy = [](const json& run, std::size_t e) {
        return run["history"][e]["accuracy"].get<double>();
    };
    out += arms_chart("(a, b) Test accuracy by epoch, %", accuracy);
    out += arms_chart("(a, b) Training loss by epoch", [](const json& run, std::size_t e) {
        return run["history"][e]["loss"].template get<double>();
    });
    out += arms_chart("(d) Weights that changed sign in the epoch, %", of_layers("flips"));
    out += arms_chart("(d) Weights that never changed sign, %", of_layers("never_flipped"));
    struct line {
        std::string label, arm, variant;
    };
    const auto variants_chart = [&](const std::string& title, const std::vector<line>& lines,
                                    const auto& of) {
        const std::array<std::string, 5> colours{"#d9631e", "#7a869a", "#2b7a78", "#3d5a98",
                                                 "#b3372f"};
        std::vector<support::curve> curves;
        for (std::size_t i = 0; i < lines.size(); ++i)
            if (auto v = f.curve_of(lines[i].arm, lines[i].variant, of); !v.empty())
                curves.push_back({lines[i].label, colours[i], false, std::move(v)});
        return curves.empty() ? std::string() : support::chart(title, curves);
    };
    const std::vector<line> alphas{{"1e-5", "s3_3bit", "short"},
                                   {"none", "s3_3bit", "alpha0"},
                                   {"1e-4", "s3_3bit", "alpha1e-4"},
                                   {"1e-3", "s3_3bit", "alpha1e-3"}};
    const std::vector<line> inits{{"default", "s3_3bit", "short"},
                                  {"std0.1", "s3_3bit", "std0.1"},
                                  {"std10", "s3_3bit", "std10"},
                                  {"uniform", "s3_3bit", "uniform"},
                                  {"positive", "s3_3bit", "positive"}};
    out += variants_chart("(e) Zeros by epoch, %", alphas, of_layers("zeros"));
    out += variants_chart("(e) Test accuracy by epoch, %", alphas, accuracy);
    out += variants_chart("(c) Test accuracy by epoch, %", inits, accuracy);
    return out + "</div>\n</html>\n";
}

/// Whole or not at all: an interrupted program leaves no half file.
inline void write_file(const std::filesystem::path& path, const std::string& content) {
    const auto part = path.string() + ".part";
    std::ofstream file(part, std::ios::binary);
    if (!(file << content).flush())
        throw std::runtime_error(part + ": cannot be written");
    file.close();
    std::filesystem::rename(part, path);
}

inline void write_report(const finished_runs& done, const scale& size,
                         const std::filesystem::path& folder) {
    const findings f(done, size);
    const json result = evaluate(f);
    write_file(folder / "claims.json", result.dump(1) + "\n");
    write_file(folder / "claims.svg", forest(result["claims"]));
    write_file(folder / "claims.html", page(f, result));
}

} // namespace claims
