// One convolution, by whichever kernel is chosen at run time.
#include <s3/shift.hpp>

s3::status convolution(const s3::packed_filter<s3::shift3>& filter,
                       const s3::image_view<const std::uint8_t>& image,
                       const s3::image_view<std::int32_t>& y) {
    const auto w = s3::prepare<std::uint8_t>(filter, {.padding = 1});
    return w ? s3::conv2d(*w, image, y) : s3::status(w.error());
}
