#pragma once
// What a network costs: bytes of weights, operations and the energy of its arithmetic.
//
// Energy by operation in 45 nm CMOS: M. Horowitz, "Computing's energy problem (and what we can do
// about it)", ISSCC 2014: add int8 0.03, int32 0.1, fp32 0.9 pJ; multiply int8 0.2, int32 3.1, fp32
// 3.7 pJ. A shift is not in that table; it is wiring and a multiplexer, and counted as an int8 add.

#include <s3/net/model.hpp>

#include <string_view>
#include <type_traits>

namespace s3::net {

/// Of one image. A product with a zero costs nothing, one with ±1 an addition.
struct operation_counts {
    double products = 0;   ///< what a dense layer would multiply
    double additions = 0;  ///< int32, of non-zero shift weights
    double shifts = 0;     ///< of weights that are neither 0 nor ±1
    double multiplies = 0; ///< int8, of int8 weights
    void add(const operation_counts& o) {
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

/// What one layer costs.
struct layer_cost {
    const char* format = ""; ///< of its weights, or the name of the layer
    std::size_t weights = 0, zeros = 0, bytes = 0;
    operation_counts work;
};

namespace detail {

/// Counts what the weights among a layer's fields cost.
struct cost_counter {
    layer_cost& cost;
    double pixels; ///< that each weight is applied to

    void operator()(const char*, const any_filter& filter) {
        std::visit(
            [&]<class F>(const packed_filter<F>& f) {
                cost.format = F::name;
                cost.weights = f.matrix.size();
                cost.bytes = f.matrix.stream().size();
                std::size_t ones = 0;
                for (std::size_t k = 0; k < f.matrix.size(); ++k) {
                    const int v = F::value(layout::get<F::bits>(f.matrix.stream().data(), k));
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

} // namespace detail

/// What layer i costs. Precondition: i < m.layers.size().
[[nodiscard]] inline layer_cost cost_of(const model& m, std::size_t i) {
    const auto& out = m.values[i + 1];
    layer_cost cost;
    std::visit(
        [&]<class L>(const L& l) {
            cost.format = name_of(l);
            L::fields(l, detail::cost_counter{cost, static_cast<double>(out.height * out.width)});
            if constexpr (std::is_same_v<L, multiplication>) // of bytes with bytes
                cost.work.products = cost.work.multiplies = static_cast<double>(out.size());
        },
        m.layers[i].operation);
    return cost;
}

} // namespace s3::net
