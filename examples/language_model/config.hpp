#pragma once
// The shape of a language model: a Llama-like transformer. Each of its layers is
//
//   x += output · attention(rotary(query · n), rotary(key · n), value · n),   n = RMSNorm(x)
//   x += down · (silu(gate · m) ∘ (up · m)),                                  m = RMSNorm(x)
//
// and the logits are embedding · RMSNorm(x), by the matrix that tokens are looked up in.

#include <s3/core/error.hpp>
#include <s3/core/saturating.hpp>

#include <array>
#include <cstddef>
#include <string>
#include <utility>

namespace lm {

struct config {
    std::size_t vocabulary = 256; ///< tokens; here bytes
    std::size_t width = 96;       ///< numbers that represent a token between layers
    std::size_t layers = 3;
    std::size_t heads = 4;
    std::size_t key_value_heads = 2; ///< each serves heads / key_value_heads heads
    std::size_t hidden = 256;        ///< width within the MLP
    std::size_t context = 128;       ///< tokens that the model was trained to look back over
    std::size_t rotary_base = 10000; ///< θ of rotary positions (Su et al. 2021)

    static constexpr float epsilon = 1e-5f; ///< of RMSNorm

    [[nodiscard]] std::size_t head_width() const { return width / heads; }
    [[nodiscard]] std::size_t key_value_width() const { return head_width() * key_value_heads; }

    /// The members by their names in a file.
    [[nodiscard]] auto fields() {
        return std::array<std::pair<const char*, std::size_t*>, 8>{
            {{"vocabulary", &vocabulary},
             {"width", &width},
             {"layers", &layers},
             {"heads", &heads},
             {"key_value_heads", &key_value_heads},
             {"hidden", &hidden},
             {"context", &context},
             {"rotary_base", &rotary_base}}};
    }

    /// Errors: a number that is 0 or beyond what any such model has; heads that do not divide.
    [[nodiscard]] s3::status check() const {
        config copy = *this;
        constexpr std::size_t most = 10'000'000; // no product of three of them overflows
        for (const auto& [name, value] : copy.fields())
            if (*value == 0 || *value > most)
                return s3::error(s3::errc::bad_option, name).got(*value).limit(most);
        if (width % (2 * heads) != 0) // rotary positions turn pairs
            return s3::error(s3::errc::shape_mismatch, "heads").got(heads);
        if (heads % key_value_heads != 0)
            return s3::error(s3::errc::shape_mismatch, "key_value_heads").got(key_value_heads);
        return {};
    }
};

/// Shapes by name, for random weights. "2B" is that of BitNet b1.58 2B4T (Ma et al. 2025), which
/// has two more norms per layer and another function in its MLP.
[[nodiscard]] inline s3::described_result<config> shape_named(const std::string& name) {
    if (name == "2B")
        return config{128'256, 2560, 30, 20, 5, 6912, 4096, 500'000};
    if (name == "small")
        return config{1000, 256, 2, 8, 2, 640, 512, 10'000};
    return s3::described_error(s3::error(s3::errc::bad_option, "shape"),
                               "shape: '" + name + "' is none of: small, 2B");
}

} // namespace lm
