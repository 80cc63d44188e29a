#pragma once
// What the program does, a function per subcommand. Failures are exceptions (results.hpp).

#include "results.hpp"

#include <string>

namespace s3_program {

using support::check, support::checked;

/// Of all subcommands, which share the names that they share.
struct options {
    std::string checkpoint, network, samples, out, model, images, labels, logits;
    std::size_t classes = 1000, size = 0, channels = 3, count = 0, batch = 1;
    int bits = 8;
    double seconds = 2;
    bool description = false, float_last = false, verbose = false;
    std::size_t constants = 0;
    std::string kernels = "automatic", tune;
    std::string name = "network";
};

void import_model(const options& o);
void inspect(const options& o);
void show_kernels(const options& o);
void run_model(const options& o);
void bench(const options& o);
void export_model(const options& o);

} // namespace s3_program
