#pragma once
// The Fashion-MNIST images and labels, read from the data set's own files (idx.hpp).
//
//   images  uint8 [count][1][28][28], 0 = background
//   labels  int64 [count], 0 … 9
//
// Everything that can be wrong with a file is thrown as std::runtime_error, with the file's name.

#include "architecture.hpp"
#include "idx.hpp"

#include <torch/torch.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>

namespace fashion {

inline constexpr const char* debian_folder = "/usr/share/datasets/fashion-mnist";

template <class T>
[[nodiscard]] std::span<const T> span_of(const torch::Tensor& t) {
    return {t.data_ptr<T>(), static_cast<std::size_t>(t.numel())};
}

struct labelled_images {
    torch::Tensor images;
    torch::Tensor labels;

    [[nodiscard]] std::int64_t size() const { return labels.size(0); }
    /// The first `count` of them.
    [[nodiscard]] labelled_images first(std::int64_t count) const {
        count = std::min(count, size());
        return {images.slice(0, 0, count), labels.slice(0, 0, count)};
    }
};

struct dataset {
    labelled_images train;
    labelled_images test;
};

inline labelled_images read_part(const std::filesystem::path& folder, const std::string& part) {
    constexpr auto side = static_cast<std::int64_t>(image_size);
    const auto tensor = [](support::byte_array& a) {
        return torch::from_blob(a.bytes.data(), static_cast<std::int64_t>(a.bytes.size()),
                                torch::kUInt8);
    };
    const auto images_path = (folder / (part + "-images-idx3-ubyte.gz")).string();
    auto images = support::read_idx(images_path, 3);
    if (images.shape[1] != image_size || images.shape[2] != image_size || images.bytes.empty())
        support::fail(images_path, "the images are not of 28 x 28 pixels");

    const auto labels_path = (folder / (part + "-labels-idx1-ubyte.gz")).string();
    auto labels = support::read_idx(labels_path, 1);
    if (labels.shape[0] != images.shape[0])
        support::fail(labels_path, "the number of labels is " + std::to_string(labels.shape[0]) +
                                       ", that of images " + std::to_string(images.shape[0]));
    if (const int largest = *std::max_element(labels.bytes.begin(), labels.bytes.end());
        largest >= static_cast<int>(classes))
        support::fail(labels_path,
                      "a label is " + std::to_string(largest) + ", the largest should be 9");
    return {tensor(images).reshape({-1, 1, side, side}).clone(), tensor(labels).to(torch::kInt64)};
}

inline dataset read_dataset(const std::filesystem::path& folder) {
    if (!std::filesystem::is_directory(folder))
        throw std::runtime_error("no data set in " + folder.string() +
                                 ": install Debian's package dataset-fashion-mnist, or name a "
                                 "folder that holds its four .gz files with --data");
    return {read_part(folder, "train"), read_part(folder, "t10k")};
}

} // namespace fashion
