#pragma once
// One layer's weights from a PyTorch state dict (a safetensors file), whatever method made them:
//
//   NAME.weight, weight_val, weight_shift…   S3 latents in the authors' names (train/latents.hpp)
//   NAME.weight, weight_shift…               DenseShift latents, also in their authors' names:
//   NAME.weight, weight_t1 … weight_tT       weight_t1 is the innermost shift l_1
//   NAME.shift, NAME.sign                    DeepShift-PS: round(sign)·2^round(shift)
//   NAME.weight [, NAME.scale]               real numbers: if all of them are 0 or ±scale·2^k, one
//                                            scale per tensor or per channel, they are kept exactly
//                                            (realized S3, INQ, DeepShift, ternary with a scale);
//                                            else they are rounded, where `format` says so, with
//                                            one real scale per row of least squared error;
//                                            integers (I8) with a scale stay as they are where int8
//                                            is wanted
//
// Latents are always realized first. With the format float, weights stay real numbers. Errors:
// tensors that are missing, of another shape or type, or not finite; weights outside the format.

#include <s3/import/description.hpp>
#include <s3/import/found_weights.hpp>
#include <s3/net/model.hpp>
#include <s3/pack/quantize.hpp>

#include <optional>

namespace s3::importing {

struct imported_weights {
    net::any_filter filter;   ///< has no meaning if `format` is float
    std::vector<float> real;  ///< [out][height][width][in], before rounding
    std::vector<double> bias; ///< empty, or per output channel
    const char* method = "";
    const char* format = "";
    double error = 0; ///< of rounding, √(Σ(real − packed)² / Σ real²)
    std::size_t zeros = 0;
    std::vector<std::string> tensors; ///< names of the tensors that were read
};

struct weight_options {
    std::string format = "auto";
    bool end = false;       ///< in a first or last layer real numbers become int8
    bool one_scale = false; ///< rounded weights share one scale, instead of one per row
    /// A divisor per channel of the image, whose groups have in_channels each, for what is rounded
    /// but not for `real`; or empty.
    std::span<const double> divide = {};
    /// The format that `auto` rounds real numbers to in other layers; if empty, they are refused.
    std::string otherwise = {};
};

namespace detail {

/// The number that belongs to a row, where there is one for all rows or one per row.
[[nodiscard]] inline double of_row(const std::vector<double>& numbers, std::size_t row) {
    return numbers[numbers.size() == 1 ? 0 : row];
}

/// Weights that are all 0 or ±unit·2^k with k ≥ 0.
struct shift_weights {
    std::vector<double> unit; ///< one for all, or one per row
    int exponents = 1;
    bool zeros = false;

    template <class F>
    [[nodiscard]] bool fit() const {
        if constexpr (F::is_shift)
            return exponents <= F::exponents && (F::has_zero || !zeros);
        else
            return false;
    }
    [[nodiscard]] bool fit(std::string_view format) const {
        bool good = false;
        all_formats::visit(format, [&]<class F>() { good = fit<F>(); });
        return good;
    }
    /// The format of fewest bits that holds the weights, with a zero if there is a choice; "" if
    /// none does.
    [[nodiscard]] const char* format() const {
        const char* best = "";
        int least = 99;
        all_formats::each([&]<class F>() {
            if constexpr (F::is_shift)
                if (fit<F>() && 2 * F::bits + (F::has_zero ? 0 : 1) < least) {
                    least = 2 * F::bits + (F::has_zero ? 0 : 1);
                    best = F::name;
                }
        });
        return best;
    }
};

/// The exponent k of a weight ±unit·2^k, or −1 if it is not such a number. Weights are products in
/// float, so equality holds up to rounding.
[[nodiscard]] inline int exponent_of(double weight, double unit) {
    int exponent = 0;
    const double fraction = std::frexp(std::fabs(weight) / unit * (1 + 1e-6), &exponent);
    return std::fabs(fraction - 0.5) > 2e-6 ? -1 : exponent - 1;
}

/// Finds the unit of each row, or of all rows, which is the magnitude of the smallest weight other
/// than 0.
[[nodiscard]] inline std::optional<shift_weights> find_units(std::span<const double> weights,
                                                             std::size_t rows, bool per_row) {
    shift_weights found;
    found.unit.assign(per_row ? rows : 1, 0);
    const std::size_t columns = weights.size() / std::max<std::size_t>(rows, 1);
    const auto unit = [&](std::size_t i) -> double& {
        return found.unit[per_row ? i / columns : 0];
    };
    for (std::size_t i = 0; i < weights.size(); ++i)
        if (const double m = std::fabs(weights[i]); m != 0 && (unit(i) == 0 || m < unit(i)))
            unit(i) = m;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        found.zeros |= weights[i] == 0;
        if (weights[i] == 0)
            continue;
        const int k = exponent_of(weights[i], unit(i));
        if (k < 0)
            return {};
        found.exponents = std::max(found.exponents, k + 1);
    }
    for (double& u : found.unit)
        u = u == 0 ? 1 : u;
    if (*found.format() == 0)
        return {};
    return found;
}
[[nodiscard]] inline std::optional<shift_weights> find_units(std::span<const double> weights,
                                                             std::size_t rows) {
    auto found = find_units(weights, rows, false);
    return found ? found : find_units(weights, rows, true);
}

/// Rounds the exponent of each weight: to ±2^k, with k from 0 down to the least that DeepShift's
/// bits can express.
inline void round_in_log2(std::vector<double>& weights, int bits) {
    const int least = 1 - (1 << std::min(bits - 1, 4));
    for (double& w : weights)
        if (w != 0) {
            const double k = std::nearbyint(std::log2(std::fabs(w)));
            w = std::copysign(std::ldexp(1.0, static_cast<int>(std::clamp(k, double(least), 0.0))),
                              w);
        }
}

/// What weight i, in the order [out][in][height][width], is divided by. The rows of a group read
/// channels of their own.
[[nodiscard]] inline double divisor(const weight_options& o, const filter_shape& shape,
                                    std::size_t i) {
    if (o.divide.empty())
        return 1;
    const std::size_t channel = i / (shape.height * shape.width) % shape.in_channels;
    const std::size_t rows = shape.out_channels / (o.divide.size() / shape.in_channels);
    return o.divide[i / shape.columns() / rows * shape.in_channels + channel];
}

/// A filter, and what was done to the weights that were given.
struct packed_weights {
    net::any_filter filter;
    const char* format = "";
    const char* method = "";
};

/// Packs weights, [out][in][height][width], which may have to be divided by a number per input
/// channel.
class weight_packer {
public:
    weight_packer(const filter_shape& shape, const weight_options& o) : shape_(shape), o_(o) {
        for (const double d : o.divide)
            uneven_ |= d != o.divide[0];
    }

    /// Keeps weights exactly, in the given format.
    result<packed_weights> keep(std::span<const double> weights, const shift_weights& found,
                                std::string_view format, const char* method) const {
        result<packed_weights> packed = error(errc::bad_option, "format (unknown)");
        all_formats::visit(format, [&]<class F>() {
            if constexpr (F::is_shift)
                packed = keep_as<F>(weights, found, method);
        });
        return packed;
    }
    /// Rounds real numbers to multiples of 1/127 of the largest weight of their row, or of all
    /// rows.
    result<packed_weights> round_to_int8(std::span<const double> weights) const {
        auto values = divided(weights);
        std::vector<float> scale(o_.one_scale ? 1 : shape_.out_channels, 0);
        const auto unit = [&](std::size_t i) -> float& {
            return scale[o_.one_scale ? 0 : i / shape_.columns()];
        };
        for (std::size_t i = 0; i < values.size(); ++i)
            unit(i) = std::max(unit(i), static_cast<float>(std::fabs(values[i]) / 127));
        for (float& s : scale)
            s = std::max(s, 1e-30f);
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = std::clamp(std::nearbyint(values[i] / double{unit(i)}), -127.0, 127.0);
        return pack_as<int8_weights>(values, {0, scale}, "rounded");
    }
    /// Rounds real numbers to the nearest weights of a format.
    result<packed_weights> round_to(std::span<const double> weights,
                                    std::string_view format) const {
        if (uneven_)
            return error(errc::unsupported, "weight (different std need int8)");
        result<packed_weights> packed = error(errc::bad_option, "format (unknown)");
        all_formats::visit(format,
                           [&]<class F>() { packed = round_to_format<F>(divided(weights)); });
        return packed;
    }

    /// Keeps integers of 8 bits, of which the weights are multiples.
    result<packed_weights> keep_int8(std::span<const double> weights,
                                     const std::vector<double>& unit) const {
        const double divide = o_.divide.empty() ? 1 : o_.divide[0];
        std::vector<double> values(weights.size());
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = std::nearbyint(weights[i] / of_row(unit, i / shape_.columns()));
        const auto scale = scales(unit, divide);
        if (!scale)
            return scale.error();
        return pack_as<int8_weights>(values, {0, *scale}, "kept exactly");
    }
    /// Whether integers can be kept: their scales are as few as the layer may have.
    [[nodiscard]] bool can_keep_int8(const std::vector<double>& unit) const {
        return !unit.empty() && !uneven_ && !(o_.one_scale && unit.size() != 1);
    }

private:
    /// Units as float scales, which must be able to hold them.
    static result<std::vector<float>> scales(const std::vector<double>& units, double divide) {
        std::vector<float> scale;
        for (const double unit : units) {
            const double real = unit / divide;
            if (!(std::fabs(real) >= std::numeric_limits<float>::min() &&
                  std::fabs(real) <= std::numeric_limits<float>::max()))
                return error(errc::bad_option, "weight.scale").at(scale.size()).got(real);
            scale.push_back(static_cast<float>(real));
        }
        return scale;
    }
    template <class F>
    result<packed_weights> pack_as(std::span<const double> values, const pack_options& options,
                                   const char* method) const {
        auto packed = pack_filter<F>(values, shape_, filter_order::oihw, options);
        if (!packed)
            return packed.error();
        return packed_weights{*std::move(packed), F::name, method};
    }
    template <class F>
    result<packed_weights> keep_as(std::span<const double> weights, const shift_weights& found,
                                   const char* method) const {
        if (uneven_)
            return error(errc::unsupported,
                         "weight (channels of the input with different std need int8)");
        const double divide = o_.divide.empty() ? 1 : o_.divide[0];
        // A unit that is a power of two becomes the exponent offset; other units become scales.
        int power = 0;
        const bool whole =
            found.unit.size() == 1 && divide == 1 && std::frexp(found.unit[0], &power) == 0.5;
        const int offset = whole ? power - 1 : 0;
        const auto scale = scales(whole ? std::vector<double>{} : found.unit, divide);
        if (!scale)
            return scale.error();
        std::vector<double> values(weights.size(), 0);
        for (std::size_t i = 0; i < values.size(); ++i)
            if (weights[i] != 0) {
                const double unit = of_row(found.unit, i / shape_.columns());
                values[i] = std::copysign(std::ldexp(1.0, exponent_of(weights[i], unit) + offset),
                                          weights[i]);
            }
        return pack_as<F>(values, {offset, *scale}, method);
    }
    template <class F>
    result<packed_weights> round_to_format(const std::vector<double>& values) const {
        const quantize_options best{.granularity =
                                        o_.one_scale ? scale_per::tensor : scale_per::row,
                                    .scale = scale_kind::real};
        const auto rounded = quantize<F>(std::span<const double>(values), shape_.out_channels,
                                         shape_.columns(), best);
        if (!rounded)
            return rounded.error();
        std::vector<double> exact(values.size());
        if (auto s = unpack(*rounded, std::span(exact)); !s)
            return s.error();
        return pack_as<F>(exact, {rounded->exponent_offset(), rounded->scale()}, "rounded");
    }
    [[nodiscard]] std::vector<double> divided(std::span<const double> weights) const {
        std::vector<double> values(weights.begin(), weights.end());
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] /= divisor(o_, shape_, i);
        return values;
    }

    const filter_shape& shape_;
    const weight_options& o_;
    bool uneven_ = false; ///< whether the divisors differ, which one scale per row cannot express
};

/// Keeps the weights or rounds them, depending on what they are and what was asked for.
inline result<packed_weights> pack_weights(const found_weights& found, const filter_shape& shape,
                                           const weight_options& o) {
    const weight_packer packer(shape, o);
    const std::size_t rows = shape.out_channels;
    if (*found.format != 0)
        return packer.keep(found.values, {{1}}, found.format, found.method);
    const auto to_int8 = [&] {
        return packer.can_keep_int8(found.integer_scale)
                   ? packer.keep_int8(found.values, found.integer_scale)
                   : packer.round_to_int8(found.values);
    };
    if (o.format == "int8" && !found.exact)
        return to_int8();
    const bool deep_shift =
        !found.exact && o.format.rfind("deepshift", 0) == 0 && o.format.size() == 10;
    std::vector<double> values = found.values;
    if (deep_shift) {
        const int bits = o.format[9] - '0';
        if (bits < 2 || bits > 5)
            return error(errc::bad_option, "format (unknown)");
        round_in_log2(values, bits);
    }
    const auto units = find_units(values, rows);
    const bool must_fit = found.exact || deep_shift, fits = units && units->fit(o.format);
    if (must_fit && !units)
        return error(errc::not_in_format, found.exact ? "weight.shift" : "weight");
    if (units && (must_fit || fits || o.format == "auto"))
        return packer.keep(values, *units, fits ? std::string_view(o.format) : units->format(),
                           found.exact  ? found.method
                           : deep_shift ? "rounded in log2"
                                        : "kept exactly");
    if (o.format != "auto")
        return packer.round_to(values, o.format);
    if (o.end)
        return to_int8();
    if (!o.otherwise.empty() && o.otherwise != "auto")
        return pack_weights(found, shape, {o.otherwise, false, o.one_scale, o.divide});
    return error(errc::not_in_format,
                 "weight (not of a shift format: say format=… to round to one)");
}

/// Compares packed weights with those that were given.
inline void measure(const found_weights& found, const filter_shape& shape, const weight_options& o,
                    imported_weights& out) {
    const std::size_t taps = shape.height * shape.width, columns = shape.columns();
    out.real.resize(found.values.size());
    double wrong = 0, all = 0;
    std::visit(
        [&](const auto& f) {
            for (std::size_t i = 0; i < found.values.size(); ++i) {
                const std::size_t channel = i / taps % shape.in_channels, row = i / columns;
                const std::size_t column = i % taps * shape.in_channels + channel;
                const double given = found.values[i];
                out.real[row * columns + column] = static_cast<float>(given);
                if (o.format == "float") {
                    out.zeros += given == 0;
                    continue;
                }
                const int value = f.matrix.value(row, column);
                const double packed =
                    double{f.matrix.real_scale(row)} * value * divisor(o, shape, i);
                out.zeros += value == 0;
                wrong += (given - packed) * (given - packed);
                all += given * given;
            }
        },
        out.filter);
    out.error = all > 0 ? std::sqrt(wrong / all) : 0;
}

} // namespace detail

/// Imports the weights and the bias of the layer `name`. Errors: see the top.
inline result<imported_weights> import_weights(const safetensors::contents& file,
                                               const std::string& name, const filter_shape& shape,
                                               const weight_options& o = {}) {
    if (const std::size_t groups = shape.in_channels == 0 ? 0 : o.divide.size() / shape.in_channels;
        !o.divide.empty() && (groups == 0 || shape.out_channels % groups != 0 ||
                              o.divide.size() != groups * shape.in_channels))
        return error(errc::shape_mismatch, "divide").got(o.divide.size()).needs(shape.in_channels);
    detail::layer_tensors tensors(file, name, shape);
    imported_weights out;
    if (tensors.has("bias")) {
        auto bias = tensors.read("bias", shape.out_channels);
        if (!bias)
            return bias.error();
        out.bias = *std::move(bias);
    }
    const auto found = detail::find_weights(tensors, shape.out_channels);
    if (!found)
        return found.error();
    out.method = found->method;
    out.format = "float";
    if (o.format != "float") {
        auto packed = detail::pack_weights(*found, shape, o);
        if (!packed)
            return packed.error();
        out.filter = std::move(packed->filter);
        out.format = packed->format;
        out.method = packed->method;
    }
    detail::measure(*found, shape, o, out);
    out.tensors = tensors.names();
    return out;
}

} // namespace s3::importing
