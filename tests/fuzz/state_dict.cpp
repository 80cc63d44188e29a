// A description, a zero byte, and a state dict: the network is imported, or refused. Networks that
// would take long to calibrate are left out.

#include "memory.hpp"

#include <s3/import/network.hpp>

namespace {

/// The multiplications of a network and the elements of its values.
std::size_t work_of(const s3::importing::description& d) {
    const auto shapes = s3::importing::infer(d);
    if (!shapes)
        return 0;
    std::size_t work = shapes->values.front().size();
    for (std::size_t i = 0; i < d.lines.size(); ++i) {
        const auto& f = shapes->filters[i];
        const std::size_t size = shapes->values[i + 1].size();
        work = s3::saturating_add(
            work,
            s3::saturating_mul(size, 1 + s3::saturating_mul(s3::saturating_mul(f.height, f.width),
                                                            f.in_channels)));
    }
    return work;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const std::size_t end = std::min(text.find('\0'), size);
    const auto d = s3::importing::parse(text.substr(0, end));
    if (!d)
        return 0;
    const std::size_t work = work_of(*d);
    if (work > 100'000)
        return 0;
    const s3::fuzz::memory_limit memory(size + work, 200);
    const auto rest = std::as_bytes(std::span(data, size)).subspan(std::min(end + 1, size));
    const auto file = s3::safetensors::read(rest);
    if (!file)
        return 0;
    std::vector<std::uint8_t> samples(2 * d->height * d->width * d->channels);
    for (std::size_t i = 0; i < samples.size(); ++i)
        samples[i] = static_cast<std::uint8_t>(i * 37);
    const auto network = s3::importing::import_network(*file, *d, {.samples = samples});
    if (network)
        s3::fuzz::require(s3::net::check(network->model).has_value(),
                          "an imported network is correct");
    return 0;
}
