// Compiled once per instruction set: the library's kernels follow the compiler's flags.

#include "layer.hpp"

#include <s3/ops/matmul.hpp>

namespace {

class prepared_layer final : public layer {
public:
    explicit prepared_layer(s3::prepared_matrix<s3::shift3, std::uint8_t> w) : w_(std::move(w)) {}

    s3::status run(std::span<const std::uint8_t> x, std::span<std::int32_t> y) const override {
        return s3::matmul(w_, x, y);
    }
    std::string kernel() const override {
        return std::string(w_.kernel_name()) + " for " + s3::arch::native::name;
    }

private:
    s3::prepared_matrix<s3::shift3, std::uint8_t> w_;
};

} // namespace

template <>
s3::result<std::unique_ptr<layer>>
make_layer<s3::compiled_isa>(const s3::packed_matrix<s3::shift3>& weights) {
    auto w = s3::prepare(weights);
    if (!w)
        return w.error();
    return std::unique_ptr<layer>(std::make_unique<prepared_layer>(*std::move(w)));
}
