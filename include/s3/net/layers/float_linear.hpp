#pragma once
// A last layer in float: y = bias + weights·x, where x are the real numbers of the whole input. Its
// output is float32 and promises no bits, because the compiler chooses the order of its sums.

#include <s3/net/layer.hpp>

namespace s3::net {

struct float_linear {
    value_id input = {};
    std::vector<float> weights = {}; ///< [channels of the output][size of the input]
    std::vector<float> bias = {};    ///< per output channel, or empty

    static constexpr std::array names{"float_linear"};

    template <class Self, class Function>
    static void fields(Self& l, Function&& f) {
        f("input", l.input);
        f("weight", l.weights);
        f("bias", l.bias);
    }

    [[nodiscard]] element_type element() const noexcept { return element_type::float32; }

    result<value_info> infer(const layer_site& s) const {
        const std::size_t columns = s[input].size(), outputs = weights.size() / columns;
        if (outputs == 0 || weights.size() % columns != 0)
            return error(errc::shape_mismatch, "weights")
                .got(weights.size())
                .needs(saturating_mul(columns, s.out().channels));
        return detail::resized(s.out(), 1, outputs);
    }
    status check(const layer_site& s) const {
        if (!bias.empty() && bias.size() != s.out().channels)
            return error(errc::shape_mismatch, "bias").got(bias.size()).needs(s.out().channels);
        for (const float w : weights)
            if (!is_finite(w))
                return error(errc::not_finite, "weights");
        for (const float b : bias)
            if (!is_finite(b))
                return error(errc::not_finite, "bias");
        return {};
    }

    template <architecture Arch>
    status run(const run_site<Arch>& s, float* y) const {
        const value_info &in = s[input], &out = s.out();
        const auto x = s.bytes(input);
        s.in_pieces(s.batch * out.channels, [&](std::size_t begin, std::size_t end) {
            for (std::size_t i = begin; i < end; ++i) {
                const std::size_t m = i % out.channels, first = i / out.channels * in.size();
                float sum = 0;
                for (std::size_t k = 0; k < in.size(); ++k)
                    sum += static_cast<float>(x[first + k] - in.zero_point) *
                           weights[m * in.size() + k];
                y[i] = sum * in.scale + (bias.empty() ? 0.0f : bias[m]);
            }
        });
        return {};
    }

    /// Leaves zeros, because there are no bits that `run` must equal.
    void reference(const reference_site&, std::vector<std::int32_t>&) const {}

    template <class Writer>
    void emit(Writer& w) const {
        w.call("float_linear",
               {w.array("float", "weights", weights), w.array("float", "bias", bias),
                w.number(w[input].size()), w.number(w.out().channels), w.value(input),
                w.real(w[input].scale), w.number(w[input].zero_point), w.result()});
    }
};

} // namespace s3::net
