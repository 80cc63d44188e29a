// A host of the compiled library: a product, a convolution and a network.
#include <s3/runtime/conv2d.hpp>
#include <s3/runtime/linear.hpp>
#include <s3/runtime/program.hpp>

s3::status product(const s3::packed_matrix<s3::shift3>& weights, std::span<const std::uint8_t> x,
                   std::span<std::int32_t> y) {
    const auto w = s3::runtime::prepare(weights);
    if (!w)
        return w.error();
    return w->run(s3::matrix_view(x, 1, w->columns()), s3::matrix_view(y, 1, w->rows()));
}
s3::status convolution(const s3::packed_filter<s3::shift3>& filter,
                       const s3::image_view<const std::uint8_t>& image,
                       const s3::image_view<std::uint8_t>& y, std::span<const float> scale) {
    const auto w = s3::runtime::prepare(filter, {.padding = 1});
    return w ? w->run(image, y, s3::epilogue{.scale = scale}) : s3::status(w.error());
}
s3::status network(const s3::net::model& model, const s3::image_view<const std::uint8_t>& images,
                   std::span<float> y) {
    const auto p = s3::runtime::prepare(model, {.batch = 1});
    return p ? p->run(images, y) : s3::status(p.error());
}
