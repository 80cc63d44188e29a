#pragma once
// What the compiled library can do, and what it may be asked for. The target s3::runtime holds one
// object per instruction set, compiled from the header-only library. Which of them is used is
// chosen when weights are prepared: the best that this machine supports, or the one that is named.
//
//   for (s3::isa set : s3::runtime::instruction_sets()) …   those built in, the poorest first
//   auto set = s3::runtime::find("avx2");                   errors: unknown, or not on this machine
//
// Headers of this folder include neither xsimd nor kernels, so that a host compiles in about a
// second. Which weight formats and activation types are in the library is decided when it is built
// (packaging/cmake/s3Runtime.cmake); asking for others is the error `unsupported`. For matrix units
// call s3::permit_tiles() first.

#include <s3/core/error.hpp>
#include <s3/ops/prepare_options.hpp>
#include <s3/simd/isa.hpp>
#include <s3/simd/tile_permission.hpp>

#include <optional>
#include <span>
#include <string_view>

namespace s3::runtime {

/// The sets that the library is built for, whether this machine supports them or not.
std::span<const isa> instruction_sets() noexcept;

/// The set of this name, e.g. "avx2". Errors: bad_option for a name that the library is not built
/// for, unsupported for a set that this machine lacks.
result<isa> find(std::string_view name);

/// The element type of activations. Sums are float for float activations, else int32.
enum class activation_type : unsigned char { uint8, int8, float32 };

template <class X>
inline constexpr activation_type activation_type_of = sizeof(X) > 1  ? activation_type::float32
                                                      : X(-1) < X(0) ? activation_type::int8
                                                                     : activation_type::uint8;

/// How weights are prepared.
struct options {
    std::optional<isa> set = {}; ///< if empty, the best that this machine supports
    activation_type activations = activation_type::uint8;
    prepare_options prepare = {};
};

} // namespace s3::runtime
