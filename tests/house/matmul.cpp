// One product of one prepared matrix, by whichever kernel is chosen at run time.
#include <s3/shift.hpp>

s3::status product(const s3::packed_matrix<s3::shift3>& weights, std::span<const std::uint8_t> x,
                   std::span<std::int32_t> y) {
    const auto w = s3::prepare<std::uint8_t>(weights);
    return w ? s3::matmul(*w, x, y) : s3::status(w.error());
}
