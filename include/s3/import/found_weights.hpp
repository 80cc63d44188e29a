#pragma once
// The weights of one layer in a PyTorch state dict, by the names that each method gives its tensors
// (import/weights.hpp lists them). Latents are realized.

#include <s3/core/conv.hpp>
#include <s3/core/is_finite.hpp>
#include <s3/core/saturating.hpp>
#include <s3/format/list.hpp>
#include <s3/io/safetensors.hpp>
#include <s3/train/reparam.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

namespace s3::importing::detail {

/// The tensors of one layer in a state dict, named by what follows the layer's name.
class layer_tensors {
public:
    layer_tensors(const safetensors::contents& file, const std::string& layer,
                  const filter_shape& shape)
        : file_(file), layer_(layer), shape_(shape) {}

    [[nodiscard]] std::size_t weights() const {
        return saturating_mul(shape_.out_channels, shape_.columns());
    }
    [[nodiscard]] const safetensors::tensor* find(const std::string& field) const {
        const auto found = file_.tensors.find(layer_ + "." + field);
        return found == file_.tensors.end() ? nullptr : &found->second;
    }
    [[nodiscard]] bool has(const std::string& field) const { return find(field) != nullptr; }

    /// Reads `count` numbers, which must be finite. Weights must have the shape of the filter.
    result<std::vector<double>> read(const std::string& field, std::size_t count) {
        const char* const argument = field == "bias" ? "bias" : "weight";
        const safetensors::tensor* const t = find(field);
        if (t == nullptr)
            return error(errc::foreign, "weight (no such tensor)");
        names_.push_back(layer_ + "." + field);
        const std::size_t size = t->data.size() / safetensors::info(t->type).bytes;
        if (size != count)
            return error(errc::shape_mismatch, argument).got(size).needs(count);
        if (count == weights() && count != 0 &&
            (t->shape.empty() || t->shape[0] != shape_.out_channels))
            return error(errc::shape_mismatch, "weight.out_channels").needs(shape_.out_channels);
        if (t->shape.size() == 3 && (shape_.height != 1 || t->shape[1] != shape_.in_channels ||
                                     t->shape[2] != shape_.width))
            return error(errc::shape_mismatch, "weight.shape");
        if (t->shape.size() == 4 && (t->shape[1] != shape_.in_channels ||
                                     t->shape[2] != shape_.height || t->shape[3] != shape_.width))
            return error(errc::shape_mismatch, "weight.shape");
        if (t->type == safetensors::dtype::f32)
            return numbers<float>(*t, argument);
        if (t->type == safetensors::dtype::i8)
            return numbers<std::int8_t>(*t, argument);
        return error(errc::unsupported, "weight.dtype (not F32 or I8)");
    }
    /// The full names of all tensors that were read.
    [[nodiscard]] const std::vector<std::string>& names() const { return names_; }

private:
    template <class T>
    static result<std::vector<double>> numbers(const safetensors::tensor& t, const char* argument) {
        const auto values = safetensors::from_bytes<T>(t);
        if (!values)
            return values.error();
        for (std::size_t i = 0; i < values->size(); ++i)
            if (!is_finite_result(static_cast<float>((*values)[i])))
                return error(errc::not_finite, argument).at(i);
        return std::vector<double>(values->begin(), values->end());
    }

    const safetensors::contents& file_;
    const std::string& layer_;
    const filter_shape& shape_;
    std::vector<std::string> names_;
};

/// What a state dict holds of a layer's weights, in the order [out][in][height][width].
struct found_weights {
    std::vector<double> values;
    const char* method;
    const char* format = ""; ///< the format of realized latents
    bool exact = false;      ///< whether some shift format must hold the weights
    /// Of weights that are integers of 8 bits times these: one scale for all, or one per row.
    std::vector<double> integer_scale = {};
};

/// Reads latents of format F, whose shifts may have DenseShift's names, and realizes them.
template <class F>
result<found_weights> realize_latents(layer_tensors& tensors, bool dense_shift_names) {
    std::array<std::vector<float>, latents_per_weight<F>> memory;
    std::array<std::span<const float>, latents_per_weight<F>> latents;
    for (std::size_t k = 0; k < memory.size(); ++k) {
        const auto values = tensors.read(dense_shift_names && k > 0 ? "weight_t" + std::to_string(k)
                                                                    : parameter_name<F>(k),
                                         tensors.weights());
        if (!values)
            return values.error();
        for (const double v : *values)
            memory[k].push_back(static_cast<float>(v));
        latents[k] = memory[k];
    }
    std::vector<float> weights(tensors.weights());
    if (auto s = realize(from_fields<F, const float>(latents), weights); !s)
        return s.error();
    return found_weights{{weights.begin(), weights.end()},
                         F::has_zero ? "S3 latents" : "DenseShift latents",
                         F::name};
}
/// Reads latents; their number tells the format.
inline result<found_weights> read_latents(layer_tensors& tensors) {
    const bool zero = tensors.has("weight_val"), dense_shift_names = tensors.has("weight_t1");
    const std::string shift = dense_shift_names ? "weight_t" : "weight_shift";
    std::size_t shifts = tensors.has(dense_shift_names ? "weight_t1" : "weight_shift") ? 1 : 0;
    while (tensors.has(shift + std::to_string(shifts + 1)))
        ++shifts;
    result<found_weights> found =
        error(errc::bad_option, "weight_shift (number of latents)").got(shifts);
    all_formats::each([&]<class F>() {
        if constexpr (F::is_shift)
            if (F::has_zero == zero && shift_latents<F> == shifts)
                found = realize_latents<F>(tensors, dense_shift_names);
    });
    return found;
}
/// Reads the weights round(sign)·2^round(shift) of DeepShift.
inline result<found_weights> read_deep_shift(layer_tensors& tensors) {
    auto values = tensors.read("shift", tensors.weights());
    if (!values)
        return values.error();
    const auto sign = tensors.read("sign", tensors.weights());
    if (!sign)
        return sign.error();
    for (std::size_t i = 0; i < values->size(); ++i) {
        const double shift = std::clamp(std::nearbyint((*values)[i]), -99.0, 99.0);
        (*values)[i] =
            std::ldexp(std::clamp(std::nearbyint((*sign)[i]), -1.0, 1.0), static_cast<int>(shift));
    }
    return found_weights{*std::move(values), "DeepShift", "", true};
}
/// Reads real numbers, multiplied by a scale of the tensor or of each row.
inline result<found_weights> read_real(layer_tensors& tensors, std::size_t rows) {
    auto values = tensors.read("weight", tensors.weights());
    if (!values)
        return values.error();
    found_weights found{{}, "real weights"};
    if (const safetensors::tensor* const t = tensors.find("scale")) {
        const bool one = t->data.size() == safetensors::info(t->type).bytes;
        const auto scale = tensors.read("scale", one ? 1 : rows);
        if (!scale)
            return scale.error();
        const std::size_t columns = values->size() / std::max<std::size_t>(rows, 1);
        for (std::size_t i = 0; i < values->size(); ++i)
            (*values)[i] *= (*scale)[one ? 0 : i / columns];
        const bool positive =
            std::all_of(scale->begin(), scale->end(), [](double s) { return s > 0; });
        if (positive && tensors.find("weight")->type == safetensors::dtype::i8)
            found.integer_scale = *scale;
    }
    found.values = *std::move(values);
    return found;
}
inline result<found_weights> find_weights(layer_tensors& tensors, std::size_t rows) {
    if (tensors.has("weight_val") || tensors.has("weight_shift") || tensors.has("weight_t1"))
        return read_latents(tensors);
    if (tensors.has("shift") && tensors.has("sign"))
        return read_deep_shift(tensors);
    return read_real(tensors, rows);
}

} // namespace s3::importing::detail
