#pragma once
// Errors as values. Whatever can be wrong at run time (weights outside a format, shapes, strides,
// files) comes back as an `error` that names the argument, or as a `result<T>` that holds one.
// Nothing here throws except `result::value()`, which exists only where exceptions are enabled.

#include <s3/config.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#if S3_HAS_EXCEPTIONS
#include <stdexcept>
#endif

namespace s3 {

enum class errc : std::uint8_t {
    ok,
    not_in_format,  ///< a weight that the format cannot hold; index and value say which
    not_finite,     ///< NaN or infinity; index says where
    shape_mismatch, ///< sizes that do not fit together; value was given, bound is needed
    bad_option,     ///< a stride, padding, group count, … outside its range
    depth_exceeded, ///< Σ|w|·max|x| could overflow the accumulator; value and bound are the sums
    buffer_too_small, ///< an output or scratch span; value is its size, bound the size needed
    reserved_code, ///< a code or a tail bit that no writer produces, for example the code of "minus
                   ///< zero"
    truncated,     ///< a file or buffer that ends early
    foreign,       ///< not one of this library's files, or another format than the one asked for
    unsupported,   ///< a combination that no kernel serves
    out_of_memory, ///< an allocation failed; value is its size in bytes
    io,            ///< the operating system refused to open, read or write
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
        return "reserved code";
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

/// The meaning of an error's second number, `bound`.
enum class bound_kind : std::uint8_t {
    none,
    needs,   ///< the size that would do: the exact one or, for a buffer, the least
    limit,   ///< the end of the allowed range that the value lies beyond
    divides, ///< the size that the value must divide
};

/// What went wrong, and with which argument. `argument` points to static storage. `index`, `value`
/// and `bound` are set where they mean something (`index` ≥ 0, `has_value`, `bounded_by`).
struct error {
    errc code = errc::ok;
    const char* argument = "";
    std::int64_t index = -1;
    double value = 0;
    double bound = 0;
    bool has_value = false;
    bound_kind bounded_by = bound_kind::none;

    constexpr error() = default;
    constexpr error(errc c, const char* arg) noexcept : code(c), argument(arg) {}

    /// The same error, said of element i of the argument.
    [[nodiscard]] constexpr error at(std::size_t i) const noexcept {
        error e = *this;
        e.index = static_cast<std::int64_t>(i);
        return e;
    }
    /// The same error with the value or the size that was given.
    template <class T>
    [[nodiscard]] constexpr error got(T v) const noexcept {
        error e = *this;
        e.value = static_cast<double>(v);
        e.has_value = true;
        return e;
    }
    /// The same error with the size that would have been right.
    template <class T>
    [[nodiscard]] constexpr error needs(T v) const noexcept {
        return bounded(static_cast<double>(v), bound_kind::needs);
    }
    /// The same error with the end of the allowed range that the value lies beyond.
    template <class T>
    [[nodiscard]] constexpr error limit(T v) const noexcept {
        return bounded(static_cast<double>(v), bound_kind::limit);
    }

    /// The same error with the size that the value must divide.
    template <class T>
    [[nodiscard]] constexpr error divides(T v) const noexcept {
        return bounded(static_cast<double>(v), bound_kind::divides);
    }
    /// The same error with the value that was given and that end of low … high that it lies beyond.
    template <class T>
    [[nodiscard]] constexpr error outside(T v, std::type_identity_t<T> low,
                                          std::type_identity_t<T> high) const noexcept {
        return got(v).limit(v < low ? low : high);
    }

    /// One line for a person: "x.columns: shape does not fit (got 3, needs 4)", or
    /// "weights[7]: value is not in the weight format (got 3, limit 4)".
    [[nodiscard]] std::string message() const {
        std::string text = argument;
        if (index >= 0)
            text.append("[").append(std::to_string(index)).append("]");
        text += ": ";
        text += to_string(code);
        static constexpr const char* bounds[] = {"", "needs", "limit", "must divide"};
        const bool bounded = bounded_by != bound_kind::none;
        char number[48];
        if (has_value) {
            std::snprintf(number, sizeof number, " (got %.10g%s", value, bounded ? ", " : ")");
            text += number;
        }
        if (bounded) {
            text += has_value ? "" : " (";
            text += bounds[static_cast<std::size_t>(bounded_by)];
            std::snprintf(number, sizeof number, " %.10g)", bound);
            text += number;
        }
        return text;
    }

private:
    [[nodiscard]] constexpr error bounded(double b, bound_kind kind) const noexcept {
        error e = *this;
        e.bound = b;
        e.bounded_by = kind;
        return e;
    }
};

/// An error for which an argument's name says too little, because a person looks for a line of a
/// file or a layer's name. Only readers of files and networks return it, since unlike `error` it
/// allocates.
struct described_error : error {
    std::string description; ///< takes the place of the error's own message, unless empty

    described_error() = default;
    described_error(const error& e) : error(e) {}
    /// ASCII control characters, which the names in a file may hold, become '?'.
    described_error(const error& e, std::string text) : error(e), description(std::move(text)) {
        for (char& c : description)
            if (const auto u = static_cast<unsigned char>(c); u < 0x20 || u == 0x7f)
                c = '?';
    }

    [[nodiscard]] std::string message() const {
        return description.empty() ? error::message() : description;
    }
    /// The same error with a place before its message: in("line 3 (conv1)") → "line 3 (conv1): …".
    [[nodiscard]] described_error in(const std::string& place) const {
        return {*this, place + ": " + message()};
    }
};

#if S3_HAS_EXCEPTIONS
/// Only `result::value()` throws this.
struct bad_result : std::runtime_error {
    bad_result(const error& e, const std::string& message)
        : std::runtime_error(message), what_failed(e) {}
    error what_failed;
};
#endif

/// Either a T or an error. Test it (`if (r)`), then use `*r` and `r->`, or `r.error()`.
template <class T, class E = error>
class [[nodiscard]] result {
public:
    using value_type = T;

    result(T value) : value_(std::move(value)) {}
    result(E e) : error_(std::move(e)) { S3_ASSERT(error_.code != errc::ok); }
    result(const s3::error& e) requires(!std::same_as<E, s3::error>) : error_(e) {
        S3_ASSERT(e.code != errc::ok);
    }

    [[nodiscard]] bool has_value() const noexcept { return value_.has_value(); }
    [[nodiscard]] explicit operator bool() const noexcept { return value_.has_value(); }

    [[nodiscard]] T& operator*() & noexcept { return S3_ASSERT(value_), *value_; }
    [[nodiscard]] const T& operator*() const& noexcept { return S3_ASSERT(value_), *value_; }
    [[nodiscard]] T&& operator*() && noexcept { return S3_ASSERT(value_), std::move(*value_); }
    [[nodiscard]] T* operator->() noexcept { return S3_ASSERT(value_), &*value_; }
    [[nodiscard]] const T* operator->() const noexcept { return S3_ASSERT(value_), &*value_; }

    /// The reason of failure; `code` is `errc::ok` if there is none.
    [[nodiscard]] const E& error() const noexcept { return error_; }

    /// Returns next(*this), which is itself a result, or this result's error.
    template <class Next>
    auto and_then(Next&& next) const& -> decltype(next(std::declval<const T&>())) {
        if (!value_)
            return error_;
        return next(*value_);
    }
    template <class Next>
    auto and_then(Next&& next) && -> decltype(next(std::declval<T&&>())) {
        if (!value_)
            return error_;
        return next(std::move(*value_));
    }

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
            throw bad_result(error_, error_.message());
    }
#endif
    std::optional<T> value_;
    E error_;
};

/// Success or an error, for calls that write into the caller's buffers.
template <class E>
class [[nodiscard]] result<void, E> {
public:
    using value_type = void;

    result() = default;
    result(E e) : error_(std::move(e)) {}
    result(const s3::error& e) requires(!std::same_as<E, s3::error>) : error_(e) {}

    [[nodiscard]] bool has_value() const noexcept { return error_.code == errc::ok; }
    [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }
    [[nodiscard]] const E& error() const noexcept { return error_; }

    /// Returns next(), which is itself a result, or this result's error.
    template <class Next>
    auto and_then(Next&& next) const -> decltype(next()) {
        if (!has_value())
            return error_;
        return next();
    }

#if S3_HAS_EXCEPTIONS
    void value() const {
        if (!has_value())
            throw bad_result(error_, error_.message());
    }
#endif

private:
    E error_;
};

using status = result<void>;

template <class T>
using described_result = result<T, described_error>;
using described_status = described_result<void>;

} // namespace s3
