// Runs the exported networks and compares every output. It is compiled for this machine, and for
// one that has nothing.

#include "board.hpp"
#include "networks.hpp"

namespace {

/// Whether `run` computes all outputs of some images, which it prints.
struct same_outputs {
    template <class Output, class Arena, std::size_t Inputs, std::size_t Outputs>
    bool operator()(const char* name, std::size_t outputs,
                    void (*run)(const std::uint8_t*, Output*, Arena&) noexcept,
                    const std::uint8_t (&images)[Inputs], const Output (&expected)[Outputs]) const {
        static Arena arena;
        static Output y[Outputs];
        const std::size_t count = Outputs / outputs;
        bool all = true;
        for (std::size_t n = 0; n < count; ++n)
            run(images + n * (Inputs / count), y + n * outputs, arena);
        for (std::size_t i = 0; i < Outputs; ++i)
            all = all && y[i] == expected[i];
        print(name);
        print(all ? ": every output the same\n" : ": outputs DIFFER\n");
        return all;
    }
};

} // namespace

// Without an operating system clang takes main for any function, whose name C++ decorates.
extern "C" int main() {
    return examples::each(same_outputs{}) ? 0 : 1;
}
