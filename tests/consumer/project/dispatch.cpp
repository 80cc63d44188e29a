#include <s3/simd/isa.hpp>

template <s3::isa>
const char* architecture();

int main() {
    const auto name = [](auto isa) { return std::string_view(architecture<isa>()); };
    // Called on this machine or not, both are there, and differ.
    const auto all = {s3::dispatch::with(s3::isa::baseline, name),
                      s3::dispatch::with(s3::isa::avx2, name),
                      s3::dispatch::with(s3::isa::neon_dot, name)};
    int richer = 0;
    for (const auto& each : all)
        richer += each != *all.begin();
    return richer == 1 ? 0 : 1;
}
