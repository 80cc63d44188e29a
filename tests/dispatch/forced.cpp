// Calls the code of one instruction set without asking whether the machine has it: on an older machine it
// must die of an illegal instruction, or the other tests on such a machine would show nothing.
//
//   forced SET

#include "../../examples/dispatch/layer.hpp"

#include <cstdio>
#include <vector>

int main(int argc, char** argv) {
    const auto set = argc == 2 ? s3::dispatch::named(argv[1]) : std::nullopt;
    if (!set)
        return 2;
    const auto weights = s3::pack<s3::shift3>(std::vector<int>(64 * 64, 2), 64, 64);
    const std::vector<std::uint8_t> x(16 * 64, 3);
    std::vector<std::int32_t> y(16 * 64);
    const auto layer =
        s3::dispatch::with(*set, [&](auto isa) { return make_layer<isa>(*weights); });
    const bool right = layer && (*layer)->run(x, y) && y[0] == 64 * 6;
    std::puts(right ? "ran" : "WRONG");
    return right ? 0 : 1;
}
