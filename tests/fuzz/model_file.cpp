// A model that is read passes the check, can be written, and is planned and costed.

#include "memory.hpp"

#include <s3/io/model_file.hpp>
#include <s3/net/plan.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const s3::fuzz::memory_limit memory(size, 100);
    const auto bytes = std::as_bytes(std::span(data, size));
    const auto model = s3::model_file::read(bytes, s3::stream_memory::borrow);
    if (!model)
        return 0;
    s3::fuzz::require(s3::net::check(*model).has_value(), "a model that was read is correct");
    static_cast<void>(s3::net::plan(*model));
    const auto written = s3::model_file::write(*model);
    s3::fuzz::require(written.has_value(), "what was read can be written");
    const auto again = s3::model_file::read(*written);
    s3::fuzz::require(again && again->values == model->values, "what was written reads as before");
    const auto twice = s3::model_file::write(*again);
    s3::fuzz::require(twice && *twice == *written, "what was written is written the same again");
    return 0;
}
