#pragma once
// An owned, move-only array whose memory is aligned to 64 bytes (one cache line) and whose
// allocation reports failure as an error instead of an exception.

#include <s3/core/error.hpp>

#include <cstddef>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

namespace s3 {

template <class T>
requires std::is_trivially_copyable_v<T>
class buffer {
public:
    static constexpr std::size_t alignment = 64;

    buffer() = default;

    /// `size` zeroed elements, or `errc::out_of_memory`.
    static result<buffer> make(std::size_t size) {
        if (size == 0)
            return buffer();
        if (size > std::numeric_limits<std::size_t>::max() / 2 / sizeof(T))
            return error(errc::out_of_memory, "allocation").got(size);
        void* raw = ::operator new (size * sizeof(T), std::align_val_t{alignment}, std::nothrow);
        if (raw == nullptr)
            return error(errc::out_of_memory, "allocation").got(size * sizeof(T));
        std::memset(raw, 0, size * sizeof(T));
        return buffer(static_cast<T*>(raw), size);
    }
    /// The same elements as `from`, or `errc::out_of_memory`.
    static result<buffer> copy_of(std::span<const T> from) {
        auto copy = make(from.size());
        if (copy && !from.empty())
            std::memcpy(copy->data(), from.data(), from.size_bytes());
        return copy;
    }

    [[nodiscard]] T* data() noexcept { return data_.get(); }
    [[nodiscard]] const T* data() const noexcept { return data_.get(); }
    [[nodiscard]] std::size_t size() const noexcept { return data_ ? data_.get_deleter().size : 0; }
    [[nodiscard]] std::span<T> span() noexcept { return {data(), size()}; }
    [[nodiscard]] std::span<const T> span() const noexcept { return {data(), size()}; }
    [[nodiscard]] T& operator[](std::size_t i) noexcept { return data()[i]; }
    [[nodiscard]] const T& operator[](std::size_t i) const noexcept { return data()[i]; }

private:
    struct release {
        std::size_t size = 0;
        void operator()(T* p) const noexcept { ::operator delete (p, std::align_val_t{alignment}); }
    };
    buffer(T* p, std::size_t size) noexcept : data_(p, release{size}) {}

    std::unique_ptr<T[], release> data_;
};

} // namespace s3
