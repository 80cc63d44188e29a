#pragma once
// A packed model that runs, whatever the format of its weights: from a file, or of random weights
// to measure speed with. model.hpp is what is behind this.

#include "config.hpp"

#include <s3/core/view.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace lm {

/// A token, and the sequence that it continues.
struct input {
    std::size_t sequence;
    std::uint32_t token;
};

struct model_options {
    std::size_t sequences = 1; ///< that are continued independently of each other
    std::size_t cache = 0;     ///< tokens that a sequence may have; 0: the model's context
    std::size_t batch = 1;     ///< inputs that are computed together, of any sequences
};

class language_model {
public:
    virtual ~language_model() = default;
    [[nodiscard]] virtual const config& shape() const = 0;
    [[nodiscard]] virtual const model_options& options() const = 0;
    /// The bytes of packed weights that `forward` and `logits` read together, and their number.
    [[nodiscard]] virtual std::size_t weight_bytes() const = 0;
    [[nodiscard]] virtual std::size_t weight_count() const = 0;
    /// Forgets all sequences.
    virtual void clear() = 0;

    /// Continues sequences by tokens, at most `batch` of them. Returns what the model makes of each
    /// input, [inputs][width], for `logits`; it stays until the next call. Errors, which leave the
    /// sequences as they were: a token or a sequence that does not exist, a sequence that outgrows
    /// the cache.
    virtual s3::result<s3::matrix_view<const float>> forward(std::span<const input> inputs) = 0;
    /// Rows of what `forward` returned → logits [rows][vocabulary] of the tokens that follow.
    virtual s3::status logits(s3::matrix_view<const float> hidden, s3::matrix_view<float> out) = 0;
};

using model_result = s3::described_result<std::unique_ptr<language_model>>;

/// The model in a file. Errors name what is wrong with the file.
[[nodiscard]] model_result load(const std::string& path, const model_options& options);
/// A model of random weights. Errors: a format other than "ternary" and "shift3"; a shape that is
/// none; no memory.
[[nodiscard]] model_result random_model(const config& shape, const std::string& format,
                                        const model_options& options);

} // namespace lm
