#pragma once
// A trained PyTorch network → an exact integer network.
//
//   state dict (safetensors) + description (import/description.hpp) + sample images → net::model
//
// Four stages, a header each: lines become layers (fuse), tensors become weights (read),
// activations get a step and zero point (calibrate), all of it becomes an integer model (lower).
// Accumulators are proven by each row's real Σ|w|.
//
// Errors: those of the stages and of net::check; no samples. `where` then says which line or layer
// and what is wrong.

#include <s3/import/calibrate.hpp>
#include <s3/import/fuse.hpp>
#include <s3/import/lower.hpp>
#include <s3/import/state_dict.hpp>
#include <s3/net/check.hpp>

namespace s3::importing {

struct import_options {
    /// uint8, NHWC, as the network will get them; a few hundred small or a dozen large images.
    std::span<const std::uint8_t> samples;
    int bits = 8; ///< of activations, where the description does not say
    std::function<void(std::size_t done, std::size_t all)> progress = {};
    /// The last line, a `linear`, stays in float whatever its format; it promises no bits.
    bool float_last = false;
};

inline result<imported_network> import_network(const safetensors::contents& file,
                                               const description& given, const import_options& o,
                                               std::string& where) {
    description d = given;
    if (o.float_last && !d.steps.empty())
        d.steps.back().format = "float";
    const std::size_t size = saturating_mul(saturating_mul(d.height, d.width), d.channels);
    if (size == 0 || o.samples.empty() || o.samples.size() % size != 0) {
        where = "calibration needs sample images of " + std::to_string(size) + " bytes each";
        return error(errc::bad_option, "samples").got(o.samples.size()).needs(size);
    }
    if (o.bits < 2 || o.bits > 8)
        return error(errc::bad_option, "bits").got(o.bits).limit(8);
    if (d.scale <= 0)
        return error(errc::bad_option, "description.scale");
    const auto fused = detail::fuse(d, o.bits, where);
    if (!fused)
        return fused.error();
    auto weights = detail::read_weights(file, d, *fused, where);
    if (!weights)
        return weights.error();
    auto quantizers = detail::calibrate(d, *fused, weights->real, o.samples, o.progress, where);
    if (!quantizers)
        return quantizers.error();
    auto imported =
        detail::network_lowering(d, *fused, *std::move(weights), *std::move(quantizers), where)
            .run();
    if (!imported)
        return imported.error();
    if (auto s = net::check(imported->model); !s) {
        const auto layer = static_cast<std::size_t>(s.error().index);
        if (layer < imported->report.size())
            where = imported->report[layer].name + ": " + s.error().message();
        return s.error();
    }
    return imported;
}

} // namespace s3::importing
