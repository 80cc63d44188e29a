#pragma once
// The network in integers, and how to run it. Nothing here needs libtorch: this, integer.cpp and
// model_file.hpp are all that a program which only classifies would keep.
//
// Activations are uint8. Each convolution accumulates exact int32 sums; its epilogue gives
//
//   next activation = clamp(round((sum + bias)·multiplier), 0, 255)       (ReLU included)
//
// The last layer needs no rounding: mean and linear layer commute, so each of the 49 positions is
// classified and the int32 logits are added up.

#include "architecture.hpp"

#include <s3/shift.hpp>

#include <array>
#include <stdexcept>
#include <string>
#include <vector>

namespace fashion {

/// The value of a result; its error as an exception that says where it arose.
template <class T>
[[nodiscard]] T checked(s3::result<T> r, const std::string& where) {
    if (!r)
        throw std::runtime_error(where + ": " + r.error().message());
    return *std::move(r);
}
inline void check(const s3::status& s, const std::string& where) {
    if (!s)
        throw std::runtime_error(where + ": " + s.error().message());
}

template <s3::weight_format F>
struct integer_conv {
    s3::packed_filter<F> filter;
    std::vector<float> multiplier;
    std::vector<std::int32_t> bias;
};

struct integer_network {
    integer_conv<byte_format> first;
    std::vector<integer_conv<shift_format>> inner;
    s3::packed_matrix<byte_format> linear;
    std::vector<std::int32_t> linear_bias;

    /// Of the packed weights alone.
    [[nodiscard]] std::size_t weight_bytes() const {
        std::size_t bytes = first.filter.matrix.stream().size() + linear.stream().size();
        for (const auto& conv : inner)
            bytes += conv.filter.matrix.stream().size();
        return bytes;
    }
    [[nodiscard]] std::size_t weights() const {
        std::size_t count = first.filter.matrix.size() + linear.size();
        for (const auto& conv : inner)
            count += conv.filter.matrix.size();
        return count;
    }
};

/// Prepares the kernels of one family once, then classifies any number of images. (The first and
/// the last layer have int8 weights, which only the `dot` family serves.)
class integer_runner {
public:
    static constexpr std::size_t batch = 32;

    /// `net` must outlive it.
    integer_runner(const integer_network& net, s3::family family);

    /// `logits` holds `classes` numbers for each image.
    void run(std::span<const std::uint8_t> pixels, std::span<std::int32_t> logits);

private:
    void run_batch(std::span<const std::uint8_t> pixels, std::span<std::int32_t> logits);

    const integer_network& net_;
    s3::prepared_filter<byte_format, std::uint8_t> first_;
    std::vector<s3::prepared_filter<shift_format, std::uint8_t>> inner_;
    s3::prepared_matrix<byte_format, std::uint8_t> linear_;
    std::array<std::vector<std::uint8_t>, 2> buffers_;
    std::vector<std::int32_t> scores_;
};

[[nodiscard]] inline s3::filter_shape shape_of(const layer_shape& layer) {
    return {layer.out_channels, 3, 3, layer.in_channels};
}

} // namespace fashion
