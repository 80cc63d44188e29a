#pragma once
// Ternary weights as Hugging Face publishes BitNet b1.58: a safetensors file has `name` of type U8
// [rows / 4][columns], whose byte (r, c) has weights (r + k · rows / 4, c), plus one, in bits 2k
// and 2k + 1, and beside it `name`_scale, one number.
//
// Whether the scale multiplies the weights or divides them is not in that file. config.json says it
// as quantization_config.linear_class: "autobitlinear" multiplies (microsoft/bitnet-b1.58-2B-4T),
// "bitlinear", the default, divides (`scale_use_in`). Bits of 3, which stand for a weight of 2, are
// refused.

#include <s3/core/is_finite.hpp>
#include <s3/core/out_of_memory.hpp>
#include <s3/io/json_tree.hpp>
#include <s3/io/safetensors.hpp>
#include <s3/pack/pack.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace s3::bitnet {

enum class scale_use : unsigned char { multiplies, divides };

namespace detail {

inline described_result<scale_use> scale_use_in(std::string_view config_json) {
    using s3::detail::json_member, s3::detail::json_says;
    const auto config = s3::detail::parse_json_object(config_json, 16);
    const auto* const quantization =
        json_member(config ? &**config : nullptr, "quantization_config");
    const auto* const method = json_member(quantization, "quant_method");
    if (!json_says(method, "bitnet"))
        return described_error(error(errc::foreign, "config"),
                               "config.json states no quant_method bitnet");
    const auto* const linear = json_member(quantization, "linear_class");
    if (linear == nullptr || json_says(linear, "bitlinear"))
        return scale_use::divides;
    if (!json_says(linear, "autobitlinear"))
        return described_error(error(errc::unsupported, "config"),
                               "linear_class must be bitlinear or autobitlinear");
    return scale_use::multiplies;
}

inline described_result<packed_matrix<ternary>> packed(const safetensors::contents& file,
                                                       const std::string& name, scale_use use) {
    using safetensors::dtype;
    const auto weight = file.tensors.find(name), beside = file.tensors.find(name + "_scale");
    if (weight == file.tensors.end() || beside == file.tensors.end())
        return described_error(error(errc::foreign, "tensor"),
                               "there is no tensor " + name +
                                   (weight == file.tensors.end() ? "" : "_scale"));
    const auto& w = weight->second;
    if (w.type != dtype::u8 || w.shape.size() != 2)
        return described_error(error(errc::foreign, "tensor"),
                               name + " is not U8 [rows / 4][columns]");
    const auto stored = safetensors::floats(beside->second);
    if (!stored && stored.error().code == errc::out_of_memory)
        return stored.error();
    if (!stored || stored->size() != 1)
        return described_error(error(errc::foreign, "tensor"),
                               name + "_scale is not one F32, F16 or BF16");
    if (!is_finite(stored->front()))
        return described_error(error(errc::not_finite, "tensor"), name + "_scale is not finite");
    const float scale = use == scale_use::multiplies ? stored->front() : 1 / stored->front();
    const std::size_t part = w.shape[0], columns = w.shape[1];
    if (columns == 0 || part == 0)
        return described_error(error(errc::shape_mismatch, "tensor"), name + " is empty");
    const std::byte* const data = w.data.data();
    auto made = packed_matrix<ternary>::from_codes(
        saturating_mul(part, 4), columns, {0, std::span(&scale, 1)}, [=](std::size_t row) {
            const std::byte* const from = data + row % part * columns;
            const std::size_t begin = row * columns, shift = row / part * 2;
            return [=](std::size_t i) {
                return ternary::code_of(
                    static_cast<int>(std::to_integer<unsigned>(from[i - begin]) >> shift & 3) - 1);
            };
        });
    if (!made)
        return described_error(made.error()).in(name);
    return *std::move(made);
}

} // namespace detail

/// What a model's config.json, whose text is given, says of the scales. Errors: it is not JSON of a
/// BitNet model, or names another class.
inline described_result<scale_use> scale_use_in(std::string_view config_json) {
    return s3::detail::or_out_of_memory([&] { return detail::scale_use_in(config_json); });
}

/// The weights [rows][columns] of a tensor, with one scale. Errors name the tensor.
inline described_result<packed_matrix<ternary>> packed(const safetensors::contents& file,
                                                       const std::string& name, scale_use use) {
    return s3::detail::or_out_of_memory([&] { return detail::packed(file, name, use); });
}

} // namespace s3::bitnet
