#pragma once
// Arguments of a run whose element types are known only at run time. Each is a variant of a few
// views, and converts from any of them.

#include <s3/core/view.hpp>
#include <s3/ops/epilogue.hpp>

#include <cstdint>
#include <span>
#include <variant>

namespace s3::runtime {

/// Activation vectors, [N][K], of the type that the weights were prepared for.
using input_matrix = std::variant<matrix_view<const std::uint8_t>, matrix_view<const std::int8_t>,
                                  matrix_view<const float>>;
using input_image = std::variant<image_view<const std::uint8_t>, image_view<const std::int8_t>,
                                 image_view<const float>>;

/// Outputs, [N][M]. Float activations allow only float outputs.
using output_matrix = std::variant<matrix_view<std::int32_t>, matrix_view<std::uint8_t>,
                                   matrix_view<std::int8_t>, matrix_view<float>>;
using output_image = std::variant<image_view<std::int32_t>, image_view<std::uint8_t>,
                                  image_view<std::int8_t>, image_view<float>>;

/// No epilogue, or the one that the activations need: `epilogue` for integers, `float_epilogue` for
/// float.
using any_epilogue = std::variant<std::monostate, epilogue, float_epilogue>;

} // namespace s3::runtime
