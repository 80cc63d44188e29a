#pragma once
// What the program does, a function per subcommand. Failures are exceptions (results.hpp).

#include "idx.hpp"
#include "results.hpp"

#include <s3/io/safetensors.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace s3_program {

using support::check, support::checked;

/// Of all subcommands, which share the names that they share.
struct options {
    std::string checkpoint, network, torch, samples, out, model, other, images, labels, logits;
    std::string format = "auto", mean, deviation;
    std::size_t classes = 0, size = 0, channels = 0, count = 0, batch = 1;
    int threads = 1;
    bool json = false;
    int bits = 8;
    double seconds = 2;
    bool description = false, float_last = false, verbose = false;
    std::size_t constants = 0;
    std::string kernels = "automatic", instruction_set, tune;
    std::string name = "network";
};

/// What PyTorch tells of a network: its tensors and, if it was traced, its description
/// (s3/import/description.hpp).
struct torch_network {
    std::shared_ptr<const void> owner; ///< of the tensors' memory
    s3::safetensors::contents tensors;
    std::string description;
};

/// What the program asks Python for, which it does not hold itself: the packages s3 and torch.
struct python {
    /// The network that o.torch names, traced with samples.
    std::function<torch_network(const options& o, const support::byte_array& samples)> trace;
    /// The state dict in a file that torch.save wrote.
    std::function<torch_network(const std::string& path)> state_dict;
};

/// Whether a file begins as those that torch.save writes do.
bool is_of_torch(const std::string& path);

/// Runs the program and returns its exit code. Without Python it starts one for what needs it.
int program(int argc, const char* const* argv, const python& py = {});

void import_model(const options& o, const python& py);
void inspect(const options& o);
void run_model(const options& o);
void compare(const options& o);
void bench(const options& o);
void export_model(const options& o);

} // namespace s3_program
