#pragma once
// The shape of a language model: a Llama-like transformer. Each of its layers is
//
//   x += output · N(attention(rotary(query · n), rotary(key · n), value · n)),   n = RMSNorm(x)
//   x += down · N(f(gate · m) ∘ (up · m)),                                       m = RMSNorm(x)
//
// where N is a further RMSNorm in BitNet's models, else nothing, and f is silu or the square of
// relu. The logits are head · RMSNorm(x); in small models the head is the matrix that tokens are
// looked up in.

#include <s3/core/error.hpp>
#include <s3/core/saturating.hpp>

#include <cstddef>
#include <string>
#include <type_traits>

namespace lm {

struct config {
    std::size_t vocabulary = 256; ///< tokens; here bytes
    std::size_t width = 96;       ///< numbers that represent a token between layers
    std::size_t layers = 3;
    std::size_t heads = 4;
    std::size_t key_value_heads = 2; ///< each serves heads / key_value_heads heads
    std::size_t hidden = 256;        ///< width within the MLP
    std::size_t context = 128;       ///< tokens that the model was trained to look back over
    float rotary_base = 10000;       ///< θ of rotary positions (Su et al. 2021)
    float epsilon = 1e-5f;           ///< of RMSNorm
    bool squared_relu = false;       ///< whether f of the MLP is the square of relu; else silu
    bool sub_norms = false;          ///< whether there are further norms
    bool tied = true;                ///< whether the head is the embedding

    [[nodiscard]] std::size_t head_width() const { return width / heads; }
    [[nodiscard]] std::size_t key_value_width() const { return head_width() * key_value_heads; }

    /// Calls visit(name, member) for each member of a config, by its name in a file.
    template <class Config, class Visit>
    static void each(Config& c, Visit&& visit) {
        visit("vocabulary", c.vocabulary);
        visit("width", c.width);
        visit("layers", c.layers);
        visit("heads", c.heads);
        visit("key_value_heads", c.key_value_heads);
        visit("hidden", c.hidden);
        visit("context", c.context);
        visit("rotary_base", c.rotary_base);
        visit("epsilon", c.epsilon);
        visit("squared_relu", c.squared_relu);
        visit("sub_norms", c.sub_norms);
        visit("tied", c.tied);
    }

    /// Errors: a number that is 0 or beyond what any such model has; heads that do not divide.
    [[nodiscard]] s3::status check() const {
        s3::status done;
        each(*this, [&]<class T>(const char* name, const T& value) {
            constexpr T most = std::is_same_v<T, std::size_t> ? T(10'000'000) : T(1e9);
            if constexpr (!std::is_same_v<T, bool>) // no product of three sizes overflows
                if (done && !(value > 0 && value <= most))
                    done = s3::error(s3::errc::bad_option, name).got(value).limit(most);
        });
        if (!done)
            return done;
        if (width % (2 * heads) != 0) // rotary positions turn pairs
            return s3::error(s3::errc::shape_mismatch, "heads").got(heads);
        if (heads % key_value_heads != 0)
            return s3::error(s3::errc::shape_mismatch, "key_value_heads").got(key_value_heads);
        return {};
    }
};

/// Shapes by name, for random weights. "2B" is that of BitNet b1.58 2B4T (Ma et al. 2025).
[[nodiscard]] inline s3::described_result<config> shape_named(const std::string& name) {
    if (name == "2B")
        return config{128'256, 2560, 30, 20, 5, 6912, 4096, 500'000, 1e-5f, true, true};
    if (name == "small")
        return config{1000, 256, 2, 8, 2, 640, 512, 10'000};
    return s3::described_error(s3::error(s3::errc::bad_option, "shape"),
                               "shape: '" + name + "' is none of: small, 2B");
}

} // namespace lm
