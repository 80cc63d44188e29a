// Runs the exported networks and compares every output. It is compiled for
// this machine, and for one that has nothing.

#include "networks.hpp"

void print(const char* text);

namespace {

template <class Output, class Arena>
bool same(void (*run)(const std::uint8_t*, Output*, Arena&) noexcept) {
    constexpr std::size_t inputs = packed::input_size, outputs = packed::output_size;
    static Arena arena;
    for (std::size_t n = 0; n * inputs < sizeof examples::images; ++n) {
        Output y[outputs] = {};
        run(examples::images + n * inputs, y, arena);
        for (std::size_t i = 0; i < outputs; ++i)
            if (y[i] != examples::outputs[n * outputs + i])
                return false;
    }
    return true;
}

} // namespace

int main() {
    const bool by_arrays = same(packed::run), by_constants = same(constants::run);
    print(by_arrays ? "packed weights: every output the same\n"
                    : "packed weights: outputs DIFFER\n");
    print(by_constants ? "constants: every output the same\n" : "constants: outputs DIFFER\n");
    return by_arrays && by_constants ? 0 : 1;
}
