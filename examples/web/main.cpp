// The exported network as WebAssembly: what the page calls. It shares memory with the page, and needs
// no runtime of its own.

#include "network.hpp" // written by s3shift export

#include <cstddef>
#include <cstdint>

#define S3_EXPORT(name) extern "C" __attribute__((export_name(#name)))

namespace {
std::uint8_t pixels[network::input_size];
network::output_type outputs[network::output_size];
network::arena_type arena;
} // namespace

/// The image, [28][28] bytes, to be filled by the page.
S3_EXPORT(image) std::uint8_t* image() {
    return pixels;
}
/// The ten outputs of the last `run`; times `scale` they are logits.
S3_EXPORT(logits) network::output_type* logits() {
    return outputs;
}
S3_EXPORT(scale) float scale() {
    return network::output_scale;
}
S3_EXPORT(run) void run() {
    network::run(pixels, outputs, arena);
}
