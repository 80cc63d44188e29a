// A GGUF file of any bytes is refused, or its values lie in it and are as many as its shapes say.

#include "memory.hpp"

#include <s3/import/decoder_gguf.hpp>
#include <s3/io/gguf_weights.hpp>

namespace {

template <class F>
void pack(const s3::gguf::tensor& t) {
    if (const auto packed = s3::gguf::packed<F>(t))
        s3::fuzz::require(packed->rows() == t.rows() && packed->columns() == t.columns(),
                          "packed weights have the tensor's shape");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const s3::fuzz::memory_limit memory(size, 40);
    const auto file = s3::gguf::read(std::as_bytes(std::span(data, size)));
    if (!file)
        return 0;
    for (const auto& [key, v] : file->metadata) {
        static_cast<void>(v.unsigned_integer());
        static_cast<void>(v.real());
        static_cast<void>(v.text());
        const auto texts = v.texts();
        s3::fuzz::require(texts.empty() || texts.size() == v.count, "an array has its elements");
    }
    for (const auto& [name, t] : file->tensors) {
        if (const auto values = s3::gguf::floats(t))
            s3::fuzz::require(values->size() == t.rows() * t.columns(), "floats are all there");
        pack<s3::ternary>(t);
        pack<s3::int4_weights>(t);
        pack<s3::int8_weights>(t);
    }
    using namespace s3::importing;
    if (const auto shape = shape_of(*file))
        if (const auto parts = find_decoder(*shape, naming::gguf, *shapes_of(*file)))
            s3::fuzz::require(parts->layers.size() == shape->layers &&
                                  file->tensors.contains(parts->head),
                              "a decoder has its parts");
    return 0;
}
