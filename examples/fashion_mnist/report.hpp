#pragma once
// What the run found: tables on the terminal, main_job.json for machines, and index.html, one
// self-contained page with the same tables and curves.

#include "import_table.hpp"
#include "integers.hpp"
#include "speed.hpp"
#include "train.hpp"

namespace fashion {

/// What one family of kernels reached on the test images.
struct kernel_results {
    double accuracy = 0; ///< in percent
    double images_per_second = 0;
};
/// The network with activations of so many bits.
struct integer_results {
    int bits = 8;
    kernel_results shift_add, dot;
    torch::Tensor logits;
    bool logits_identical = false; ///< every one, by both families
};

struct results {
    history fp32, s3;
    std::vector<integer_results> integers; ///< the first is the network that is kept
    std::vector<s3::importing::layer_report> layers;
    std::size_t weight_bytes = 0;
    float_speed fp32_speed;
    double seconds = 0;

    [[nodiscard]] std::size_t fp32_weight_bytes() const {
        std::size_t weights = 0;
        for (const auto& layer : layers)
            weights += layer.weights;
        return weights * sizeof(float);
    }
    [[nodiscard]] bool logits_identical() const {
        return std::all_of(integers.begin(), integers.end(),
                           [](const auto& r) { return r.logits_identical; });
    }
};

[[nodiscard]] inline support::table outcome_table(const results& r) {
    const auto bytes = [](std::size_t n) { return support::text::count(static_cast<double>(n)); };
    const auto row = [&](const char* name, const kernel_results& k) -> std::vector<std::string> {
        return {name, support::text::percent(k.accuracy, 2), bytes(r.weight_bytes),
                support::text::count(k.images_per_second)};
    };
    const auto& kept = r.integers.front();
    return {
        {"network", "test accuracy", "bytes of weights", "images/s"},
        {"fp32, libtorch", support::text::percent(r.fp32.back().test_accuracy, 2),
         bytes(r.fp32_weight_bytes()), support::text::count(r.fp32_speed.images_per_second)},
        {"S3 3-bit, float, libtorch", support::text::percent(r.s3.back().test_accuracy, 2), "", ""},
        row("S3 3-bit, integers, shift_add", kept.shift_add),
        row("S3 3-bit, integers, dot", kept.dot)};
}

/// One row for each number of bits.
[[nodiscard]] inline support::table integer_table(const std::vector<integer_results>& all) {
    support::table rows{
        {"activations", "test accuracy", "images/s, shift_add", "images/s, dot", "logits"}};
    for (const auto& r : all)
        rows.push_back({std::to_string(r.bits) + " bits", support::text::percent(r.dot.accuracy, 2),
                        support::text::count(r.shift_add.images_per_second),
                        support::text::count(r.dot.images_per_second),
                        r.logits_identical ? "identical" : "DIFFERENT"});
    return rows;
}

[[nodiscard]] inline support::table sign_table(const results& r) {
    support::table rows{{"shift layer", "changed sign", "changed sign in fp32"}};
    for (std::size_t i = 0; i < inner_layers.size(); ++i)
        rows.push_back({"inner" + std::to_string(i + 1),
                        support::text::percent(r.s3.back().ever_changed[i]),
                        support::text::percent(r.fp32.back().ever_changed[i])});
    return rows;
}

[[nodiscard]] inline std::vector<support::table> tables(const results& r) {
    return {outcome_table(r), integer_table(r.integers), support::import_table(r.layers),
            sign_table(r)};
}

[[nodiscard]] inline std::string notes(const results& r) {
    std::string lines;
    lines += std::string("The logits of shift_add and dot are ") +
             (r.logits_identical() ? "identical, every one of them." : "NOT IDENTICAL.") + "\n";
    lines +=
        "Weights take 1/" +
        support::text::fixed(
            static_cast<double>(r.fp32_weight_bytes()) / static_cast<double>(r.weight_bytes), 1) +
        " of fp32's bytes (first and last layer: 8 bits, the others: 3).\n";
    lines += "Images per second are those of one thread (" + std::string(s3::arch::native::name) +
             "); batch " + std::to_string(classifier::batch) + " in integers, " +
             std::to_string(r.fp32_speed.batch) + " in libtorch, whose norms are folded.\n";
    lines += support::import_note;
    lines += "\"Changed sign\": the share of weights that had both signs at ends of epochs.\n";
    lines += "The whole run took " + support::text::fixed(r.seconds, 0) + " s.\n";
    return lines;
}

[[nodiscard]] inline std::string json(const results& r) {
    const auto &shift_add = r.integers.front().shift_add, &dot = r.integers.front().dot;
    const nlohmann::ordered_json values{
        {"fp32", r.fp32.back().test_accuracy},
        {"s3_float", r.s3.back().test_accuracy},
        {"s3_shift_add", shift_add.accuracy},
        {"s3_dot", dot.accuracy},
        {"logits_identical", r.logits_identical()},
        {"weight_bytes", r.weight_bytes},
        {"fp32_weight_bytes", r.fp32_weight_bytes()},
        {"images_per_second", std::max(shift_add.images_per_second, dot.images_per_second)},
        {"fp32_images_per_second", r.fp32_speed.images_per_second},
        {"seconds", r.seconds}};
    return values.dump(2) + "\n";
}

/// `member` of every epoch.
template <class Member>
[[nodiscard]] std::vector<double> series(const history& past, Member&& member) {
    std::vector<double> values;
    for (const auto& epoch : past)
        values.push_back(member(epoch));
    return values;
}

[[nodiscard]] inline std::string page(const results& r) {
    const std::string grey = "#7a869a", orange = "#d9631e";
    const std::array<std::string, 4> colours{"#d9631e", "#b3372f", "#2b7a78", "#3d5a98"};
    const auto loss = [](const epoch_record& e) { return e.loss; };
    const auto test = [](const epoch_record& e) { return e.test_accuracy; };
    std::vector<support::curve> zeros, changes;
    for (std::size_t i = 0; i < inner_layers.size(); ++i) {
        const auto name = "inner" + std::to_string(i + 1);
        const auto change = [i](const epoch_record& e) { return e.sign_changes[i]; };
        zeros.push_back({name, colours[i], false,
                         series(r.s3, [i](const epoch_record& e) { return e.zeros[i]; })});
        changes.push_back({name, colours[i], false, series(r.s3, change)});
        changes.push_back({"in fp32", colours[i], true, series(r.fp32, change)});
    }
    std::string found;
    for (const auto& t : tables(r))
        found += support::html(t);
    std::string lines = notes(r);
    for (std::size_t at = 0; (at = lines.find('\n', at)) != std::string::npos; at += 5)
        lines.replace(at, 1, "<br>\n");
    return R"(<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>S3 on Fashion-MNIST</title>
)" + std::string(support::page_style) +
           R"(<h1>A 3-bit shift network on Fashion-MNIST</h1>
<p>The same small CNN trained twice: in fp32, and with S3 weights {0, ±1, ±2, ±4} in its four inner
convolutions. The second is then packed into 3 bits a weight and run in exact integers, without
(shift_add) and with (dot) multiplications.</p>
)" + found +
           "<p>" + lines + "</p>\n<div class='charts'>\n" +
           support::chart("Training loss by epoch",
                          {{"fp32", grey, false, series(r.fp32, loss)},
                           {"S3 3-bit", orange, false, series(r.s3, loss)}}) +
           support::chart("Test accuracy by epoch, %",
                          {{"fp32", grey, false, series(r.fp32, test)},
                           {"S3 3-bit", orange, false, series(r.s3, test)}}) +
           support::chart("Zeros among S3 weights, %", zeros) +
           support::chart("Weights that changed sign in the epoch, %", changes) +
           "</div>\n</html>\n";
}

/// Writes main_job.json and index.html.
inline void write_report(const results& r, const std::filesystem::path& folder) {
    const auto write = [&](const char* name, const std::string& content) {
        const auto path = (folder / name).string();
        support::check(s3::safetensors::save(path, std::as_bytes(std::span(content))), path);
    };
    write("main_job.json", json(r));
    write("index.html", page(r));
}

} // namespace fashion
