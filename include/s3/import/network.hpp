#pragma once
// A trained PyTorch network → an exact integer network.
//
//   state dict (safetensors) + description (import/description.hpp) + sample images → net::model
//
// There are four stages, with a header each: lines become layers (fuse), tensors become weights
// (state_dict), activations get a scale and a zero point (calibrate), and all of it becomes an
// integer model (lower). Each row's real Σ|w| proves that its sums fit int32.
//
// Errors: those of the stages and of net::check; samples that are not whole images, or missing
// though the description leaves quantizers to measure. Their descriptions say which line or layer
// is wrong, and why.

#include <s3/core/out_of_memory.hpp>
#include <s3/import/built_in.hpp>
#include <s3/import/calibrate.hpp>
#include <s3/import/fuse.hpp>
#include <s3/import/lower.hpp>
#include <s3/import/state_dict.hpp>
#include <s3/net/check.hpp>

namespace s3::importing {

struct import_options {
    /// Sample images, uint8, NHWC, as the network will receive them: a few hundred small or a dozen
    /// large ones.
    std::span<const std::uint8_t> samples;
    int bits = 8; ///< of activations for which the description does not say
    std::function<void(std::size_t done, std::size_t all)> progress = {};
    /// Whether the last line, a `linear`, stays in float, whatever its format; it then promises no
    /// bits.
    bool float_last = false;
    /// The format that real weights between the first and the last layer are rounded to, where the
    /// description says auto; if empty, they are refused.
    std::string format = {};
};

namespace detail {

inline described_result<imported_network> import_network(const safetensors::contents& file,
                                                         const description& given,
                                                         const import_options& o) {
    description d = given;
    if (o.float_last && !d.lines.empty())
        d.lines.back().format = "float";
    const std::size_t size = saturating_mul(saturating_mul(d.height, d.width), d.channels);
    const described_error no_samples(
        error(errc::bad_option, "samples").got(o.samples.size()).needs(size),
        "calibration needs sample images of " + std::to_string(size) + " bytes each");
    if (size == 0 || o.samples.size() % size != 0)
        return no_samples;
    if (o.bits < 2 || o.bits > 8)
        return error(errc::bad_option, "bits").outside(o.bits, 2, 8);
    if (const char* const wrong = wrong_input(d))
        return described_error(error(errc::bad_option, "description"), wrong);
    const auto fused = fuse(d, o.bits);
    if (!fused)
        return fused.error();
    if (o.samples.empty() && !gives_all_quantizers(d, *fused))
        return no_samples;
    auto weights = read_weights(file, d, *fused, o.format);
    if (!weights)
        return weights.error();
    auto measured = calibrate(d, *fused, weights->real, o.samples, o.progress);
    if (!measured)
        return measured.error();
    auto imported = network_lowering(d, *fused, *std::move(weights), *std::move(measured)).run();
    if (!imported)
        return imported.error();
    if (auto s = net::check(imported->model); !s) {
        const auto layer = static_cast<std::size_t>(s.error().index);
        const described_error e = s.error();
        return layer < imported->report.size() ? e.in(imported->report[layer].name) : e;
    }
    return imported;
}

} // namespace detail

/// Imports a network. Errors: see the top.
inline described_result<imported_network> import_network(const safetensors::contents& file,
                                                         const description& given,
                                                         const import_options& o) {
    return s3::detail::or_out_of_memory([&] { return detail::import_network(file, given, o); });
}

} // namespace s3::importing
