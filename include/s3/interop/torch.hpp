#pragma once
// Shift layers for libtorch; opt-in, includes libtorch. They work on the tensors' own memory.
//
//   s3::libtorch::ShiftConv2d<s3::shift3> conv(torch::nn::Conv2dOptions(32, 64, 3).padding(1));
//   s3::libtorch::ShiftLinear<s3::shift3> fc(torch::nn::LinearOptions(64, 10));
//
// Both can be trained by any torch optimizer, and can be cloned, saved and loaded like every
// module. Their parameters are named as in the S3 authors' code (`parameter_name`), and `bias`. The
// latents need a learning rate of their own (train/optimizer.hpp). With `zero_grad(true)` their
// gradients are written rather than added. Errors are those of interop/torch_passes.hpp.

#include <s3/interop/torch_passes.hpp>
#include <s3/train/dynamics.hpp>

#include <torch/torch.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace s3::libtorch {

/// The autograd function from latents to discrete weights; gradients pass straight through. The
/// surrogate and the estimator are default-constructed: to give one another parameter, derive from
/// it.
template <shift_weight_format F, class Surrogate = surrogate::published<F>,
          class Estimator = straight_through::identity>
struct realize_function : ::torch::autograd::Function<realize_function<F, Surrogate, Estimator>> {
    static Tensor forward(::torch::autograd::AutogradContext* context, at::TensorList fields) {
        Tensor weights = libtorch::realized<F>(fields);
        context->save_for_backward(fields.vec());
        return weights;
    }

    static tensors backward(::torch::autograd::AutogradContext* context, tensors grad_outputs) {
        return once_differentiable(libtorch::backward<F>(
            context->get_saved_variables(), grad_outputs.at(0), Surrogate{}, Estimator{}));
    }
};

/// The discrete weights of `fields` (in the order of `latents_of`), differentiable.
template <shift_weight_format F, class Surrogate = surrogate::published<F>,
          class Estimator = straight_through::identity>
[[nodiscard]] Tensor realize(const tensors& fields) {
    return realize_function<F, Surrogate, Estimator>::apply(at::TensorList(fields));
}

/// What all shift layers offer, whatever their format. `shift_layers` finds them in a model.
class shift_layer {
public:
    virtual ~shift_layer() = default;

    /// The latents: sign, sparse (in formats with zero), shift_1 … shift_T.
    [[nodiscard]] const tensors& fields() const noexcept { return fields_; }
    /// The sparse latent, which is undefined if the format has no zero.
    [[nodiscard]] virtual Tensor sparse() const = 0;
    /// The discrete weights. They are differentiable with respect to the latents or, in a fused
    /// layer, a leaf that collects the gradient of the weights themselves.
    [[nodiscard]] Tensor discrete() const { return fused() ? weights_ : realize_latents(); }
    /// The discrete weights as plain numbers, to be packed or measured.
    [[nodiscard]] Tensor realized() const {
        ::torch::NoGradGuard guard;
        return realize_latents();
    }
    [[nodiscard]] virtual const char* format() const noexcept = 0;
    /// An error that names the first NaN or infinite latent.
    [[nodiscard]] virtual status validate() const = 0;

    /// Sets the latents so that they realize the values nearest to trained float weights. Returns
    /// their unit: weight ≈ unit · realized. A norm after the layer must take up this factor.
    virtual float initialize_from(const Tensor& weights) = 0;
    /// Draws all latents anew from N(0, deviation), by torch's generator.
    virtual void initialize(double deviation) = 0;
    /// The regularizer's strength for this layer, added to the strength for all layers.
    float dense_strength = 0;

    /// For fused training (torch_fused.hpp): keeps the discrete weights as a leaf tensor.
    /// They are trained if any latent was, all latents together.
    void fuse() {
        const bool trained = fused()
                                 ? weights_.requires_grad()
                                 : std::any_of(fields_.begin(), fields_.end(),
                                               [](const Tensor& f) { return f.requires_grad(); });
        weights_ = realized();
        weights_.requires_grad_(trained);
    }
    [[nodiscard]] bool fused() const noexcept { return weights_.defined(); }
    /// Realizes the leaf anew. This is needed after latents have changed by other means than
    /// `step`.
    void refresh() {
        if (fused())
            weights_.detach().copy_(realized());
    }
    /// One fused optimizer step from the leaf's gradient; `moments` are shaped like `fields`.
    virtual void step(const sgd&, const std::vector<tensors>& moments, float dense_strength) = 0;
    virtual void step(const adam&, const std::vector<tensors>& moments, float dense_strength) = 0;

protected:
    [[nodiscard]] virtual Tensor realize_latents() const = 0;

    tensors fields_;
    Tensor weights_;
};

/// All shift layers of a model, in the order of `modules()`, each once. The model itself need not
/// be held by a shared_ptr.
[[nodiscard]] inline std::vector<shift_layer*> shift_layers(::torch::nn::Module& model) {
    std::vector<shift_layer*> found;
    if (auto* layer = dynamic_cast<shift_layer*>(&model))
        found.push_back(layer);
    for (const auto& module : model.modules(/*include_self=*/false))
        if (auto* layer = dynamic_cast<shift_layer*>(module.get());
            layer != nullptr && std::find(found.begin(), found.end(), layer) == found.end())
            found.push_back(layer);
    return found;
}

/// Adds the dense-weight regularizer's gradient to the gradient of the sparse latents of every
/// shift layer. Call it between `loss.backward()` and `optimizer.step()`. A negative strength
/// pushes weights towards zero. `strength` applies to all layers, and is added to each one's own.
inline void add_dense_gradient(::torch::nn::Module& model, float strength = 0) {
    for (shift_layer* layer : shift_layers(model)) {
        const Tensor sparse = layer->sparse();
        if (!sparse.defined() || !sparse.grad().defined())
            continue;
        const auto grad = floats(sparse.grad(), "sparse.grad", sparse, "sparse");
        mark_written({sparse.grad()});
        check(s3::add_dense_gradient(floats(sparse, "sparse"), grad,
                                     strength + layer->dense_strength));
    }
}

/// Steers every layer towards the share `target` of zeros, in [0, 1]: sets the layers' own
/// strengths from their present shares. Call it before each step; the fused optimizer's `step()`,
/// or `add_dense_gradient(model)`, then applies the strengths. `gain` is the strength at an error
/// of 1: a smaller gain moves more gently, and leaves a larger error where the loss pulls the other
/// way.
inline void steer_zeros(::torch::nn::Module& model, double target, float gain = 0.1f) {
    TORCH_CHECK(target >= 0 && target <= 1, "s3: target is ", target, ", not in [0, 1]");
    for (shift_layer* layer : shift_layers(model))
        if (const Tensor sparse = layer->sparse(); sparse.defined())
            layer->dense_strength =
                strength_for_share(share_of_zeros_from(floats(sparse, "sparse")), target, gain);
}

/// The latents of one weight tensor inside a module, which owns them as parameters.
template <shift_weight_format F, class Surrogate, class Estimator>
class latent_parameters : public shift_layer {
public:
    [[nodiscard]] Tensor sparse() const override {
        if constexpr (F::has_zero)
            return fields_.at(1);
        else
            return {};
    }
    [[nodiscard]] const char* format() const noexcept override { return F::name; }
    status validate() const override { return s3::validate(latents_of<F>(aligned(fields_))); }
    float initialize_from(const Tensor& weights) override {
        ::torch::NoGradGuard guard;
        const float unit = libtorch::initialize_from<F>(weights, fields_);
        refresh();
        return unit;
    }
    void initialize(double deviation) override {
        ::torch::NoGradGuard guard;
        for (auto& f : fields_)
            f.normal_(0, deviation);
        refresh();
    }
    void step(const sgd& o, const std::vector<tensors>& moments, float strength) override {
        fused_step(o, moments, strength);
    }
    void step(const adam& o, const std::vector<tensors>& moments, float strength) override {
        fused_step(o, moments, strength);
    }

protected:
    /// Registers and draws all latents. That of the sign is the module's own `weight`.
    void register_latents(::torch::nn::Module& module, const Tensor& weight, double deviation) {
        fields_ = {weight};
        weights_ = Tensor();
        for (std::size_t k = 1; k < latents_per_weight<F>; ++k)
            fields_.push_back(
                module.register_parameter(parameter_name<F>(k), ::torch::empty_like(weight)));
        initialize(deviation);
    }
    [[nodiscard]] static double deviation(std::int64_t kernel_area, std::int64_t out_channels) {
        return F::has_zero ? initial_deviation(static_cast<std::size_t>(kernel_area),
                                               static_cast<std::size_t>(out_channels))
                           : small_deviation;
    }

private:
    [[nodiscard]] Tensor realize_latents() const override {
        return libtorch::realize<F, Surrogate, Estimator>(fields_);
    }

    template <class Optimizer>
    void fused_step(const Optimizer& optimizer, const std::vector<tensors>& moments,
                    float strength) {
        TORCH_CHECK(fused() && weights_.grad().defined(), "s3: no gradient of fused weights");
        libtorch::step<F>(optimizer, fields_, moments, weights_.grad(), weights_,
                          strength + dense_strength, Surrogate{}, Estimator{});
    }
};

/// torch::nn::Conv2d with shift weights; takes all of its options.
template <shift_weight_format F, class Surrogate = surrogate::published<F>,
          class Estimator = straight_through::identity>
class ShiftConv2dImpl : public ::torch::nn::ConvNdImpl<2, ShiftConv2dImpl<F, Surrogate, Estimator>>,
                        public latent_parameters<F, Surrogate, Estimator> {
    using base = ::torch::nn::ConvNdImpl<2, ShiftConv2dImpl<F, Surrogate, Estimator>>;

public:
    explicit ShiftConv2dImpl(const ::torch::nn::Conv2dOptions& o)
        : base(::torch::nn::detail::ConvNdOptions<2>(o.in_channels(), o.out_channels(),
                                                     o.kernel_size())
                   .stride(o.stride())
                   .padding(o.padding())
                   .dilation(o.dilation())
                   .groups(o.groups())
                   .bias(o.bias())
                   .padding_mode(o.padding_mode())) {
        add_latents();
    }

    void reset() override {
        base::reset();
        add_latents();
    }
    void load(::torch::serialize::InputArchive& archive) override {
        base::load(archive);
        this->refresh();
    }

    [[nodiscard]] Tensor forward(const Tensor& input) {
        namespace functional = ::torch::nn::functional;
        const auto& o = this->options;
        const Tensor weights = this->discrete();
        // Unqualified, `visit` finds the one that belongs to libtorch's variant, which is c10's or
        // std's.
        const auto mode = visit(padding_mode{}, o.padding_mode());
        if (mode.index() == functional::PadFuncOptions::mode_t(::torch::kConstant).index())
            return functional::detail::conv2d(input, weights, this->bias, o.stride(), o.padding(),
                                              o.dilation(), o.groups());
        const Tensor padded =
            functional::detail::pad(input, this->_reversed_padding_repeated_twice, mode, 0);
        return functional::detail::conv2d(padded, weights, this->bias, o.stride(),
                                          ::torch::ExpandingArray<2>(0), o.dilation(), o.groups());
    }

    void pretty_print(std::ostream& stream) const override {
        stream << F::name << " ";
        base::pretty_print(stream);
    }

private:
    /// Translates a convolution's padding mode to the names of `pad`.
    struct padding_mode {
        using mode = ::torch::nn::functional::PadFuncOptions::mode_t;
        mode operator()(::torch::enumtype::kZeros) const { return ::torch::kConstant; }
        template <class Same>
        mode operator()(const Same& same) const {
            return same;
        }
    };
    void add_latents() {
        const auto& k = *this->options.kernel_size();
        this->register_latents(*this, this->weight,
                               this->deviation(k[0] * k[1], this->options.out_channels()));
    }
};

/// torch::nn::Linear with shift weights.
template <shift_weight_format F, class Surrogate = surrogate::published<F>,
          class Estimator = straight_through::identity>
class ShiftLinearImpl : public ::torch::nn::Cloneable<ShiftLinearImpl<F, Surrogate, Estimator>>,
                        public latent_parameters<F, Surrogate, Estimator> {
public:
    explicit ShiftLinearImpl(const ::torch::nn::LinearOptions& o) : options(o) { set_up(); }

    void reset() override { set_up(); }
    void load(::torch::serialize::InputArchive& archive) override {
        ::torch::nn::Module::load(archive);
        this->refresh();
    }

    [[nodiscard]] Tensor forward(const Tensor& input) {
        return ::torch::nn::functional::linear(input, this->discrete(), bias);
    }

    void pretty_print(std::ostream& stream) const override {
        stream << F::name << " torch::nn::Linear(in_features=" << options.in_features()
               << ", out_features=" << options.out_features() << ", bias=" << std::boolalpha
               << options.bias() << ")";
    }

    ::torch::nn::LinearOptions options;
    Tensor weight, bias;

private:
    void set_up() {
        weight = this->register_parameter(
            "weight", ::torch::empty({options.out_features(), options.in_features()}));
        this->register_latents(*this, weight, this->deviation(1, options.out_features()));
        if (options.bias()) {
            const double bound = 1 / std::sqrt(static_cast<double>(options.in_features()));
            bias = this->register_parameter(
                "bias", ::torch::empty({options.out_features()}).uniform_(-bound, bound));
        } else {
            this->register_parameter("bias", Tensor(), false);
        }
    }
};

// What TORCH_MODULE would define, as templates.
template <shift_weight_format F, class Surrogate = surrogate::published<F>,
          class Estimator = straight_through::identity>
class ShiftConv2d : public ::torch::nn::ModuleHolder<ShiftConv2dImpl<F, Surrogate, Estimator>> {
public:
    using ::torch::nn::ModuleHolder<ShiftConv2dImpl<F, Surrogate, Estimator>>::ModuleHolder;
    using Impl = ShiftConv2dImpl<F, Surrogate, Estimator>;
};
template <shift_weight_format F, class Surrogate = surrogate::published<F>,
          class Estimator = straight_through::identity>
class ShiftLinear : public ::torch::nn::ModuleHolder<ShiftLinearImpl<F, Surrogate, Estimator>> {
public:
    using ::torch::nn::ModuleHolder<ShiftLinearImpl<F, Surrogate, Estimator>>::ModuleHolder;
    using Impl = ShiftLinearImpl<F, Surrogate, Estimator>;
};

/// How one layer's weights moved since the last observation.
struct movement {
    double zeros = 0;         ///< present share of zeros
    std::size_t flips = 0;    ///< weights whose sign is now the opposite of their last one
    double never_flipped = 1; ///< share of weights that never had both signs
    transitions moves; ///< between {−, 0, +} since the last observation; empty at the first
};

/// Follows the weights of one layer through training. Any float32 weights will do, so that
/// full-precision layers can be measured as well.
class weight_dynamics {
public:
    movement observe(const Tensor& weights) {
        const Tensor now = weights.detach().to(::torch::kFloat32).contiguous().clone();
        const std::span<const float> w = floats(now, "weights");
        bytes_.resize(w.size());
        sign_history history(bytes_);
        movement m;
        const auto flips = history.update(w);
        TORCH_CHECK(flips.has_value(), "s3: ", flips.error().message());
        m.flips = *flips;
        m.zeros = share_of_zeros(w);
        m.never_flipped = history.never_flipped();
        if (last_.defined()) {
            const auto moves =
                count_transitions(std::span<const float>(floats(last_, "weights")), w);
            TORCH_CHECK(moves.has_value(), "s3: ", moves.error().message());
            m.moves = *moves;
        }
        last_ = now;
        return m;
    }

private:
    Tensor last_;
    std::vector<std::uint8_t> bytes_;
};

} // namespace s3::libtorch
