#pragma once
// The library's error values as exceptions, which suit a program that ends at the first of them.

#include <s3/core/error.hpp>

#include <stdexcept>
#include <string>
#include <utility>

namespace support {

/// The value of a result; its error as an exception that says where it arose.
template <class T, class E>
[[nodiscard]] T checked(s3::result<T, E> r, const std::string& where) {
    if (!r)
        throw std::runtime_error(where + ": " + r.error().message());
    return *std::move(r);
}
inline void check(const s3::status& s, const std::string& where) {
    if (!s)
        throw std::runtime_error(where + ": " + s.error().message());
}

} // namespace support
