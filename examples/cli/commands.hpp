#pragma once
// What the program does, a function per subcommand. Failures are exceptions (results.hpp).

#include "results.hpp"

#include <string>

namespace s3_program {

using support::check, support::checked;

/// Of all subcommands, which share the names that they share.
struct options {
    std::string checkpoint, network, samples, out, model, other, images, labels, logits;
    std::string format = "auto", mean, deviation;
    std::size_t classes = 0, size = 0, channels = 0, count = 0, batch = 1;
    int threads = 1;
    bool json = false;
    int bits = 8;
    double seconds = 2;
    bool description = false, float_last = false, verbose = false;
    std::size_t constants = 0;
    std::string kernels = "automatic", tune;
    std::string name = "network";
};

void import_model(const options& o);
void inspect(const options& o);
void run_model(const options& o);
void compare(const options& o);
void bench(const options& o);
void export_model(const options& o);

} // namespace s3_program
