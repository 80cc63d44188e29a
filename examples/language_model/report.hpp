#pragma once
// What the run found: a table for the terminal, index.html with the same table and curves, and
// language_model.json for machines.

#include "page.hpp"
#include "results.hpp"
#include "train.hpp"

#include <s3/io/safetensors.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace lm {

/// What one training came to. Bits per byte are those of held-out text.
struct outcome {
    std::vector<point> past;
    double float_bits = 0;
    double packed_bits = 0; ///< of the file, without libtorch; 0 in fp32
    std::size_t file_bytes = 0;
};

struct arm_results {
    arm kind;
    std::vector<outcome> seeds;
};

struct results {
    training_options training;
    std::size_t parameters = 0, training_bytes = 0, held_out_bytes = 0;
    std::vector<arm_results> arms;
    std::string sample;
    double seconds = 0;

    /// The largest difference between the loss of a packed model and that of its float model.
    [[nodiscard]] double difference() const {
        double most = 0;
        for (const auto& a : arms)
            for (const auto& o : a.seeds)
                if (a.kind != arm::fp32)
                    most = std::max(most, std::abs(o.packed_bits - o.float_bits));
        return most;
    }
};

[[nodiscard]] inline const char* title(arm kind) {
    return kind == arm::fp32 ? "fp32" : kind == arm::ternary ? "ternary (absmean)" : "3-bit S3";
}

/// How far the loss of a packed model may be from the float model's. Their integer sums are the
/// same, but norms and attention are float sums in another order, so that now and then an
/// activation rounds to the next integer, which moves the loss of one byte either way. Runs came
/// to 1e-6 … 1e-5.
inline constexpr double tolerance = 1e-3; ///< bits per byte

[[nodiscard]] inline support::table outcome_table(const results& r) {
    using support::text::fixed;
    support::table rows{{"weights", "bits per byte, mean", "of each seed",
                         "packed, largest difference", "bytes of the file"}};
    for (const auto& a : r.arms) {
        double sum = 0, most = 0;
        std::string each;
        for (const auto& o : a.seeds) {
            sum += o.float_bits;
            most = std::max(most, std::abs(o.packed_bits - o.float_bits));
            each += (each.empty() ? "" : " ") + fixed(o.float_bits, 3);
        }
        const bool packed = a.kind != arm::fp32;
        rows.push_back(
            {title(a.kind), fixed(sum / static_cast<double>(a.seeds.size()), 3), each,
             packed ? fixed(most, 6) : "",
             packed ? support::text::count(static_cast<double>(a.seeds[0].file_bytes)) : ""});
    }
    return rows;
}

/// A curve of each arm: the mean of its seeds.
template <class Member>
[[nodiscard]] std::vector<support::curve> curves(const results& r, Member&& member) {
    std::vector<support::curve> all;
    for (const auto& a : r.arms) {
        std::vector<double> mean(a.seeds[0].past.size());
        for (const auto& o : a.seeds)
            for (std::size_t i = 0; i < mean.size(); ++i)
                mean[i] += member(o.past[i]) / static_cast<double>(a.seeds.size());
        const char* const colour = a.kind == arm::fp32      ? "#7a869a"
                                   : a.kind == arm::ternary ? "#2b7a78"
                                                            : "#d9631e";
        all.push_back({title(a.kind), colour, false, std::move(mean)});
    }
    return all;
}

/// Text that may hold any bytes, for the terminal or a page.
[[nodiscard]] inline std::string escaped(const std::string& text, bool for_html) {
    std::string out;
    for (const char c : text)
        if (for_html && (c == '<' || c == '&'))
            out += c == '<' ? "&lt;" : "&amp;";
        else
            out += c == '\n' || (c >= ' ' && c <= '~') ? c : '?';
    return out;
}

[[nodiscard]] inline std::string notes(const results& r) {
    using support::text::count;
    return "Bits per byte are those of " + count(static_cast<double>(r.held_out_bytes)) +
           " bytes of held-out text, in windows of " + std::to_string(config().context) +
           ", after " + std::to_string(r.training.steps) + " steps (" +
           count(static_cast<double>(r.training.steps) * static_cast<double>(r.training.batch) *
                 static_cast<double>(config().context)) +
           " of " + count(static_cast<double>(r.training_bytes)) + " bytes); the model has " +
           count(static_cast<double>(r.parameters)) +
           " weights. The loss of a packed model is the float model's with the same rounding, " +
           (r.difference() <= tolerance ? "within " : "NOT WITHIN ") +
           support::text::significant(tolerance, 1) + ". The whole run took " +
           support::text::fixed(r.seconds, 0) + " s.";
}

[[nodiscard]] inline std::string page(const results& r) {
    const auto each = std::to_string(r.training.steps / r.training.points);
    return R"(<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>A small language model in few bits</title>
)" + std::string(support::page_style) +
           "<h1>A small language model in few bits</h1>\n<p>A transformer of bytes, trained with "
           "three kinds of weights in its linear layers. Fewer bits per byte are better.</p>\n" +
           support::html(outcome_table(r)) + "<p>" + notes(r) + "</p>\n<div class='charts'>\n" +
           support::chart("Held-out bits per byte, every " + each + " steps",
                          curves(r, [](const point& p) { return p.held_out; })) +
           support::chart("Training bits per byte, every " + each + " steps",
                          curves(r, [](const point& p) { return p.training; })) +
           "</div>\n<p>What the packed 3-bit model writes:</p>\n<pre>" + escaped(r.sample, true) +
           "</pre>\n</html>\n";
}

[[nodiscard]] inline std::string json(const results& r) {
    nlohmann::ordered_json all{{"steps", r.training.steps},
                               {"parameters", r.parameters},
                               {"seconds", r.seconds},
                               {"difference", r.difference()}};
    for (const auto& a : r.arms)
        for (const auto& o : a.seeds) {
            nlohmann::ordered_json held_out = nlohmann::ordered_json::array();
            for (const auto& p : o.past)
                held_out.push_back(p.held_out);
            all[title(a.kind)].push_back({{"float", o.float_bits},
                                          {"packed", o.packed_bits},
                                          {"file_bytes", o.file_bytes},
                                          {"held_out", held_out}});
        }
    return all.dump(2) + "\n";
}

/// Writes index.html and language_model.json.
inline void write_report(const results& r, const std::string& folder) {
    const auto write = [&](const char* name, const std::string& content) {
        const std::string path = folder + "/" + name;
        support::check(s3::safetensors::save(path, std::as_bytes(std::span(content))), path);
    };
    write("language_model.json", json(r));
    write("index.html", page(r));
}

} // namespace lm
