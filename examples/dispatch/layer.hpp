#pragma once
// What the program sees of code that is compiled once per instruction set: an interface whose types
// do not depend on it.

#include <s3/core/error.hpp>
#include <s3/pack/pack.hpp>
#include <s3/simd/isa.hpp>

#include <cstdint>
#include <memory>
#include <span>

/// Weights prepared for one instruction set.
class layer {
public:
    virtual ~layer() = default;
    /// y[N][M] = x[N][K]·w[M][K]ᵀ, exact
    virtual s3::status run(std::span<const std::uint8_t> x, std::span<std::int32_t> y) const = 0;
    /// e.g. "dot for avx2"
    virtual std::string kernel() const = 0;
};

/// Defined in layer.cpp, once per set.
template <s3::isa>
s3::result<std::unique_ptr<layer>> make_layer(const s3::packed_matrix<s3::shift3>& weights);
