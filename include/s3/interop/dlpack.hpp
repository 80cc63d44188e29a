#pragma once
// For tensors in DLPack's C structures (https://dmlc.github.io/dlpack), which PyTorch, NumPy, JAX,
// TVM and others exchange; opt-in. It gives the library's views of the same memory:
//
//   const DLManagedTensor* t = …;                                    // of the host, from its
//   dlpack.h const auto x = s3::dlpack::matrix<const std::int8_t>(t->dl_tensor);  //
//   result<matrix_view<…>>
//
// A tensor is any structure with the members of DLTensor: the one in the host's dlpack.h or,
// without that header, `dlpack::tensor` below, which has the same layout. DLPack cannot say what is
// constant: ask for `const T` unless the producer lets you write. Its 64-bit sizes, its strides in
// elements, which may be null, and its byte offset are all looked at.
//
// Errors: interop/strided.hpp, and "device" (other than memory of the CPU), "dtype" (other than
// T's, or vectors of several lanes), "byte_offset" (at which no T can lie), "ndim".

#include <s3/interop/strided.hpp>

#include <concepts>
#include <cstdint>
#include <type_traits>

namespace s3::dlpack {

/// The types that DLPack numbers. Only those that the library computes with are named.
enum class type_code : std::uint8_t { integer = 0, unsigned_integer = 1, real = 2 };

/// DLDevice, DLDataType and DLTensor, by the interface that has been stable since version 0.2.
struct device {
    std::int32_t device_type; ///< 1 is the CPU, 3 and 11 are memory of the CPU that GPUs can reach
    std::int32_t device_id;
};
struct data_type {
    std::uint8_t code; ///< a type_code
    std::uint8_t bits;
    std::uint16_t lanes;
};
struct tensor {
    void* data;
    dlpack::device device;
    std::int32_t ndim;
    data_type dtype;
    std::int64_t* shape;
    std::int64_t* strides; ///< in elements; null for a contiguous tensor
    std::uint64_t byte_offset;
};
static_assert(sizeof(device) == 8 && sizeof(data_type) == 4 &&
              (sizeof(void*) != 8 || (sizeof(tensor) == 48 && offsetof(tensor, shape) == 24)));

/// DLTensor and structures like it.
template <class D>
concept tensor_like = requires(const D& t) {
    { t.data } -> std::convertible_to<const void*>;
    { t.device.device_type } -> std::convertible_to<std::int32_t>;
    { t.ndim } -> std::convertible_to<std::int32_t>;
    { t.dtype.code } -> std::convertible_to<std::uint8_t>;
    { t.dtype.bits } -> std::convertible_to<std::uint8_t>;
    { t.dtype.lanes } -> std::convertible_to<std::uint16_t>;
    { t.shape } -> std::convertible_to<const std::int64_t*>;
    { t.strides } -> std::convertible_to<const std::int64_t*>;
    { t.byte_offset } -> std::convertible_to<std::uint64_t>;
};

/// Memory, sizes and strides of a tensor whose elements are T.
template <class T, tensor_like D>
requires(std::is_arithmetic_v<T> && !std::same_as<std::remove_cv_t<T>, bool>)
    [[nodiscard]] result<interop::strided_array<T>> array(const D& t) {
    constexpr std::int32_t cpu = 1, cuda_host = 3, rocm_host = 11;
    const auto where = static_cast<std::int32_t>(t.device.device_type);
    if (where != cpu && where != cuda_host && where != rocm_host)
        return error(errc::unsupported, "device").got(where).needs(cpu);
    constexpr type_code wanted = std::is_floating_point_v<T> ? type_code::real
                                 : std::is_signed_v<T>       ? type_code::integer
                                                             : type_code::unsigned_integer;
    if (t.dtype.code != static_cast<std::uint8_t>(wanted))
        return error(errc::unsupported, "dtype").got(t.dtype.code).needs(static_cast<int>(wanted));
    if (t.dtype.bits != 8 * sizeof(T))
        return error(errc::unsupported, "dtype").got(t.dtype.bits).needs(8 * sizeof(T));
    if (t.dtype.lanes != 1)
        return error(errc::unsupported, "dtype").got(t.dtype.lanes).needs(1);
    if (t.ndim < 0)
        return error(errc::bad_option, "ndim").got(t.ndim);
    if (t.ndim > 0 && t.shape == nullptr)
        return error(errc::buffer_too_small, "shape").got(0).needs(t.ndim);
    T* first = nullptr;
    if (t.data != nullptr) {
        const auto at = reinterpret_cast<std::uintptr_t>(t.data);
        if (t.byte_offset > std::numeric_limits<std::uintptr_t>::max() - at ||
            (at + t.byte_offset) % alignof(T) != 0)
            return error(errc::bad_option, "byte_offset").got(t.byte_offset);
        using bytes = std::conditional_t<std::is_const_v<T>, const std::byte, std::byte>;
        first = reinterpret_cast<T*>(static_cast<bytes*>(t.data) + t.byte_offset);
    }
    return interop::strided_array<T>::make(
        first, static_cast<std::size_t>(t.ndim), [&](std::size_t d) { return t.shape[d]; },
        [&](std::size_t d) { return t.strides[d]; }, t.strides == nullptr);
}

/// All elements, if they lie in memory without gaps, the last index innermost.
template <class T, tensor_like D>
[[nodiscard]] result<std::span<T>> span(const D& t) {
    return array<T>(t).and_then([](const auto& a) { return interop::span_of(a); });
}
/// A tensor [rows][columns] whose rows are contiguous.
template <class T, tensor_like D>
[[nodiscard]] result<matrix_view<T>> matrix(const D& t) {
    return array<T>(t).and_then([](const auto& a) { return interop::matrix_of(a); });
}
/// A tensor of four dimensions, which `axes` names (PyTorch's are nchw, however they lie in
/// memory), whose elements lie in memory as NHWC or NCHW.
template <class T, tensor_like D>
[[nodiscard]] result<image_view<T>> images(const D& t, image_order axes = image_order::nhwc) {
    return array<T>(t).and_then([&](const auto& a) { return interop::images_of(a, axes); });
}

} // namespace s3::dlpack
