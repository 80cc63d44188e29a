// Runs networks of random weights, residual ones and imported ones with every kind of layer, and
// writes what an independent computation needs to check it: for each network a model file, images,
// and the outputs of net/program.hpp.
//
//   write <folder>

#include "../../benchmarks/support/resnet.hpp"

#include <s3/io/model_file.hpp>
#include <s3/runtime/program.hpp>

#include "../support/checkpoint.hpp"
#include "../support/descriptions.hpp"

#include <cstdio>
#include <string>

namespace {

using namespace s3;

template <class Bytes>
bool write_file(const std::string& path, const Bytes& bytes) {
    std::FILE* to = std::fopen(path.c_str(), "wb");
    if (to == nullptr)
        return false;
    const bool whole = std::fwrite(bytes.data(), 1, bytes.size(), to) == bytes.size();
    return std::fclose(to) == 0 && whole;
}

/// Y is the type of the network's outputs.
template <class Y>
bool write_outputs(const std::string& path, const net::model& m, std::size_t batch) {
    const auto program = runtime::prepare(m, {.batch = batch});
    const auto file = model_file::write(m);
    if (!program || !file)
        return false;
    test::random random(1);
    const net::value_info& in = m.input();
    const auto x = test::bytes_at_random(batch * in.size(), random);
    std::vector<Y> y(batch * m.output().size());
    const image_view<const std::uint8_t> images{x, batch, in.height, in.width, in.channels};
    return program->run(images, std::span(y)) && write_file(path + ".safetensors", *file) &&
           write_file(path + ".images", x) &&
           write_file(path + ".outputs", safetensors::to_bytes(std::span<const Y>(y)));
}
bool write_network(const std::string& path, const net::model& m, std::size_t batch) {
    return m.output().element == net::element_type::int32
               ? write_outputs<std::int32_t>(path, m, batch)
               : write_outputs<std::uint8_t>(path, m, batch);
}

bool write_imported(const std::string& path, const char* text) {
    constexpr std::size_t batch = 4;
    const auto d = importing::parse(text);
    test::random random(2);
    const auto x = test::bytes_at_random(batch * d->height * d->width * d->channels, random);
    const auto c = test::checkpoint_for(*d, x, random);
    const auto imported = importing::import_network(c.file, *d, {.samples = x});
    return imported && write_network(path, imported->model, batch);
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 2)
        return 2;
    const std::string folder = argv[1];
    const auto resnet = [](int depth, int bits) {
        return bench::resnet<shift3>({.depth = depth, .bits = bits});
    };
    return write_network(folder + "/resnet20", resnet(20, 8), 4) &&
                   write_network(folder + "/resnet20_6bit", resnet(20, 6), 4) &&
                   write_network(folder + "/resnet18", resnet(18, 8), 1) &&
                   write_imported(folder + "/mobile_net", test::mobile_net) &&
                   write_imported(folder + "/u_net", test::u_net) &&
                   write_imported(folder + "/sequence", test::sequence)
               ? 0
               : 1;
}
