#pragma once
// JSON texts as trees of nlohmann-json, where memory may run out and a text may be hostile. That
// library frees a tree by way of a list of its members, in a destructor, which ends the program
// where the list gets no memory; it builds trees of any depth, and keeps the last of two members
// with the same key.

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace s3::detail {

/// A tree that takes no memory when it is freed.
class json_tree {
public:
    json_tree() : value_(nlohmann::json::object()) {}
    json_tree(json_tree&& other) noexcept = default;
    json_tree& operator=(json_tree&& other) noexcept {
        std::swap(value_, other.value_);
        return *this;
    }
    ~json_tree() { take_apart(value_); }

    [[nodiscard]] nlohmann::json& operator*() noexcept { return value_; }
    [[nodiscard]] const nlohmann::json& operator*() const noexcept { return value_; }
    [[nodiscard]] nlohmann::json* operator->() noexcept { return &value_; }
    [[nodiscard]] const nlohmann::json* operator->() const noexcept { return &value_; }

private:
    /// Frees members before what they are members of. A tree is as deep as its reader allowed.
    static void take_apart(nlohmann::json& v) noexcept {
        if (!v.is_structured())
            return;
        for (nlohmann::json& member : v)
            take_apart(member);
        v.clear();
    }
    nlohmann::json value_;
};

/// Builds a tree from the events of parsing a text. It ends the parsing of a text that nests deeper
/// than `max_depth`.
class json_builder {
public:
    explicit json_builder(std::size_t max_depth) : max_depth_(max_depth) {}
    [[nodiscard]] json_tree& tree() noexcept { return tree_; }
    [[nodiscard]] bool key_twice() const noexcept { return key_twice_; }

    // nlohmann::json::sax_parse calls these functions; `false` ends the parsing.
    bool null() { return add(nullptr); }
    bool boolean(bool v) { return add(v); }
    bool number_integer(std::int64_t v) { return add(v); }
    bool number_unsigned(std::uint64_t v) { return add(v); }
    bool number_float(double v, const std::string&) { return add(v); }
    bool string(std::string& v) { return add(std::move(v)); }
    bool binary(nlohmann::json::binary_t&) { return false; }
    bool start_object(std::size_t) { return open(nlohmann::json::value_t::object); }
    bool start_array(std::size_t) { return open(nlohmann::json::value_t::array); }
    bool end_object() { return close(); }
    bool end_array() { return close(); }
    bool key(std::string& name) {
        key_ = std::move(name);
        return true;
    }
    bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception&) {
        return false;
    }

private:
    bool add(nlohmann::json v) {
        place(std::move(v));
        return true;
    }
    nlohmann::json& place(nlohmann::json v) {
        if (open_.empty())
            return *tree_ = std::move(v);
        nlohmann::json& parent = *open_.back();
        if (parent.is_array()) {
            parent.push_back(std::move(v));
            return parent.back();
        }
        const auto [at, is_new] = parent.emplace(std::move(key_), std::move(v));
        key_twice_ |= !is_new;
        return *at;
    }
    bool open(nlohmann::json::value_t type) {
        if (open_.size() == max_depth_)
            return false;
        open_.push_back(&place(type));
        return true;
    }
    bool close() {
        open_.pop_back();
        return true;
    }

    std::size_t max_depth_;
    json_tree tree_;
    std::vector<nlohmann::json*> open_; ///< objects and arrays that have not ended
    std::string key_;                   ///< of the next member
    bool key_twice_ = false;
};

/// The object that a text is; nothing if the text is no JSON object or nests deeper than
/// `max_depth`. `twice` is set if an object has the same key twice.
[[nodiscard]] inline std::optional<json_tree>
parse_json_object(std::span<const std::byte> text, bool& twice, std::size_t max_depth) {
    const char* first = reinterpret_cast<const char*>(text.data());
    json_builder builder(max_depth);
    if (text.empty() || *first != '{' ||
        std::memchr(first, 0, text.size()) != nullptr || // which the parser takes for the end
        !nlohmann::json::sax_parse(first, first + text.size(), &builder))
        return std::nullopt;
    twice |= builder.key_twice();
    return std::move(builder.tree());
}

/// The same for a text of characters. Of members with the same key it has the first.
[[nodiscard]] inline std::optional<json_tree> parse_json_object(std::string_view text,
                                                                std::size_t max_depth) {
    bool twice = false;
    return parse_json_object(std::as_bytes(std::span(text.data(), text.size())), twice, max_depth);
}

/// A member of what may be an object, or null.
[[nodiscard]] inline const nlohmann::json* json_member(const nlohmann::json* object,
                                                       const char* key) {
    if (object == nullptr || !object->is_object())
        return nullptr;
    const auto found = object->find(key);
    return found == object->end() || found->is_null() ? nullptr : &*found;
}

/// Whether what may be null is this text. The library's own comparison makes a copy of the text,
/// and ends the program where that gets no memory.
[[nodiscard]] inline bool json_says(const nlohmann::json* v, std::string_view text) {
    return v != nullptr && v->is_string() && v->get_ref<const std::string&>() == text;
}

/// Makes a member of a tree a list of numbers. A container that is assigned would be converted
/// beside the tree, and freed as the library does it if there is no memory for all of it.
template <class Range>
void set_list(nlohmann::json& to, const Range& numbers) {
    to = nlohmann::json::array();
    for (const auto number : numbers)
        to.push_back(number);
}

/// The text of a tree; nothing if a string in it is not UTF-8, which JSON cannot hold.
[[nodiscard]] inline std::optional<std::string> json_text(const nlohmann::json& tree) {
    using handler = nlohmann::json::error_handler_t; // the default one throws
    std::string text = tree.dump(-1, ' ', false, handler::replace);
    if (text != tree.dump(-1, ' ', false, handler::ignore))
        return std::nullopt;
    return text;
}

} // namespace s3::detail
