// Runs the exported networks and compares every output. It is compiled for
// this machine, and for one that has nothing.

#include "board.hpp"
#include "networks.hpp"

namespace {

/// Whether `run` computes all outputs of some images, and prints that.
template <class Output, class Arena, std::size_t Inputs, std::size_t Outputs>
bool same(const char* name, std::size_t outputs,
          void (*run)(const std::uint8_t*, Output*, Arena&) noexcept,
          const std::uint8_t (&images)[Inputs], const Output (&expected)[Outputs]) {
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

} // namespace

int main() {
    using namespace examples;
    const bool right[] = {
        same("packed weights", packed::output_size, packed::run, packed_images, packed_outputs),
        same("constants", constants::output_size, constants::run, constants_images,
             constants_outputs),
        same("MobileNet", mobile_net::output_size, mobile_net::run, mobile_net_images,
             mobile_net_outputs),
        same("U-Net", u_net::output_size, u_net::run, u_net_images, u_net_outputs),
        same("sequence", sequence::output_size, sequence::run, sequence_images, sequence_outputs)};
    for (const bool r : right)
        if (!r)
            return 1;
    return 0;
}
