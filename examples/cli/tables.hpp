#pragma once
// Tables for people, and what a network costs: bytes, operations, energy.
//
// Energy by operation in 45 nm CMOS: M. Horowitz, "Computing's energy problem (and what we can do
// about it)", ISSCC 2014: add int8 0.03, int32 0.1, fp32 0.9 pJ; multiply int8 0.2, int32 3.1, fp32
// 3.7 pJ. A shift is not in that table; it is wiring and a multiplexer, and counted as an int8 add.

#include "import_table.hpp"

#include <s3/io/model_file.hpp>

#include <cstdio>
#include <string>
#include <vector>

namespace s3_program {

namespace net = s3::net;

using support::print;
using support::table;
using support::text::count;

template <class... T>
[[nodiscard]] std::string format(const char* pattern, T... values) {
    char text[128];
    std::snprintf(text, sizeof text, pattern, values...);
    return text;
}

/// Of one image. A product with a zero costs nothing, one with ±1 an addition.
struct operations {
    double products = 0;   ///< what a dense layer would multiply
    double additions = 0;  ///< int32, of non-zero shift weights
    double shifts = 0;     ///< of weights that are neither 0 nor ±1
    double multiplies = 0; ///< int8, of int8 weights
    void add(const operations& o) {
        products += o.products;
        additions += o.additions;
        shifts += o.shifts;
        multiplies += o.multiplies;
    }
    [[nodiscard]] double picojoules() const {
        return additions * 0.1 + shifts * 0.03 + multiplies * 0.2;
    }
    [[nodiscard]] double float_picojoules() const { return products * (0.9 + 3.7); }
    [[nodiscard]] double int8_picojoules() const { return products * (0.1 + 0.2); }
};

struct layer_cost {
    std::string format;
    std::size_t weights = 0, zeros = 0, bytes = 0;
    operations work;
};

/// Counts what the weights among a layer's fields cost.
struct weight_visitor {
    layer_cost& cost;
    double pixels; ///< that each weight is applied to

    void operator()(const char*, const net::any_filter& filter) {
        std::visit(
            [&]<class F>(const s3::packed_filter<F>& f) {
                cost.format = F::name;
                cost.weights = f.matrix.size();
                cost.bytes = f.matrix.stream().size();
                std::size_t ones = 0;
                for (std::size_t k = 0; k < f.matrix.size(); ++k) {
                    const int v = F::value(s3::layout::get<F::bits>(f.matrix.stream().data(), k));
                    cost.zeros += v == 0;
                    ones += v == 1 || v == -1;
                }
                const auto weights = static_cast<double>(cost.weights);
                const auto present = static_cast<double>(cost.weights - cost.zeros);
                cost.work.products = weights * pixels;
                cost.work.additions = present * pixels;
                if (F::is_shift)
                    cost.work.shifts = (present - static_cast<double>(ones)) * pixels;
                else
                    cost.work.multiplies = present * pixels;
            },
            filter);
    }
    void operator()(const char* name, const std::vector<float>& values) {
        if (name != std::string_view("weight"))
            return;
        cost.format = "float";
        cost.weights = values.size();
        cost.bytes = cost.weights * 4;
        cost.work.products = static_cast<double>(cost.weights) * pixels;
    }
    template <class T>
    void operator()(const char*, const T&) {}
};

[[nodiscard]] inline layer_cost cost_of(const net::model& m, std::size_t i) {
    const auto& out = m.values[i + 1];
    layer_cost cost;
    std::visit(
        [&]<class L>(const L& l) {
            cost.format = net::name_of(l);
            L::fields(l, weight_visitor{cost, static_cast<double>(out.height * out.width)});
            if constexpr (std::is_same_v<L, net::multiplication>) // of bytes with bytes
                cost.work.products = cost.work.multiplies = static_cast<double>(out.size());
        },
        m.layers[i].operation);
    return cost;
}

inline void print_costs(const net::model& m) {
    support::table rows{{"layer", "weights", "format", "zeros", "bytes", "output", "bits",
                         "products", "adds", "shifts", "multiplies", "uJ"}};
    operations all;
    std::size_t weights = 0, bytes = 0;
    for (std::size_t i = 0; i < m.layers.size(); ++i) {
        const layer_cost c = cost_of(m, i);
        const auto& out = m.values[i + 1];
        rows.push_back({m.layers[i].name, count(static_cast<double>(c.weights)), c.format,
                        c.weights == 0 ? ""
                                       : format("%.1f%%", 100.0 * static_cast<double>(c.zeros) /
                                                              static_cast<double>(c.weights)),
                        count(static_cast<double>(c.bytes)),
                        format("%zux%zux%zu", out.height, out.width, out.channels),
                        std::to_string(out.bits), count(c.work.products), count(c.work.additions),
                        count(c.work.shifts), count(c.work.multiplies),
                        format("%.3f", c.work.picojoules() * 1e-6)});
        all.add(c.work);
        weights += c.weights;
        bytes += c.bytes;
    }
    rows.push_back({"all", count(static_cast<double>(weights)), "", "",
                    count(static_cast<double>(bytes)), "", "", count(all.products),
                    count(all.additions), count(all.shifts), count(all.multiplies),
                    format("%.3f", all.picojoules() * 1e-6)});
    support::print(rows);
    std::printf("Weights take %.1f%% of their bytes in fp32. %.1f%% of the products need no "
                "multiplication.\n"
                "Arithmetic of one image, 45 nm (Horowitz, ISSCC 2014): %.3f uJ; the same network "
                "in int8 %.3f uJ,\nin fp32 %.3f uJ. Shifts are counted as int8 additions; memory "
                "is not counted.\n",
                100.0 * static_cast<double>(bytes) / (4.0 * static_cast<double>(weights)),
                100 * (1 - all.multiplies / std::max(all.products, 1.0)), all.picojoules() * 1e-6,
                all.int8_picojoules() * 1e-6, all.float_picojoules() * 1e-6);
}

} // namespace s3_program
