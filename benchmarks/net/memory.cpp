// Peak memory of a process that prepares ResNet-18 from its packed weights and classifies one
// image: what the operating system counted, less what the process held before.

#include "../support/report.hpp"
#include "../support/resnet.hpp"

#include <s3/net/program.hpp>

namespace {

using namespace s3;
using namespace s3::bench;

/// Peak resident bytes so far.
[[nodiscard]] double peak_memory() {
    std::FILE* const file = std::fopen("/proc/self/status", "r");
    if (file == nullptr)
        fail("/proc/self/status cannot be read");
    char line[256];
    long kibibytes = 0;
    while (std::fgets(line, sizeof line, file) != nullptr)
        if (std::sscanf(line, "VmHWM: %ld", &kibibytes) == 1)
            break;
    std::fclose(file);
    return static_cast<double>(kibibytes) * 1024;
}

void measure_memory(int bits) {
    const double before = peak_memory();
    double packed = 0, floats = 0;
    {
        const auto m = resnet<shift3>({.depth = 18, .bits = bits});
        packed = static_cast<double>(net::weight_bytes(m));
        floats = 4 * static_cast<double>(weights(m));
        const auto p = require(net::prepare<format_list<shift3, int8_weights>>(m));
        auto arena = require(buffer<std::byte>::make(p.arena_bytes(1)));
        std::vector<std::uint8_t> x(m.input().size(), 100);
        std::vector<std::int32_t> y(m.output().size());
        succeed(net::run(p, image_view<const std::uint8_t>{x, 1, 224, 224, 3}, std::span(y),
                         arena.span()));
    }
    const double used = peak_memory() - before;
    const auto row = [&](const char* what, double value, double target) {
        const bool met = target == 0 || value <= target * floats;
        std::printf("%s: %.0f bytes, %.4f of the weights in fp32\n", what, value, value / floats);
        write_line(text("{\"regime\": \"network, %s, 3-bit weights, activations of %d bits, vs "
                        "weights in fp32\", \"shape\": \"ResNet-18\", \"kernel\": \"net::run\", ",
                        what, bits) +
                   text("\"isa\": \"%s\", \"value\": %.0f, \"baseline\": %.0f, \"unit\": "
                        "\"bytes\", \"ratio\": %.4f, \"target\": %g, \"met\": %s}",
                        arch::native::name, value, floats, value / floats, target,
                        met ? "true" : "false"));
    };
    row("packed weights", packed, 0.11);
    row("peak memory", used, 0);
}

} // namespace

int main(int argc, char** argv) {
    const int bits = argc > 1 ? std::atoi(argv[1]) : 8;
    if (argc > 2 || bits < 1 || bits > 8) {
        std::fprintf(stderr, "usage: %s [bits of the activations, 8 if not given]\n", argv[0]);
        return 2;
    }
    measure_memory(bits);
}
