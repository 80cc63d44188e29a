#pragma once
// A packed model, ready to run: its matrices are s3::linear, all else is in layers.hpp. It keeps
// the keys and values of the tokens that each sequence has had.

#include "language_model.hpp"
#include "layers.hpp"
#include "weights.hpp"

#include <s3/core/buffer.hpp>
#include <s3/ops/linear.hpp>

#include <algorithm>

namespace lm {

template <s3::weight_format F>
class model final : public language_model {
public:
    /// Errors: those of s3::linear; no memory.
    static s3::result<model> make(packed_weights<F> weights, const model_options& options = {}) {
        model m;
        m.weights_ = std::move(weights);
        m.options_ = options;
        if (options.cache == 0)
            m.options_.cache = m.shape().context;
        if (const auto done = m.prepare(); !done)
            return done.error();
        if (const auto done = m.allocate(); !done)
            return done.error();
        return m;
    }

    [[nodiscard]] const config& shape() const override { return weights_.shape; }
    [[nodiscard]] const model_options& options() const override { return options_; }
    [[nodiscard]] std::size_t weight_bytes() const override { return weight_bytes_; }
    [[nodiscard]] std::size_t weight_count() const override { return weight_count_; }
    void clear() override { std::fill(lengths_.begin(), lengths_.end(), 0); }

    s3::result<s3::matrix_view<const float>> forward(std::span<const input> inputs) override {
        if (const auto fits = place(inputs); !fits)
            return fits.error();
        for (std::size_t i = 0; i < inputs.size(); ++i)
            look_up(inputs[i].token, x_.span().subspan(i * shape().width, shape().width));
        for (std::size_t l = 0; l < layers_.size(); ++l)
            if (const auto done = run(l, inputs); !done)
                return done.error();
        normalize(x_, weights_.norm, inputs.size(), normed_);
        for (std::size_t i = 0; i < inputs.size(); ++i)
            lengths_[inputs[i].sequence] = places_[i] + 1;
        return s3::matrix_view<const float>(view(normed_, inputs.size(), shape().width));
    }
    s3::status logits(s3::matrix_view<const float> hidden, s3::matrix_view<float> out) override {
        return head_(hidden, out);
    }

private:
    struct matrices {
        s3::linear<F> query, key, value, output, gate, up, down;
    };

    /// Turns packed matrices into linear layers; only the embedding is needed further on.
    s3::status prepare() {
        s3::status done;
        const auto make = [&]<class G>(const s3::packed_matrix<G>& from, s3::linear<G>& to) {
            auto made = s3::linear<G>::make(from, {.batch = options_.batch});
            if (!made) {
                done = made.error();
                return;
            }
            weight_bytes_ += made->weight_bytes();
            weight_count_ += from.size();
            to = *std::move(made);
        };
        const auto take = [&](s3::packed_matrix<F>& from, s3::linear<F>& to) {
            make(from, to);
            from = {};
        };
        make(shape().tied ? weights_.embedding : weights_.head, head_);
        weights_.head = {};
        for (auto& w : weights_.layers) {
            matrices& m = layers_.emplace_back();
            take(w.query, m.query);
            take(w.key, m.key);
            take(w.value, m.value);
            take(w.output, m.output);
            take(w.gate, m.gate);
            take(w.up, m.up);
            take(w.down, m.down);
        }
        return done;
    }
    s3::status allocate() {
        const config& c = shape();
        const std::size_t n = options_.batch;
        s3::status done;
        const auto make = [&](s3::buffer<float>& to, std::size_t rows, std::size_t columns) {
            auto made = s3::buffer<float>::make(s3::saturating_mul(rows, columns));
            if (made)
                to = *std::move(made);
            else
                done = made.error();
        };
        for (auto* b : {&x_, &normed_, &query_, &attended_})
            make(*b, n, c.width);
        for (auto* b : {&key_, &value_})
            make(*b, n, c.key_value_width());
        for (auto* b : {&gate_, &inner_})
            make(*b, n, c.hidden);
        make(scores_, 1, options_.cache);
        const std::size_t kept = s3::saturating_mul(options_.cache, options_.sequences);
        for (auto* b : {&keys_, &values_})
            make(*b, s3::saturating_mul(kept, c.layers), c.key_value_width());
        rotary_ = rotary(c.head_width(), double{c.rotary_base}, options_.cache);
        lengths_.assign(options_.sequences, 0);
        places_.assign(n, 0);
        return done;
    }

    /// Finds the positions of inputs in their sequences.
    s3::status place(std::span<const input> inputs) {
        if (inputs.size() > options_.batch)
            return s3::error(s3::errc::shape_mismatch, "inputs")
                .got(inputs.size())
                .limit(options_.batch);
        auto next = lengths_;
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            const auto [sequence, token] = inputs[i];
            if (sequence >= next.size())
                return s3::error(s3::errc::bad_option, "sequence").got(sequence).limit(next.size());
            if (token >= shape().vocabulary)
                return s3::error(s3::errc::bad_option, "token")
                    .at(i)
                    .got(token)
                    .limit(shape().vocabulary);
            if (next[sequence] == options_.cache)
                return s3::error(s3::errc::buffer_too_small, "cache (the sequence is longer)")
                    .got(options_.cache);
            places_[i] = next[sequence]++;
        }
        return {};
    }
    void look_up(std::size_t token, std::span<float> x) const {
        const float scale = weights_.embedding.real_scale(token);
        for (std::size_t i = 0; i < x.size(); ++i)
            x[i] = static_cast<float>(weights_.embedding.value(token, i)) * scale;
    }
    /// RMSNorm of `count` vectors that are as wide as `weight`; a norm without weights is none.
    void normalize(s3::buffer<float>& from, std::span<const float> weight, std::size_t count,
                   s3::buffer<float>& to) {
        const std::size_t width = weight.size();
        for (std::size_t i = 0; i < count && width != 0; ++i)
            rms_norm(from.span().subspan(i * width, width), weight, shape().epsilon,
                     to.span().subspan(i * width, width));
    }
    [[nodiscard]] static s3::matrix_view<float> view(s3::buffer<float>& b, std::size_t rows,
                                                     std::size_t columns) {
        return {b.span().first(rows * columns), rows, columns};
    }

    s3::status run(std::size_t number, std::span<const input> inputs) {
        const config& c = shape();
        auto& m = layers_[number];
        const auto& w = weights_.layers[number];
        const std::size_t n = inputs.size();
        const auto x = view(x_, n, c.width), normed = view(normed_, n, c.width);
        const auto query = view(query_, n, c.width), attended = view(attended_, n, c.width);
        const auto key = view(key_, n, c.key_value_width());
        const auto value = view(value_, n, c.key_value_width());
        const auto gate = view(gate_, n, c.hidden), inner = view(inner_, n, c.hidden);
        const auto activation =
            c.squared_relu ? s3::nonlinearity::squared_relu : s3::nonlinearity::silu;
        normalize(x_, w.attention_norm, n, normed_);
        return m.query(normed, query)
            .and_then([&] { return m.key(normed, key); })
            .and_then([&] { return m.value(normed, value); })
            .and_then([&] {
                attend_all(number, inputs);
                normalize(attended_, w.attention_sub_norm, n, attended_);
                return m.output(attended, x, {.residual = x});
            })
            .and_then([&] {
                normalize(x_, w.mlp_norm, n, normed_);
                return m.gate(normed, gate);
            })
            .and_then([&] { return m.up(normed, inner, {.activation = activation, .gate = gate}); })
            .and_then([&] {
                normalize(inner_, w.mlp_sub_norm, n, inner_);
                return m.down(inner, x, {.residual = x});
            });
    }
    /// Keeps the new keys and values, then attends to all that a sequence has up to each input.
    void attend_all(std::size_t number, std::span<const input> inputs) {
        const config& c = shape();
        const std::size_t kv = c.key_value_width(), head = c.head_width();
        const auto first_kept = [&](std::size_t sequence) {
            return (number * options_.sequences + sequence) * options_.cache * kv;
        };
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            const auto key = key_.span().subspan(i * kv, kv);
            const auto value = value_.span().subspan(i * kv, kv);
            rotary_(query_.span().subspan(i * c.width, c.width), places_[i]);
            rotary_(key, places_[i]);
            const std::size_t to = first_kept(inputs[i].sequence) + places_[i] * kv;
            std::copy(key.begin(), key.end(), keys_.data() + to);
            std::copy(value.begin(), value.end(), values_.data() + to);
        }
        for (std::size_t i = 0; i < inputs.size(); ++i)
            for (std::size_t h = 0; h < c.heads; ++h) {
                const std::size_t at = i * c.width + h * head;
                const std::size_t from =
                    first_kept(inputs[i].sequence) + h / (c.heads / c.key_value_heads) * head;
                attend(query_.span().subspan(at, head), keys_.data() + from, values_.data() + from,
                       kv, scores_.span().first(places_[i] + 1),
                       attended_.span().subspan(at, head));
            }
    }

    packed_weights<F> weights_;
    model_options options_;
    s3::linear<s3::int8_weights> head_;
    std::vector<matrices> layers_;
    std::size_t weight_bytes_ = 0, weight_count_ = 0;
    rotary rotary_;
    s3::buffer<float> keys_, values_; ///< [layer][sequence][position][key_value_width]
    std::vector<std::size_t> lengths_;
    std::vector<std::size_t> places_; ///< of each input, in its sequence
    s3::buffer<float> x_, normed_, query_, key_, value_, attended_, gate_, inner_, scores_;
};

} // namespace lm
