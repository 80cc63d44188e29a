#pragma once
// The type of a value. Values flow between the layers of a network; each is a batch of arrays of
// one shape.
//
//   image     [height][width][channels]
//   vector    [channels]; height and width are 1
//   sequence  [length][channels]: an image of height 1 whose width is the length
//
// All three are stored as NHWC. A value of bytes q, of at most `bits` bits, stands for the real
// numbers scale·(q − zero_point); int32 and float32 values stand for themselves, up to the
// network's output scale.

#include <s3/core/conv.hpp>
#include <s3/core/error.hpp>
#include <s3/core/is_finite.hpp>
#include <s3/core/view.hpp>

#include <cstddef>
#include <cstdint>

namespace s3::net {

struct model; // in net/model.hpp, which includes all layers and their kernels

enum class value_kind : unsigned char { image, vector, sequence };
enum class element_type : unsigned char { uint8, int32, float32 };

/// A value by its number: 0 is the input of the network, and i + 1 is the output of layer i. Layers
/// hold their inputs in this type, so that visitors of a layer's fields can tell inputs from
/// numbers.
struct value_id {
    std::size_t number = 0;

    constexpr value_id() = default;
    constexpr value_id(std::size_t n) noexcept : number(n) {}
    constexpr operator std::size_t() const noexcept { return number; }
};

/// Shape, element type and quantization of a value; the batch size is the caller's.
struct value_info {
    std::size_t height = 1;
    std::size_t width = 1;
    std::size_t channels = 0;
    int bits = 8;
    float scale = 1;
    int zero_point = 0;
    value_kind kind = value_kind::image;
    element_type element = element_type::uint8;

    /// The number of elements per image.
    [[nodiscard]] constexpr std::size_t size() const noexcept {
        return saturating_mul(saturating_mul(height, width), channels);
    }
    [[nodiscard]] constexpr std::size_t bytes() const noexcept {
        return saturating_mul(size(), element == element_type::uint8 ? 1 : 4);
    }
    [[nodiscard]] constexpr extent image_size() const noexcept { return {height, width}; }
    /// The largest q that `bits` bits allow.
    [[nodiscard]] constexpr int top() const noexcept { return (1 << bits) - 1; }
    friend constexpr bool operator==(const value_info&, const value_info&) = default;

    /// Calls f(name in files, member) for each member except the element type, which follows from
    /// the layer that computes the value.
    template <class Self, class Function>
    static void fields(Self& v, Function&& f) {
        f("height", v.height);
        f("width", v.width);
        f("channels", v.channels);
        f("bits", v.bits);
        f("step", v.scale);
        f("zero_point", v.zero_point);
        f("kind", v.kind);
    }
};

namespace detail {

/// The first failure among some statuses, which are all computed, so they must be cheap.
inline status first_of(std::initializer_list<status> all) {
    for (const status& s : all)
        if (!s)
            return s;
    return {};
}
inline status check_scale(const float& scale, const char* argument) {
    if (!is_finite(scale))
        return error(errc::not_finite, argument);
    return {};
}
inline status check_limits(std::int32_t low, std::int32_t high, const value_info& out) {
    if (low < 0 || low > high)
        return error(errc::bad_option, "low").outside(low, 0, high);
    if (high > out.top())
        return error(errc::bad_option, "high").got(high).limit(out.top());
    return {};
}
/// Checks that bytes of one value mean the same in another, which has room for them.
inline status check_same_numbers(const value_info& out, const value_info& in) {
    if (out.scale != in.scale)
        return error(errc::bad_option, "value.scale").got(out.scale).needs(in.scale);
    if (out.zero_point != in.zero_point)
        return error(errc::bad_option, "value.zero_point").got(out.zero_point).needs(in.zero_point);
    if (out.bits < in.bits)
        return error(errc::bad_option, "value.bits").got(out.bits).limit(in.bits);
    return {};
}
inline status check_shape(const value_info& got, const value_info& wanted) {
    if (got.height != wanted.height)
        return error(errc::shape_mismatch, "value.height").got(got.height).needs(wanted.height);
    if (got.width != wanted.width)
        return error(errc::shape_mismatch, "value.width").got(got.width).needs(wanted.width);
    if (got.channels != wanted.channels)
        return error(errc::shape_mismatch, "value.channels")
            .got(got.channels)
            .needs(wanted.channels);
    return {};
}

/// Checks what every value must comply with, whatever computes it.
inline status check_value(const value_info& v) {
    constexpr std::size_t limit = std::size_t{1} << 31;
    if (v.size() == 0 || v.size() > limit)
        return error(errc::bad_option, "value.size").got(v.size()).limit(v.size() == 0 ? 1 : limit);
    const bool flat = v.kind == value_kind::vector;
    if ((v.kind != value_kind::image && v.height != 1) || (flat && v.width != 1))
        return error(errc::bad_option, "value.kind");
    if (v.bits < 1 || v.bits > 8)
        return error(errc::bad_option, "value.bits").outside(v.bits, 1, 8);
    if (!is_finite(v.scale) || !(v.scale > 0))
        return error(errc::bad_option, "value.scale").got(v.scale);
    if (v.zero_point < 0 || v.zero_point > v.top())
        return error(errc::bad_option, "value.zero_point").outside(v.zero_point, 0, v.top());
    return {};
}

} // namespace detail
} // namespace s3::net
