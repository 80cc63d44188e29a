// A record is one of at most one format, and is written as it was read.

#include "memory.hpp"

#include <s3/format/list.hpp>
#include <s3/pack/record.hpp>

namespace {

template <class F>
void read(std::span<const std::byte> record) {
    const auto same = [&](const auto& tensor) {
        if (!tensor)
            return;
        const auto written = s3::serialize(*tensor);
        const auto h = s3::layout::read(record);
        s3::fuzz::require(h.has_value(), "the header of a record that was read is correct");
        const std::size_t header = s3::layout::header_bytes_of(h->version);
        s3::fuzz::require(written.size() - s3::layout::header_bytes == record.size() - header &&
                              std::equal(record.begin() + static_cast<std::ptrdiff_t>(header),
                                         record.end(), written.begin() + s3::layout::header_bytes),
                          "a record is written as it was read");
    };
    same(s3::deserialize<F>(record));
    same(s3::deserialize_filter<F>(record, s3::stream_memory::borrow));
}

template <class... Formats>
void read_each(s3::format_list<Formats...>, std::span<const std::byte> record) {
    (read<Formats>(record), ...);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // A matrix without columns may have a million rows, for each of which it keeps a sum.
    const s3::fuzz::memory_limit memory(size + (std::size_t{1} << 20), 16);
    read_each(s3::all_formats{}, std::as_bytes(std::span(data, size)));
    return 0;
}
