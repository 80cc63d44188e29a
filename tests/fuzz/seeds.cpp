// Writes the inputs that fuzzing starts from: small files of every kind that a reader takes.
//
//   seeds <folder>      writes <folder>/<harness>/<name>

#include "../../examples/cli/images.hpp"
#include "../support/checkpoint.hpp"
#include "../support/descriptions.hpp"
#include "../support/gguf.hpp"
#include "../support/models.hpp"

#include <s3/io/model_file.hpp>

#include <filesystem>

namespace {

using namespace s3;

std::filesystem::path folder;

std::string path_of(const char* harness, const std::string& name) {
    std::filesystem::create_directories(folder / harness);
    return (folder / harness / name).string();
}
template <class Bytes>
void write(const char* harness, const std::string& name, const Bytes& bytes) {
    std::ofstream(path_of(harness, name), std::ios::binary)
        .write(reinterpret_cast<const char*>(std::data(bytes)),
               static_cast<std::streamsize>(std::size(bytes)));
}

void write_networks() {
    const std::pair<const char*, std::string> networks[] = {
        {"plain",
         "input 4 4 1\nconv a 1 2 kernel=3 padding=1\nbn b\nrelu\nmaxpool kernel=2\nflatten\n"
         "linear c 8 3\n"},
        {"residual", "input 4 3 2 mean=0.5,0.4 std=0.25\nconv a 2 2 kernel=1\nbn b\nrelu r\n"
                     "conv c 2 2 kernel=3 padding=1\nadd r\nhardswish\nglobalmean\n"
                     "flatten\nlinear d 2 2 format=float\n"},
        {"sequence",
         "input 8 2\nconv a 2 3 kernel=3 stride=2\nsigmoid\navgpool kernel=3 stride=3\n"}};
    for (const auto& [name, text] : networks) {
        write("description", name, text);
        const auto d = importing::parse(text);
        const auto fused = d ? importing::detail::fuse(*d, 8) : d.error();
        if (!fused) {
            std::fprintf(stderr, "%s: %s\n", name, fused.error().message().c_str());
            std::exit(1);
        }
        test::random r(1);
        const auto x = test::bytes_at_random(4 * d->height * d->width * d->channels, r);
        const auto file = safetensors::write(test::checkpoint_for(*d, x, r).file);
        write("safetensors", name, *file);
        std::vector<char> both(text.begin(), text.end());
        both.push_back('\0');
        for (const std::byte b : *file)
            both.push_back(static_cast<char>(b));
        write("state_dict", name, both);
    }
    write("description", "mobile_net", std::string(test::mobile_net));
    write("description", "u_net", std::string(test::u_net));
    write("description", "resnet20", importing::built_in("resnet20", 10, 8, 3));
}

void write_records() {
    all_formats::each([]<class F>() {
        test::random r(2);
        const std::vector<float> scale(4, 0.5f);
        const auto weights = test::random_weights<F>(r, 4 * 6);
        write("record", std::string(F::name) + "_matrix",
              serialize(*pack<F>(weights, 4, 6, {.exponent_offset = 0, .scale = scale})));
        write("record", std::string(F::name) + "_filter",
              serialize(*pack_filter<F>(weights, {4, 1, 3, 2})));
    });
}

void write_arrays() {
    const std::array<std::uint8_t, 8> bytes{0, 50, 100, 150, 200, 250, 1, 2};
    const std::array<std::int64_t, 2> longs{3, 1};
    s3_program::write_npy(path_of("images", "array.npy"), "|u1", "2, 2, 2", bytes.data(), 8);
    s3_program::write_npy(path_of("images", "colours.npy"), "|u1", "1, 2, 2, 1", bytes.data(), 4);
    write("images", "grey.pgm", std::string("P5 # c\n2 2\n255\n") + "abcd");
    write("images", "raw", std::string("abcdefgh"));
    const std::array<std::uint8_t, 20> idx{0, 0, 8, 3, 0, 0, 0, 1, 0, 0,
                                           0, 2, 0, 0, 0, 2, 9, 8, 7, 6};
    write("images", "idx", idx);
    s3_program::write_npy(path_of("labels", "bytes.npy"), "|u1", "8,", bytes.data(), 8);
    s3_program::write_npy(path_of("labels", "longs.npy"), "<i8", "2,", longs.data(), 16);
    const std::array<std::uint8_t, 10> labels{0, 0, 8, 1, 0, 0, 0, 2, 7, 3};
    write("labels", "idx", labels);
    for (const char* harness : {"images", "labels"}) { // the same compressed
        const std::string from = path_of(harness, "idx"), to = path_of(harness, "idx.gz");
        const auto plain = s3_program::read_bytes(from);
        const gzFile file = gzopen(to.c_str(), "wb");
        gzwrite(file, plain.data(), static_cast<unsigned>(plain.size()));
        gzclose(file);
    }
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 2)
        return 2;
    folder = argv[1];
    write_networks();
    write_records();
    write_arrays();
    write("gguf", "small", test::small_gguf().bytes());
    write("gguf", "decoder", test::decoder_gguf("llama").bytes());
    write("model_file", "sample", *model_file::write(test::sample()));
    write("model_file", "graph", *model_file::write(test::graph()));
    return 0;
}
