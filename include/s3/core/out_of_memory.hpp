#pragma once
// The boundary between containers, which throw when memory is not there, and results. Where
// exceptions are off, containers end the program instead; memory that s3::buffer holds, as that of
// packed and prepared weights, gives an error value there, too.

#include <s3/core/error.hpp>

#include <new>
#include <stdexcept>

namespace s3::detail {

/// f(), which returns a result; or errc::out_of_memory, where a container of f did not get its
/// memory. What f had made is gone then.
template <class Function>
auto or_out_of_memory(Function&& f) -> decltype(f()) {
#if S3_HAS_EXCEPTIONS
    try {
        return f();
    } catch (const std::bad_alloc&) {
        return error(errc::out_of_memory, "allocation");
    } catch (const std::length_error&) { // more than any container can hold
        return error(errc::out_of_memory, "allocation");
    }
#else
    return f();
#endif
}

} // namespace s3::detail
