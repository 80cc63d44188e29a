#pragma once
// A trained PyTorch network → an exact integer network.
//
//   state dict (safetensors) + description (net/description.hpp) + sample images → net::model
//
// Batch norm is folded into the epilogue, sign of γ included: with the integer sum acc = Σ w·q,
//
//   real convolution   x = unit·(acc − zero_point·Σw),   unit = step_in · scale of the channel
//   batch norm         y = factor·x + offset
//   epilogue           scale = factor·unit / step_out,
//                      bias = round(offset / (factor·unit)) − zero_point·Σw
//
// The range of each activation is measured on the samples by the network in float; the step with
// the least squared error is taken, the largest activations may saturate. An input with a mean and
// deviation per channel stays bytes: both go into the first convolution (a border pixel is padded
// with the mean of the means). Accumulators are proven by each row's real Σ|w|.
//
// Errors: those of parse, import_weights and net::check; no samples; weights or activations that
// are not finite. `where` then says which layer or line and what is wrong.

#include <s3/io/import_weights.hpp>
#include <s3/net/check.hpp>
#include <s3/net/float_network.hpp>

#include <functional>
#include <memory>
#include <optional>

namespace s3::net {

struct import_options {
    /// uint8, NHWC, as the network will get them; a few hundred small or a dozen large images.
    std::span<const std::uint8_t> samples;
    int bits = 8; ///< of activations, where the description does not say
    std::function<void(std::size_t done, std::size_t all)> progress = {};
};

/// One layer of the result, for people.
struct layer_report {
    std::string name;
    std::string format; ///< of the weights, or the kind of layer
    std::string method;
    std::size_t weights = 0;
    std::size_t zeros = 0;
    float least_scale = 0, largest_scale = 0; ///< real weight = scale · value
    double weight_error = 0;                  ///< relative, against the weights given
    int bits = 8;
    double step = 0;
    double activation_error = 0; ///< relative error of rounding activations on the samples
};

struct imported_network {
    net::model model;
    std::vector<layer_report> report;
};

namespace detail {

class network_importer {
public:
    network_importer(const safetensors::contents& file, const description& d,
                     const import_options& o, std::string& where)
        : file_(file), d_(d), o_(o), where_(where) {}

    [[nodiscard]] result<imported_network> run() {
        auto shapes = infer(d_, where_);
        if (!shapes)
            return shapes.error();
        shapes_ = *std::move(shapes);
        const std::size_t size = shapes_.values[0].size();
        if (size == 0 || o_.samples.empty() || o_.samples.size() % size != 0)
            return fail("calibration needs sample images of " + std::to_string(size) +
                            " bytes each",
                        error(errc::bad_option, "samples").got(o_.samples.size()).needs(size));
        if (o_.bits < 2 || o_.bits > 8)
            return error(errc::bad_option, "bits").got(o_.bits).needs(8);
        if (d_.scale <= 0)
            return error(errc::bad_option, "description.scale");
        for (auto part : {&network_importer::fuse, &network_importer::read_weights,
                          &network_importer::calibrate, &network_importer::lower})
            if (auto s = (this->*part)(); !s)
                return s.error();
        if (auto s = check(out_.model); !s) {
            const auto i = s.error().index;
            if (i >= 0 && static_cast<std::size_t>(i) < groups_.size())
                where_ = out_.report[static_cast<std::size_t>(i)].name + ": " + s.error().message();
            return s.error();
        }
        return std::move(out_);
    }

private:
    /// Steps that become one layer.
    struct group {
        step_kind kind;
        std::size_t first; ///< its convolution, pooling or addition
        std::size_t last;  ///< the step whose value it gives
        std::optional<std::size_t> norm;
        std::optional<std::size_t> residual;  ///< a value of the description
        step_kind limit = step_kind::flatten; ///< relu or relu6, else none
        int bits = 0;
        bool raw = false;
    };
    /// Of the activations that a value had on the samples.
    struct range {
        double low = 0, high = 0;
        double step = 1;
        int zero_point = 0, bits = 8;
        double error = 0;
    };
    static constexpr double shares[] = {1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3};

    [[nodiscard]] error fail(const std::string& why, const error& e) {
        where_ = why;
        return e;
    }
    [[nodiscard]] error at(std::size_t step, const std::string& why, const error& e) {
        const auto& s = d_.steps[step];
        return fail("line " + std::to_string(s.line) + (s.name.empty() ? "" : " (" + s.name + ")") +
                        ": " + why,
                    e);
    }
    [[nodiscard]] static bool is_conv(step_kind k) {
        return k == step_kind::conv || k == step_kind::linear;
    }

    [[nodiscard]] status fuse() {
        constexpr std::size_t nothing = ~std::size_t{0};
        std::vector<std::size_t> uses(d_.steps.size() + 1), maker(d_.steps.size() + 1, nothing);
        for (std::size_t i = 0; i < d_.steps.size(); ++i) {
            ++uses[d_.steps[i].from];
            uses[d_.steps[i].other] += d_.steps[i].kind == step_kind::add;
        }
        for (std::size_t i = 0; i < d_.steps.size(); ++i) {
            const step& s = d_.steps[i];
            std::size_t g = maker[s.from];
            const bool alone = g != nothing && uses[s.from] == 1 && groups_[g].last + 1 == s.from;
            const bool open = alone && groups_[g].limit == step_kind::flatten;
            const error misplaced(errc::unsupported, "description");
            switch (s.kind) {
            case step_kind::norm:
                if (!open || !is_conv(groups_[g].kind) || groups_[g].norm || groups_[g].residual)
                    return at(i, "'bn' must follow a conv or linear that nothing else uses",
                              misplaced);
                groups_[g].norm = i;
                break;
            case step_kind::relu:
            case step_kind::relu6:
                if (!open || (!is_conv(groups_[g].kind) && groups_[g].kind != step_kind::add))
                    return at(i,
                              "relu must follow a conv, linear, bn or add that nothing else uses",
                              misplaced);
                groups_[g].limit = s.kind;
                break;
            case step_kind::add: {
                const std::size_t other = maker[s.other];
                const auto later = [&](std::size_t value, std::size_t than) {
                    const std::size_t m = maker[value];
                    return m != nothing && is_conv(groups_[m].kind) && uses[value] == 1 &&
                           groups_[m].last + 1 == value && !groups_[m].residual &&
                           groups_[m].limit == step_kind::flatten && (than == nothing || m > than);
                };
                if (later(s.from, other) && s.from != s.other) {
                    groups_[g].residual = s.other;
                } else if (later(s.other, g) && s.from != s.other) {
                    g = other;
                    groups_[g].residual = s.from;
                } else {
                    g = groups_.size();
                    groups_.push_back({s.kind, i, i, {}, {}});
                }
                break;
            }
            default:
                g = s.kind == step_kind::flatten ? g : groups_.size();
                if (s.kind != step_kind::flatten)
                    groups_.push_back({s.kind, i, i, {}, {}});
            }
            maker[i + 1] = g;
            if (s.kind == step_kind::flatten)
                continue;
            groups_[g].last = i;
            groups_[g].bits = s.bits != 0 ? s.bits : groups_[g].bits;
        }
        // Values that something else still looks at inside a group do not exist any more.
        value_of_.assign(d_.steps.size() + 1, 0);
        for (std::size_t v = 1; v < value_of_.size(); ++v)
            value_of_[v] = maker[v] == nothing ? 0 : maker[v] + 1;
        if (groups_.empty() || groups_.back().last + 1 != d_.steps.size())
            return at(d_.steps.size() - 1, "the last line must give the network's output",
                      error(errc::unsupported, "description"));
        group& last = groups_.back();
        last.raw =
            is_conv(last.kind) && !last.norm && !last.residual && last.limit == step_kind::flatten;
        return {};
    }

    [[nodiscard]] status read_weights() {
        weights_.resize(d_.steps.size());
        packed_.resize(d_.steps.size());
        for (std::size_t g = 0; g < groups_.size(); ++g) {
            const group& part = groups_[g];
            if (!is_conv(part.kind))
                continue;
            const step& s = d_.steps[part.first];
            const bool reads_input = shapes_.source[part.first] == 0;
            weight_options o{s.format, reads_input || g + 1 == groups_.size(), part.raw, {}};
            if (reads_input)
                o.divide = d_.deviation;
            auto w = import_weights(file_, s.name, shapes_.filters[part.first], o);
            if (!w)
                return at(part.first, w.error().message(), w.error());
            weights_[part.first] = {w->real, {}, w->bias};
            packed_[part.first] = *std::move(w);
            if (part.norm)
                if (auto n = read_norm(*part.norm, s.out); !n)
                    return n;
        }
        return {};
    }
    [[nodiscard]] status read_norm(std::size_t i, std::size_t channels) {
        const step& s = d_.steps[i];
        std::array<std::vector<float>, 4> v;
        const char* const names[] = {"running_mean", "running_var", "weight", "bias"};
        for (std::size_t k = 0; k < 4; ++k) {
            const auto found = file_.tensors.find(s.name + "." + names[k]);
            if (found == file_.tensors.end()) {
                if (k < 2)
                    return at(i, std::string("there is no tensor ") + names[k],
                              error(errc::foreign, names[k]));
                v[k].assign(channels, k == 2 ? 1.0f : 0.0f); // affine = False
                continue;
            }
            auto values = safetensors::from_bytes<float>(found->second);
            if (!values || values->size() != channels)
                return at(i, std::string(names[k]) + " is not one F32 per channel",
                          error(errc::shape_mismatch, names[k]));
            v[k] = *std::move(values);
        }
        auto& w = weights_[i];
        for (std::size_t c = 0; c < channels; ++c) {
            const double factor = v[2][c] / std::sqrt(double{v[1][c]} + s.eps);
            w.factor.push_back(factor);
            w.offset.push_back(v[3][c] - v[0][c] * factor);
            if (!std::isfinite(factor) || !std::isfinite(w.offset.back()))
                return at(i, "channel " + std::to_string(c) + " is not finite",
                          error(errc::not_finite, "bn").at(c));
        }
        return {};
    }

    /// Two passes over the samples: ranges, then the errors of candidate steps.
    [[nodiscard]] status calibrate() {
        ranges_.assign(groups_.size() + 1, {});
        ranges_[0].step = d_.scale;
        ranges_[0].bits = d_.bits;
        double mean = 0;
        for (const double m : d_.mean)
            mean += m / static_cast<double>(d_.mean.size());
        ranges_[0].zero_point =
            std::clamp(static_cast<int>(std::lround(mean / d_.scale)), 0, (1 << d_.bits) - 1);
        for (const std::uint8_t q : o_.samples)
            if (q >= 1 << d_.bits)
                return fail("a sample is larger than the input's bits allow",
                            error(errc::bad_option, "samples").got(q));
        float_network net(d_, shapes_, weights_);
        const std::size_t size = shapes_.values[0].size(), count = o_.samples.size() / size;
        std::vector<std::array<double, std::size(shares)>> errors(groups_.size() + 1);
        std::vector<double> energy(groups_.size() + 1, 0);
        for (int pass = 0; pass < 2; ++pass) {
            for (std::size_t n = 0; n < count; ++n) {
                net.run(o_.samples.subspan(n * size, size));
                for (std::size_t g = 0; g < groups_.size(); ++g) {
                    const auto values = net.value(groups_[g].last + 1);
                    range& r = ranges_[g + 1];
                    for (const float x : values) {
                        if (!(std::fabs(x) < 1e30f))
                            return at(groups_[g].last, "an activation is not finite",
                                      error(errc::not_finite, "samples").at(n));
                        if (pass == 0) {
                            r.low = std::min(r.low, double{x});
                            r.high = std::max(r.high, double{x});
                            energy[g + 1] += double{x} * x;
                        }
                    }
                    if (pass == 1)
                        for (std::size_t k = 0; k < std::size(shares); ++k) {
                            const range t = candidate(r, shares[k]);
                            const auto inverse = static_cast<float>(1 / t.step);
                            const auto step = static_cast<float>(t.step);
                            const auto low = static_cast<float>(-t.zero_point),
                                       high = static_cast<float>((1 << t.bits) - 1 - t.zero_point);
                            double sum = 0;
                            for (const float x : values) {
                                const float q = std::clamp(std::nearbyint(x * inverse), low, high);
                                sum += double{x - q * step} * (x - q * step);
                            }
                            errors[g + 1][k] += sum;
                        }
                }
                if (o_.progress)
                    o_.progress(count * static_cast<std::size_t>(pass) + n + 1, 2 * count);
            }
            for (std::size_t g = 0; pass == 0 && g < groups_.size(); ++g) {
                range& r = ranges_[g + 1];
                r.bits = groups_[g].bits != 0 ? groups_[g].bits : o_.bits;
                if (r.high - r.low < 1e-6)
                    r.high = r.low + 1e-6;
                errors[g + 1].fill(0);
            }
        }
        for (std::size_t g = 0; g < groups_.size(); ++g) {
            const auto& e = errors[g + 1];
            const auto best = std::min_element(e.begin(), e.end());
            range& r = ranges_[g + 1];
            r = candidate(r, shares[best - e.begin()]);
            r.error = energy[g + 1] > 0 ? std::sqrt(*best / energy[g + 1]) : 0;
            // The largest of bytes is one of them; it may only have more bits than it needs.
            if (groups_[g].kind == step_kind::max_pool)
                r = ranges_[value_of_[shapes_.source[groups_[g].first]]];
        }
        return {};
    }
    [[nodiscard]] static range candidate(range r, double share) {
        const int top = (1 << r.bits) - 1;
        r.step = std::max((r.high - r.low) * share / top, 1e-12);
        r.zero_point =
            std::clamp(static_cast<int>(std::lround(-r.low / (r.high - r.low) * top)), 0, top);
        return r;
    }

    [[nodiscard]] status lower() {
        model& m = out_.model;
        for (std::size_t g = 0; g <= groups_.size(); ++g) {
            const auto& shape = shapes_.values[g == 0 ? 0 : groups_[g - 1].last + 1];
            const range& r = ranges_[g];
            m.values.push_back({shape.height, shape.width, shape.channels, r.bits,
                                static_cast<float>(r.step), r.zero_point});
        }
        for (std::size_t g = 0; g < groups_.size(); ++g) {
            const group& part = groups_[g];
            const step& s = d_.steps[part.first];
            layer l;
            l.name = s.name.empty() ? (s.kind == step_kind::add ? "add" : "pool") +
                                          std::to_string(m.layers.size())
                                    : s.name;
            layer_report r;
            r.name = l.name;
            const std::size_t input = value_of_[shapes_.source[part.first]];
            const value_info &in = m.values[input], &out = m.values[g + 1];
            if (is_conv(part.kind)) {
                convolution c;
                c.input = input;
                if (auto status = lower_conv(g, c, r); !status)
                    return status;
                l.operation = std::move(c);
            } else if (part.kind == step_kind::add) {
                addition a;
                a.a = input;
                a.b = value_of_[s.other];
                a.a_scale = in.step / out.step;
                a.b_scale = m.values[a.b].step / out.step;
                limits(g, a.low, a.high);
                r.format = "addition";
                l.operation = a;
            } else {
                pooling p;
                p.input = input;
                p.kind = part.kind == step_kind::max_pool ? pooling_kind::max : pooling_kind::mean;
                const bool global = part.kind == step_kind::global_mean;
                p.window = global ? extent(in.height, in.width) : s.kernel;
                p.stride = global ? extent(1) : s.stride;
                p.padding = s.padding;
                const double area = static_cast<double>(p.window.height * p.window.width);
                if (p.kind == pooling_kind::mean)
                    p.scale = static_cast<float>(double{in.step} / (double{out.step} * area));
                r.format = p.kind == pooling_kind::max ? "max pooling" : "mean pooling";
                l.operation = p;
            }
            r.bits = out.bits;
            r.step = m.values[g + 1].step;
            r.activation_error = part.raw ? 0 : ranges_[g + 1].error;
            out_.report.push_back(std::move(r));
            m.layers.push_back(std::move(l));
        }
        return {};
    }
    void limits(std::size_t g, std::int32_t& low, std::int32_t& high) const {
        const value_info& out = out_.model.values[g + 1];
        low = groups_[g].limit == step_kind::flatten ? 0 : out.zero_point;
        high = out.top();
        if (groups_[g].limit == step_kind::relu6)
            high = std::min(high,
                            out.zero_point + static_cast<int>(std::lround(6 / double{out.step})));
    }
    [[nodiscard]] status lower_conv(std::size_t g, convolution& c, layer_report& r) {
        const group& part = groups_[g];
        const step& s = d_.steps[part.first];
        imported_weights& w = packed_[part.first];
        const value_info& in = out_.model.values[c.input];
        value_info& out = out_.model.values[g + 1];
        c.options = {s.stride, s.padding, s.dilation, s.groups, in.zero_point};
        c.raw = part.raw;
        limits(g, c.low, c.high);
        if (part.residual) {
            const std::size_t v = value_of_[*part.residual];
            c.residual = residual_input{v, out_.model.values[v].step / out.step};
        }
        const std::size_t rows = s.out, columns = shapes_.filters[part.first].columns();
        const std::size_t in_channels = shapes_.filters[part.first].in_channels;
        r.format = w.format;
        r.method = w.method;
        r.zeros = w.zeros;
        r.weights = w.real.size();
        r.weight_error = w.error;
        r.least_scale = std::numeric_limits<float>::max();
        for (std::size_t m = 0; m < rows; ++m) {
            const auto [scale, sum, abs_sum] = std::visit(
                [&](const auto& f) {
                    return std::tuple(double{f.matrix.real_scale(m)}, f.matrix.sums()[m],
                                      f.matrix.abs_sums()[m]);
                },
                w.filter);
            r.least_scale = std::min(r.least_scale, static_cast<float>(scale));
            r.largest_scale = std::max(r.largest_scale, static_cast<float>(scale));
            const double unit = double{in.step} * scale;
            double factor = 1, offset = w.bias.empty() ? 0 : w.bias[m];
            if (c.input == 0)
                for (std::size_t k = 0; k < columns && !d_.mean.empty(); ++k) {
                    const std::size_t channel =
                        m / (rows / s.groups) * in_channels + k % in_channels;
                    offset += w.real[m * columns + k] *
                              (in.zero_point * double{in.step} - d_.mean[channel]) /
                              (d_.deviation.empty() ? 1 : d_.deviation[channel]);
                }
            if (part.norm) {
                factor = weights_[*part.norm].factor[m];
                offset = offset * factor + weights_[*part.norm].offset[m];
            }
            // Room that the sums leave for the bias. A channel that the norm all but switches off
            // gets a factor that keeps its bias within it.
            const double room = 2147483647.0 - static_cast<double>(abs_sum) * in.top() -
                                std::abs(static_cast<double>(sum)) * in.zero_point - 1;
            if (room < 0)
                return at(part.first,
                          "row " + std::to_string(m) + " has a sum of |w| of " +
                              std::to_string(abs_sum) + ": int32 sums could overflow",
                          error(errc::depth_exceeded, "weight").at(m).got(abs_sum));
            const double least = std::max(std::fabs(offset) / unit / std::max(room, 1.0), 1e-30);
            if (part.raw && least > 1)
                return at(part.first, "the bias of row " + std::to_string(m) + " is too large",
                          error(errc::depth_exceeded, "bias").at(m).got(offset));
            factor = std::copysign(std::max(std::fabs(factor), least), factor);
            c.bias.push_back(static_cast<std::int32_t>(
                std::clamp(std::nearbyint(offset / (factor * unit)), -room, room) -
                static_cast<double>(sum) * in.zero_point));
            if (!c.raw)
                c.scale.push_back(static_cast<float>(factor * unit / double{out.step}));
            else if (m > 0 && scale != double{r.least_scale})
                return at(part.first, "the last layer needs one scale for all its rows",
                          error(errc::unsupported, "scale").at(m));
            else
                out_.model.output_scale = static_cast<float>(unit);
        }
        if (c.raw) {
            out.step = out_.model.output_scale;
            out.bits = 8;
            out.zero_point = 0;
            c.low = 0;
            c.high = 255;
        }
        c.filter = std::move(w.filter);
        return {};
    }

    const safetensors::contents& file_;
    const description& d_;
    const import_options& o_;
    std::string& where_;
    network_shapes shapes_;
    std::vector<group> groups_;
    std::vector<std::size_t> value_of_; ///< of the model, for a value of the description
    std::vector<float_weights> weights_;
    std::vector<imported_weights> packed_;
    std::vector<range> ranges_;
    imported_network out_;
};

} // namespace detail

[[nodiscard]] inline result<imported_network> import_network(const safetensors::contents& file,
                                                             const description& d,
                                                             const import_options& o,
                                                             std::string& where) {
    return detail::network_importer(file, d, o, where).run();
}

} // namespace s3::net
