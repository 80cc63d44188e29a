#pragma once
// Errors of the library as exceptions, which Python sees as s3.Error.

#include <s3/core/error.hpp>

#include <stdexcept>
#include <type_traits>
#include <utility>

struct failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

template <class T, class E>
T checked(s3::result<T, E> r) {
    if constexpr (std::is_void_v<T>) {
        if (!r)
            throw failure(r.error().message());
    } else {
        if (!r)
            throw failure(r.error().message());
        return *std::move(r);
    }
}
