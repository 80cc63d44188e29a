#pragma once
// The integer network, ready to run. Its kernels are compiled in integer_program.cpp, apart from
// libtorch, since both take long. Errors are thrown as std::runtime_error.

#include "architecture.hpp"

#include <s3/kernel/family.hpp>
#include <s3/net/model.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace fashion {

/// Kernels of one family, prepared once. (The first and the last layer have int8 weights, which
/// only the `dot` family serves.)
class integer_program {
public:
    /// For at most `batch` images at a time. `model` may go afterwards; `name` is for errors.
    integer_program(const s3::net::model& model, s3::family kernels, std::size_t batch,
                    const std::string& name);
    ~integer_program();
    /// images [count][28][28][1] → logits [count][10]
    void run(std::span<const std::uint8_t> images, std::size_t count,
             std::span<std::int32_t> logits);

private:
    struct prepared;
    std::unique_ptr<prepared> prepared_;
};

} // namespace fashion
