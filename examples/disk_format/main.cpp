// What lies on disk, byte by byte: a record of packed weights, and a model file that holds one.

#include <s3/io/model_file.hpp>

#include <array>
#include <cstdio>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace {

void print(std::span<const std::byte> bytes, std::size_t first = 0) {
    for (std::size_t i = 0; i < bytes.size(); i += 8) {
        std::printf("%5zu ", first + i);
        for (const std::byte b : bytes.subspan(i, std::min<std::size_t>(8, bytes.size() - i)))
            std::printf(" %02x", std::to_integer<unsigned>(b));
        std::printf("\n");
    }
}

int run() {
    const std::array<int, 8> weights{0, 1, -2, 4, -1, 0, 2, 2};
    const std::array<float, 2> scale{0.5f, 0.25f}; // one for each row
    const auto matrix = s3::pack<s3::shift3>(weights, 2, 4, {.scale = scale});
    if (!matrix)
        return 1;
    const std::vector<std::byte> record = s3::serialize(*matrix);
    std::printf("a record\n");
    print(record);
    const auto again = s3::deserialize<s3::shift3>(record);
    if (!again || again->value(0, 3) != 4 || again->real_scale(1) != 0.25f)
        return 1;

    // One linear layer of the same integers, from a vector of bytes to two sums.
    auto filter = s3::pack_filter<s3::shift3>(weights, {2, 1, 1, 4});
    if (!filter)
        return 1;
    s3::net::convolution layer;
    layer.filter = *std::move(filter);
    layer.bias = {100, -100};
    layer.raw = true;
    s3::net::model model;
    model.values = {{.channels = 4, .scale = 0.5f, .kind = s3::net::value_kind::vector},
                    {.channels = 2,
                     .kind = s3::net::value_kind::vector,
                     .element = s3::net::element_type::int32}};
    model.layers.push_back({"fc", std::move(layer)});
    const auto file = s3::model_file::write(model);
    if (!file || !s3::model_file::read(*file))
        return 1;
    const std::span<const std::byte> bytes(*file);
    std::printf("a model file: the length of its header,\n");
    print(bytes.first(8));
    const auto length = static_cast<std::size_t>(bytes[0]) | static_cast<std::size_t>(bytes[1])
                                                                 << 8;
    std::string_view header(reinterpret_cast<const char*>(bytes.data()) + 8, length);
    std::printf("the header,\n");
    for (; !header.empty(); header.remove_prefix(std::min<std::size_t>(88, header.size())))
        std::printf("%.*s|\n", static_cast<int>(std::min<std::size_t>(88, header.size())),
                    header.data());
    std::printf("and the tensors, one behind the other\n");
    print(bytes.subspan(8 + length), 8 + length);
    return 0;
}

} // namespace

int main() {
    return run();
}
