#pragma once
// Errors as values. Whatever can be wrong at run time (weights outside a format, shapes, strides,
// files) comes back as an `error` that names the argument, or as a `result<T>` that holds one.
// Nothing here throws, but for `result::value()` where exceptions are enabled.

#include <s3/config.hpp>

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#if S3_HAS_EXCEPTIONS
#include <stdexcept>
#endif

namespace s3 {

enum class errc : std::uint8_t {
    ok,
    not_in_format,  ///< a weight that the format cannot hold; index and value say which
    not_finite,     ///< NaN or infinity; index says where
    shape_mismatch, ///< sizes that do not fit together; value is what came, limit what is needed
    bad_option,     ///< a stride, padding, group count, … outside its range
    depth_exceeded, ///< Σ|w|·max|x| could overflow the accumulator; value and limit are the sums
    buffer_too_small, ///< an output or scratch span; value is its size, limit the size needed
    reserved_code,    ///< the code of "minus zero", which is never written
    truncated,        ///< a file or buffer that ends early
    foreign,          ///< not one of our files, or another format than the one asked for
    unsupported,      ///< a combination that no kernel serves
    out_of_memory,    ///< an allocation failed; value is its size in bytes
    io,               ///< the operating system refused to open, read or write
};

[[nodiscard]] constexpr const char* to_string(errc code) noexcept {
    switch (code) {
    case errc::ok:
        return "no error";
    case errc::not_in_format:
        return "value is not in the weight format";
    case errc::not_finite:
        return "value is not finite";
    case errc::shape_mismatch:
        return "shape does not fit";
    case errc::bad_option:
        return "option is out of range";
    case errc::depth_exceeded:
        return "sum could overflow the accumulator";
    case errc::buffer_too_small:
        return "buffer is too small";
    case errc::reserved_code:
        return "reserved code (minus zero)";
    case errc::truncated:
        return "data ends early";
    case errc::foreign:
        return "not the expected kind of data";
    case errc::unsupported:
        return "combination is not supported";
    case errc::out_of_memory:
        return "out of memory";
    case errc::io:
        return "input or output failed";
    }
    return "unknown error";
}

/// What went wrong, and with which argument. `argument` points to static storage. `index`, `value`
/// and `limit` are set where they mean something (`index` ≥ 0, `has_value`, `has_limit`).
struct error {
    errc code = errc::ok;
    const char* argument = "";
    std::int64_t index = -1;
    double value = 0;
    double limit = 0;
    bool has_value = false;
    bool has_limit = false;

    constexpr error() = default;
    constexpr error(errc c, const char* arg) noexcept : code(c), argument(arg) {}

    [[nodiscard]] constexpr error at(std::size_t i) const noexcept {
        error e = *this;
        e.index = static_cast<std::int64_t>(i);
        return e;
    }
    template <class T>
    [[nodiscard]] constexpr error got(T v) const noexcept {
        error e = *this;
        e.value = static_cast<double>(v);
        e.has_value = true;
        return e;
    }
    template <class T>
    [[nodiscard]] constexpr error needs(T v) const noexcept {
        error e = *this;
        e.limit = static_cast<double>(v);
        e.has_limit = true;
        return e;
    }

    /// One line for a person, e.g. "weights[7]: value is not in the weight format (got 3, limit
    /// 4)".
    [[nodiscard]] std::string message() const {
        std::string text = argument;
        if (index >= 0)
            text.append("[").append(std::to_string(index)).append("]");
        text += ": ";
        text += to_string(code);
        char number[48];
        if (has_value) {
            std::snprintf(number, sizeof number, " (got %.10g%s", value, has_limit ? "" : ")");
            text += number;
        }
        if (has_limit) {
            std::snprintf(number, sizeof number, "%slimit %.10g)", has_value ? ", " : " (", limit);
            text += number;
        }
        return text;
    }
};

#if S3_HAS_EXCEPTIONS
/// Thrown by `result::value()` alone.
struct bad_result : std::runtime_error {
    explicit bad_result(const error& e) : std::runtime_error(e.message()), what_failed(e) {}
    error what_failed;
};
#endif

/// Either a T or an error. Test it (`if (r)`), then use `*r` and `r->`, or `r.error()`.
template <class T>
class [[nodiscard]] result {
public:
    result(T value) : value_(std::move(value)) {}
    result(const s3::error& e) : error_(e) { S3_ASSERT(e.code != errc::ok); }

    [[nodiscard]] bool has_value() const noexcept { return value_.has_value(); }
    [[nodiscard]] explicit operator bool() const noexcept { return value_.has_value(); }

    [[nodiscard]] T& operator*() & noexcept { return S3_ASSERT(value_), *value_; }
    [[nodiscard]] const T& operator*() const& noexcept { return S3_ASSERT(value_), *value_; }
    [[nodiscard]] T&& operator*() && noexcept { return S3_ASSERT(value_), std::move(*value_); }
    [[nodiscard]] T* operator->() noexcept { return S3_ASSERT(value_), &*value_; }
    [[nodiscard]] const T* operator->() const noexcept { return S3_ASSERT(value_), &*value_; }

    /// The reason of failure; `code` is `errc::ok` if there is none.
    [[nodiscard]] const s3::error& error() const noexcept { return error_; }

#if S3_HAS_EXCEPTIONS
    [[nodiscard]] T& value() & {
        return check(), *value_;
    }
    [[nodiscard]] const T& value() const& {
        return check(), *value_;
    }
    [[nodiscard]] T&& value() && {
        return check(), std::move(*value_);
    }
#endif

private:
#if S3_HAS_EXCEPTIONS
    void check() const {
        if (!value_)
            throw bad_result(error_);
    }
#endif
    std::optional<T> value_;
    s3::error error_;
};

/// Success or an error, for calls that write into the caller's buffers.
template <>
class result<void> {
public:
    result() = default;
    result(const s3::error& e) : error_(e) {}

    [[nodiscard]] bool has_value() const noexcept { return error_.code == errc::ok; }
    [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }
    [[nodiscard]] const s3::error& error() const noexcept { return error_; }

#if S3_HAS_EXCEPTIONS
    void value() const {
        if (!has_value())
            throw bad_result(error_);
    }
#endif

private:
    s3::error error_;
};

using status = result<void>;

} // namespace s3
