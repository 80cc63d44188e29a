#pragma once
// Fused layers, their weights and the quantizers of their activations → an integer model.
//
// With the integer sum acc = Σ w·q, batch norm goes into the epilogue, including the sign of γ:
//
//   real convolution   x = unit·(acc − zero_point·Σw)
//                          where unit = scale of the input · scale of the channel
//   batch norm         y = factor·x + offset
//   epilogue           scale = factor·unit / scale of the output
//                      bias = round(offset / (factor·unit)) − zero_point·Σw
//
// Where weights were rounded, the offset makes up for the mean of what the sums lose. An input with
// a mean and a deviation per channel stays bytes: both go into the offset and the
// weights of the first convolution. Errors: rows whose sums could overflow int32, judged by their
// real Σ|w|.

#include <s3/import/calibrate.hpp>
#include <s3/import/state_dict.hpp>

#include <limits>
#include <set>
#include <string>

namespace s3::importing {

/// What became of one layer, for people to read.
struct layer_report {
    std::string name;
    std::string format; ///< the format of the weights, or the kind of the layer
    std::string method;
    std::size_t weights = 0;
    std::size_t zeros = 0;
    float least_scale = 0, largest_scale = 0; ///< real weight = scale · value
    double weight_error = 0;                  ///< relative to the weights given
    int bits = 8;
    double scale = 0;            ///< scale of the output activations
    double activation_error = 0; ///< relative error of rounding activations on the samples
};

struct imported_network {
    net::model model;
    std::vector<layer_report> report;
};

namespace detail {

class network_lowering {
public:
    network_lowering(const description& d, const fused_network& n, network_weights weights,
                     calibration measured)
        : d_(d), n_(n), w_(std::move(weights)), q_(std::move(measured.quantizers)),
          means_(std::move(measured.means)) {
        for (const line& s : d.lines)
            names_.insert(s.name);
    }

    described_result<imported_network> run() {
        for (std::size_t v = 0; v < q_.size(); ++v) {
            const auto& shape = n_.shapes.values[v == 0 ? 0 : n_.layers[v - 1].last + 1];
            out_.model.values.push_back({shape.height, shape.width, shape.channels, q_[v].bits,
                                         static_cast<float>(q_[v].scale), q_[v].zero_point,
                                         d_.kind});
        }
        for (std::size_t i = 0; i < n_.layers.size(); ++i) {
            const fused_layer& f = n_.layers[i];
            value(i + 1).element = f.output;
            const line& s = d_.lines[f.first];
            net::layer l;
            layer_report r;
            if (f.output == net::element_type::float32) {
                l.operation = lower_float(i, r);
            } else if (is_convolution(s.kind)) {
                net::convolution c;
                if (auto done = lower(i, c, r); !done)
                    return done.error();
                l.operation = std::move(c);
            } else {
                l.operation = lower(i, r);
            }
            l.name = s.name.empty() ? free_name(s, i) : s.name;
            r.name = l.name;
            r.bits = value(i + 1).bits;
            r.scale = value(i + 1).scale;
            r.activation_error = f.output == net::element_type::uint8 ? q_[i + 1].error : 0;
            out_.report.push_back(std::move(r));
            out_.model.layers.push_back(std::move(l));
        }
        return std::move(out_);
    }

private:
    [[nodiscard]] net::value_info& value(std::size_t v) { return out_.model.values[v]; }
    /// The numbers of the further values that a layer reads.
    [[nodiscard]] std::vector<std::size_t> other_inputs(const fused_layer& f) const {
        std::vector<std::size_t> numbers;
        for (const std::size_t v : d_.lines[f.first].others)
            numbers.push_back(n_.value_of[v]);
        return numbers;
    }
    [[nodiscard]] described_error refuse(const fused_layer& f, const std::string& why,
                                         const error& e) {
        return importing::refuse(d_.lines[f.first], why, e);
    }

    /// The name of a layer to which the description gives none.
    [[nodiscard]] std::string free_name(const line& unnamed, std::size_t i) {
        std::string name = unnamed.word + std::to_string(i);
        while (!names_.insert(name).second)
            name += '_';
        return name;
    }

    /// The byte that is nearest to a real number.
    [[nodiscard]] static int byte_of(double real, const net::value_info& v) {
        return nearest(v.zero_point + real / double{v.scale}, v.top());
    }

    template <class Operation>
    void set_limits(std::size_t i, Operation& o) {
        const fused_layer& f = n_.layers[i];
        const net::value_info& out = value(i + 1);
        o.clamp_low = f.limit ? byte_of(f.limit->low, out) : 0;
        o.clamp_high = f.limit ? byte_of(f.limit->high, out) : out.top();
    }

    /// A layer without weights.
    [[nodiscard]] net::layer_list::any lower(std::size_t i, layer_report& r) {
        const line& s = d_.lines[n_.layers[i].first];
        r.format = s.kind == line_kind::function ? s.function.name : "";
        switch (s.kind) {
        case line_kind::add:
            return add(i, r);
        case line_kind::multiply:
            return multiply(i, r);
        case line_kind::concatenate:
            return concatenate(i, r);
        case line_kind::function:
            return look_up(i);
        case line_kind::upsample:
            r.format = "upsampling";
            return net::upsampling{n_.input_of(n_.layers[i]), s.factor};
        case line_kind::pad:
            r.format = "padding";
            return net::padding{n_.input_of(n_.layers[i]), s.before, s.after};
        default:
            return pool(i, r);
        }
    }

    [[nodiscard]] net::scaled_input scaled(std::size_t v, std::size_t i) {
        return {v, value(v).scale / value(i + 1).scale};
    }

    [[nodiscard]] net::addition add(std::size_t i, layer_report& r) {
        const auto a = scaled(n_.input_of(n_.layers[i]), i),
                   b = scaled(other_inputs(n_.layers[i])[0], i);
        net::addition sum{a.value, b.value, a.scale, b.scale};
        set_limits(i, sum);
        r.format = "addition";
        return sum;
    }

    [[nodiscard]] net::multiplication multiply(std::size_t i, layer_report& r) {
        net::multiplication m{n_.input_of(n_.layers[i]), other_inputs(n_.layers[i])[0]};
        if (value(m.a).size() < value(m.b).size()) // a number per channel comes second
            std::swap(m.a, m.b);
        m.scale = static_cast<float>(double{value(m.a).scale} * double{value(m.b).scale} /
                                     double{value(i + 1).scale});
        set_limits(i, m);
        r.format = "multiplication";
        return m;
    }

    [[nodiscard]] net::concatenation concatenate(std::size_t i, layer_report& r) {
        net::concatenation c{{scaled(n_.input_of(n_.layers[i]), i)}};
        for (const std::size_t v : other_inputs(n_.layers[i]))
            c.inputs.push_back(scaled(v, i));
        r.format = "concatenation";
        return c;
    }

    [[nodiscard]] net::table look_up(std::size_t i) {
        const activation& f = d_.lines[n_.layers[i].first].function;
        net::table t{n_.input_of(n_.layers[i]), {}};
        const net::value_info &in = value(t.input), &out = value(i + 1);
        for (int q = 0; q <= in.top(); ++q)
            t.entries.push_back(
                static_cast<std::uint8_t>(byte_of(f((q - in.zero_point) * double{in.scale}), out)));
        return t;
    }

    [[nodiscard]] net::pooling pool(std::size_t i, layer_report& r) {
        const line& s = d_.lines[n_.layers[i].first];
        net::pooling p;
        p.input = n_.input_of(n_.layers[i]);
        const net::value_info &in = value(p.input), &out = value(i + 1);
        p.kind = s.kind == line_kind::max_pool ? net::pooling_kind::max : net::pooling_kind::mean;
        const bool global = s.kind == line_kind::global_mean;
        p.window = global ? extent(in.height, in.width) : s.kernel;
        p.stride = global ? extent(1) : s.stride;
        p.padding = s.padding;
        const double area = static_cast<double>(p.window.height * p.window.width);
        if (p.kind == net::pooling_kind::mean)
            p.scale = static_cast<float>(double{in.scale} / (double{out.scale} * area));
        r.format = p.kind == net::pooling_kind::max ? "max pooling" : "mean pooling";
        return p;
    }

    /// y = factor·x + offset of one row, from its bias, the input's mean and its batch norm.
    struct affine {
        double factor = 1, offset = 0;
    };
    [[nodiscard]] affine affine_of(const fused_layer& f, std::size_t row) {
        const float_weights& w = w_.real[f.first];
        affine a;
        a.offset = w.offset.empty() ? 0 : w.offset[row];
        if (n_.is_input[n_.input_of(f)] && !d_.mean.empty()) {
            const filter_shape& shape = n_.shapes.filters[f.first];
            const std::size_t first = row / (shape.out_channels / d_.lines[f.first].groups);
            const double padding = (value(0).zero_point - d_.zero_point) * double{value(0).scale};
            for (std::size_t k = 0; k < shape.columns(); ++k) {
                const std::size_t channel = first * shape.in_channels + k % shape.in_channels;
                a.offset += w.filter[row * shape.columns() + k] * (padding - d_.mean[channel]) /
                            (d_.deviation.empty() ? 1 : d_.deviation[channel]);
            }
        }
        a.offset += lost_by_rounding(f, row);
        if (f.norm) {
            a.factor = w_.real[*f.norm].factor[row];
            a.offset = a.offset * a.factor + w_.real[*f.norm].offset[row];
        }
        return a;
    }

    /// The mean of what a row's sum loses because its weights were rounded, Σ (w − rounded)·mean of
    /// the channel: part of the bias makes up for it (Nagel et al. 2019, "bias correction").
    [[nodiscard]] double lost_by_rounding(const fused_layer& f, std::size_t row) const {
        const imported_weights& w = w_.packed[f.first];
        const std::vector<double>& means = means_[n_.input_of(f)];
        // Weights that read the input may be divided by its deviations, and are int8 by default.
        if (w.error == 0 || means.empty() || n_.is_input[n_.input_of(f)])
            return 0;
        const filter_shape& shape = n_.shapes.filters[f.first];
        const std::size_t columns = shape.columns();
        const std::size_t first =
            row / (shape.out_channels / d_.lines[f.first].groups) * shape.in_channels;
        return std::visit(
            [&](const auto& p) {
                double lost = 0;
                for (std::size_t k = 0; k < columns; ++k)
                    lost += (double{w.real[row * columns + k]} -
                             double{p.matrix.real_scale(row)} * p.matrix.value(row, k)) *
                            means[first + k % shape.in_channels];
                return lost;
            },
            w.filter);
    }

    void report_weights(const fused_layer& f, layer_report& r) const {
        const imported_weights& w = w_.packed[f.first];
        r.format = w.format;
        r.method = w.method;
        r.zeros = w.zeros;
        r.weights = w.real.size();
        r.weight_error = w.error;
    }

    [[nodiscard]] net::float_linear lower_float(std::size_t i, layer_report& r) {
        const fused_layer& f = n_.layers[i];
        report_weights(f, r);
        r.least_scale = r.largest_scale = 1;
        value(i + 1).scale = 1;
        value(i + 1).zero_point = 0;
        net::float_linear l{n_.input_of(f), w_.real[f.first].filter, {}};
        for (std::size_t m = 0; m < value(i + 1).channels; ++m)
            l.bias.push_back(static_cast<float>(affine_of(f, m).offset));
        if (n_.is_input[l.input] && !d_.deviation.empty())
            for (std::size_t k = 0; k < l.weights.size(); ++k)
                l.weights[k] /= static_cast<float>(d_.deviation[k % d_.channels]);
        return l;
    }

    described_status lower(std::size_t i, net::convolution& c, layer_report& r) {
        const fused_layer& f = n_.layers[i];
        const line& s = d_.lines[f.first];
        imported_weights& w = w_.packed[f.first];
        c.input = n_.input_of(f);
        const net::value_info& in = value(c.input);
        net::value_info& out = value(i + 1);
        c.options = {s.stride, s.padding, s.dilation, s.groups, in.zero_point};
        c.raw = f.output == net::element_type::int32;
        if (f.residual)
            c.residual = scaled(n_.value_of[*f.residual], i);
        report_weights(f, r);
        r.least_scale = std::numeric_limits<float>::max();
        for (std::size_t m = 0; m < s.out; ++m) {
            const auto [scale, sum, abs_sum] = std::visit(
                [&](const auto& p) {
                    return std::tuple(double{p.matrix.real_scale(m)},
                                      static_cast<double>(p.matrix.sums()[m]),
                                      static_cast<double>(p.matrix.abs_sums()[m]));
                },
                w.filter);
            r.least_scale = std::min(r.least_scale, static_cast<float>(scale));
            r.largest_scale = std::max(r.largest_scale, static_cast<float>(scale));
            const double unit = double{in.scale} * scale;
            auto [factor, offset] = affine_of(f, m);
            // `room` is what the sums leave for the bias in int32. A channel that batch norm all
            // but switches off has a factor near 0, which is raised until the bias fits.
            const double room = std::numeric_limits<std::int32_t>::max() - abs_sum * in.top() -
                                std::abs(sum) * in.zero_point - 1;
            if (room < 0)
                return refuse(f,
                              "row " + std::to_string(m) + " has a sum of |w| of " +
                                  std::to_string(static_cast<std::int64_t>(abs_sum)) +
                                  ": int32 sums could overflow",
                              error(errc::depth_exceeded, "weight").at(m).got(abs_sum));
            const double least = std::max(std::fabs(offset) / unit / std::max(room, 1.0), 1e-30);
            if (c.raw && least > 1)
                return refuse(f, "the bias of row " + std::to_string(m) + " is too large",
                              error(errc::depth_exceeded, "bias").at(m).got(offset));
            factor = std::copysign(std::max(std::fabs(factor), least), factor);
            c.bias.push_back(static_cast<std::int32_t>(
                std::clamp(std::nearbyint(offset / (factor * unit)), -room, room) -
                sum * in.zero_point));
            if (!c.raw)
                c.scale.push_back(static_cast<float>(factor * unit / double{out.scale}));
            else if (r.least_scale != r.largest_scale)
                return refuse(f, "the last layer needs one scale for all its rows",
                              error(errc::unsupported, "scale").at(m));
            else
                out_.model.output_scale = static_cast<float>(unit);
        }
        if (c.raw) {
            out.scale = out_.model.output_scale;
            out.bits = 8;
            out.zero_point = 0;
        }
        set_limits(i, c);
        c.filter = std::move(w.filter);
        return {};
    }

    const description& d_;
    const fused_network& n_;
    network_weights w_;
    std::vector<quantizer> q_;
    std::vector<std::vector<double>> means_;
    std::set<std::string> names_; ///< of layers, given by the description or here
    imported_network out_;
};

} // namespace detail

} // namespace s3::importing
