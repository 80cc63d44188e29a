#pragma once
// One layer's weights out of a PyTorch state dict (a safetensors file), whatever method made them:
//
//   NAME.weight, weight_val, weight_shift…   S3 latents in the authors' names (train/latents.hpp)
//   NAME.weight, weight_shift…               DenseShift latents
//   NAME.shift, NAME.sign                    DeepShift-PS: round(sign)·2^round(shift)
//   NAME.weight [, NAME.scale]               real numbers: if all of them are 0 or ±scale·2^k, one
//                                            scale per tensor or per channel, they are kept exactly
//                                            (realized S3, INQ, DeepShift, ternary with a scale);
//                                            else they are rounded, where `format` says so
//
// Latents are realized first, always; `format` float leaves it at real numbers. Errors: tensors
// that are missing, of another shape or type, not finite; weights outside the format.

#include <s3/core/is_finite.hpp>
#include <s3/import/description.hpp>
#include <s3/io/safetensors.hpp>
#include <s3/net/model.hpp>
#include <s3/pack/quantize.hpp>
#include <s3/train/reparam.hpp>

#include <optional>

namespace s3::importing {

struct imported_weights {
    net::any_filter filter;   ///< of no meaning where `format` is float
    std::vector<float> real;  ///< [out][height][width][in], before rounding
    std::vector<double> bias; ///< empty, or per output channel
    const char* method = "";
    const char* format = "";
    double error = 0; ///< of rounding: √(Σ(real − packed)² / Σ real²)
    std::size_t zeros = 0;
    std::vector<std::string> tensors; ///< names of those that were read
};

struct weight_options {
    std::string format = "auto";
    bool end = false;               ///< first or last layer: real numbers become int8
    bool one_scale = false;         ///< int8 weights share one scale
    std::span<const double> divide; ///< each input channel by this; what is rounded, not `real`
};

namespace detail {

class weight_importer {
public:
    weight_importer(const safetensors::contents& file, const std::string& name,
                    const filter_shape& shape, const weight_options& o)
        : file_(file), name_(name), shape_(shape), o_(o),
          count_(saturating_mul(shape.out_channels, shape.columns())) {}

    result<imported_weights> run() {
        for (const double d : o_.divide)
            uneven_ |= d != o_.divide[0];
        if (auto s = has("bias") ? read("bias", shape_.out_channels, out_.bias) : status(); !s)
            return s.error();
        status s;
        if (has("weight_val"))
            s = realize_any<true>();
        else if (has("weight_shift"))
            s = realize_any<false>();
        else if (has("shift") && has("sign"))
            s = deep_shift();
        else
            s = real_weights();
        if (!s)
            return s.error();
        measure();
        return std::move(out_);
    }

private:
    [[nodiscard]] bool has(const std::string& field) const {
        return file_.tensors.count(name_ + "." + field) != 0;
    }
    template <class T>
    status read(const std::string& field, std::size_t count, std::vector<T>& to) {
        const auto found = file_.tensors.find(name_ + "." + field);
        if (found == file_.tensors.end())
            return error(errc::foreign, "weight (no such tensor)");
        out_.tensors.push_back(found->first);
        const char* const argument = field == "bias" ? "bias" : "weight";
        const safetensors::tensor& t = found->second;
        if (t.data.size() / safetensors::info(t.type).bytes != count)
            return error(errc::shape_mismatch, argument)
                .got(t.data.size() / safetensors::info(t.type).bytes)
                .needs(count);
        if (count == count_ && count != 0 && (t.shape.empty() || t.shape[0] != shape_.out_channels))
            return error(errc::shape_mismatch, "weight.out_channels").needs(shape_.out_channels);
        if (t.shape.size() == 4 && (t.shape[1] != shape_.in_channels ||
                                    t.shape[2] != shape_.height || t.shape[3] != shape_.width))
            return error(errc::shape_mismatch, "weight.shape");
        const auto keep = [&](auto values) -> status {
            if (!values)
                return values.error();
            for (std::size_t i = 0; i < values->size(); ++i)
                if (!is_finite(static_cast<double>((*values)[i])))
                    return error(errc::not_finite, argument).at(i);
            to.assign(values->begin(), values->end());
            return {};
        };
        switch (t.type) {
        case safetensors::dtype::f32:
            return keep(safetensors::from_bytes<float>(t));
        case safetensors::dtype::i8:
            return keep(safetensors::from_bytes<std::int8_t>(t));
        default:
            return error(errc::unsupported, "weight.dtype (not F32 or I8)");
        }
    }

    /// `real` as state dicts have it, [out][in][height][width].
    template <class F>
    status pack_as(std::span<const double> values, const pack_options& options) {
        auto packed = pack_filter<F>(values, shape_, filter_order::oihw, options);
        if (!packed)
            return packed.error();
        out_.filter = *std::move(packed);
        out_.format = F::name;
        return {};
    }
    /// Calls f with the format of this name.
    template <std::size_t Index = 0, class Function>
    static status with_format(std::string_view name, Function&& f) {
        if constexpr (Index < std::variant_size_v<net::any_filter>) {
            using format = typename std::variant_alternative_t<Index, net::any_filter>::format;
            return name == format::name ? f(format{}) : with_format<Index + 1>(name, f);
        } else {
            return error(errc::bad_option, "format (unknown)");
        }
    }

    template <bool Zero>
    status realize_any() {
        out_.method = Zero ? "S3 latents" : "DenseShift latents";
        std::size_t shifts = has("weight_shift") ? 1 : 0;
        while (has("weight_shift" + std::to_string(shifts + 1)))
            ++shifts;
        status done = error(errc::bad_option, "weight_shift (number of latents)").got(shifts);
        const auto attempt = [&]<class F>(F) {
            if (shift_latents<F> == shifts)
                done = realize_as<F>();
        };
        attempt(shift_format<2, Zero>{});
        attempt(shift_format<3, Zero>{});
        attempt(shift_format<4, Zero>{});
        attempt(shift_format<5, Zero>{});
        return done;
    }
    template <class F>
    status realize_as() {
        std::array<std::vector<float>, latents_per_weight<F>> memory;
        std::array<std::span<const float>, latents_per_weight<F>> fields;
        for (std::size_t k = 0; k < memory.size(); ++k) {
            if (auto s = read(parameter_name<F>(k), count_, memory[k]); !s)
                return s;
            fields[k] = memory[k];
        }
        std::vector<float> weights(count_);
        if (auto s = realize(from_fields<F, const float>(fields), weights); !s)
            return s;
        real_.assign(weights.begin(), weights.end());
        return pack_exact<F>({}, 0);
    }
    status deep_shift() {
        out_.method = "DeepShift";
        std::vector<double> sign;
        if (auto s = read("shift", count_, real_); !s)
            return s;
        if (auto s = read("sign", count_, sign); !s)
            return s;
        for (std::size_t i = 0; i < count_; ++i)
            real_[i] =
                std::ldexp(std::clamp(std::nearbyint(sign[i]), -1.0, 1.0),
                           static_cast<int>(std::clamp(std::nearbyint(real_[i]), -99.0, 99.0)));
        return keep_exactly() ? pack_found() : error(errc::not_in_format, "weight.shift");
    }
    status real_weights() {
        out_.method = "real weights";
        if (auto s = read("weight", count_, real_); !s)
            return s;
        if (has("scale")) {
            const auto& t = file_.tensors.at(name_ + ".scale");
            std::vector<double> scale;
            const bool one = t.data.size() == safetensors::info(t.type).bytes;
            if (auto s = read("scale", one ? 1 : shape_.out_channels, scale); !s)
                return s;
            for (std::size_t i = 0; i < count_; ++i)
                real_[i] *= scale[one ? 0 : i / shape_.columns()];
        }
        if (o_.format == "float")
            return {};
        if (o_.format.rfind("deepshift", 0) == 0 && o_.format.size() == 10) {
            out_.method = "rounded in log2";
            const int bits = o_.format[9] - '0', least = 1 - (1 << std::clamp(bits - 1, 1, 4));
            if (bits < 2 || bits > 5)
                return error(errc::bad_option, "format (unknown)");
            original_ = real_;
            for (double& w : real_)
                if (w != 0)
                    w = std::copysign(std::ldexp(1.0, std::clamp(static_cast<int>(std::nearbyint(
                                                                     std::log2(std::fabs(w)))),
                                                                 least, 0)),
                                      w);
            return keep_exactly() ? pack_found() : error(errc::not_in_format, "weight");
        }
        if (o_.format == "int8")
            return round_to_int8();
        if (keep_exactly() && (o_.format == "auto" || fits(o_.format))) {
            out_.method = "kept exactly";
            return pack_found();
        }
        if (o_.format != "auto")
            return with_format(o_.format, [&]<class F>(F) { return round_to<F>(); });
        if (o_.end)
            return round_to_int8();
        return error(errc::not_in_format,
                     "weight (not of a shift format: say format=… to round to one)");
    }

    /// Finds the scale and exponents of weights that are all 0 or ±scale·2^k.
    [[nodiscard]] bool keep_exactly() { return find_units(false) || find_units(true); }
    [[nodiscard]] bool find_units(bool per_row) {
        const std::size_t columns = shape_.columns();
        units_.assign(per_row ? shape_.out_channels : 1, 0);
        const auto unit = [&](std::size_t i) -> double& {
            return units_[per_row ? i / columns : 0];
        };
        span_ = 0;
        zeros_ = false;
        for (std::size_t i = 0; i < count_; ++i)
            if (const double m = std::fabs(real_[i]); m != 0 && (unit(i) == 0 || m < unit(i)))
                unit(i) = m;
        for (std::size_t i = 0; i < count_; ++i) {
            if (real_[i] == 0) {
                zeros_ = true;
                continue;
            }
            int exponent = 0;
            const double ratio = std::fabs(real_[i]) / unit(i);
            // Scales are float products, equal to a rounding.
            const double fraction = std::frexp(ratio * (1 + 1e-6), &exponent);
            if (std::fabs(fraction - 0.5) > 2e-6)
                return false;
            span_ = std::max(span_, exponent - 1);
        }
        for (double& u : units_)
            u = u == 0 ? 1 : u;
        return span_ < 16 - (zeros_ ? 1 : 0);
    }
    [[nodiscard]] bool fits(std::string_view name) {
        bool good = false;
        (void)with_format(name, [&]<class F>(F) -> status {
            if constexpr (F::is_shift)
                good = span_ < F::exponents && (F::has_zero || !zeros_);
            return {};
        });
        return good;
    }
    status pack_found() {
        std::string_view name = o_.format;
        if (!fits(name))
            for (const char* candidate :
                 {"dense5", "shift5", "dense4", "shift4", "dense3", "shift3", "dense2", "shift2"})
                if (fits(candidate))
                    name = candidate;
        return with_format(name, [&]<class F>(F) -> status {
            if constexpr (F::is_shift)
                return pack_exact<F>(units_, 0);
            else
                return error(errc::bad_option, "format");
        });
    }
    /// Packs real weights that are values of F times `units`, or simply values of F.
    template <class F>
    status pack_exact(std::vector<double> units, int offset) {
        std::vector<double> values(count_);
        for (std::size_t i = 0; i < count_; ++i) {
            const double u =
                units.empty() ? 1 : units[units.size() == 1 ? 0 : i / shape_.columns()];
            int exponent = 0;
            if (real_[i] != 0)
                std::frexp(std::fabs(real_[i]) / u * (1 + 1e-6), &exponent);
            values[i] = real_[i] == 0 ? 0 : std::copysign(std::ldexp(1.0, exponent - 1), real_[i]);
        }
        if (uneven_)
            return error(errc::unsupported,
                         "weight (channels of the input with different std need int8)");
        const double divide = o_.divide.empty() ? 1 : o_.divide[0];
        std::vector<float> scale;
        int power = 0;
        if (units.size() <= 1 && divide == 1 &&
            std::frexp(units.empty() ? 1 : units[0], &power) == 0.5)
            offset = power - 1;
        else
            for (const double u : units.empty() ? std::vector<double>{1} : units)
                scale.push_back(static_cast<float>(u / divide));
        for (double& v : values)
            v = std::ldexp(v, offset);
        return pack_as<F>(values, {offset, scale});
    }
    [[nodiscard]] std::vector<double> divided() const {
        auto values = real_;
        const std::size_t taps = shape_.height * shape_.width;
        for (std::size_t i = 0; i < count_ && !o_.divide.empty(); ++i)
            values[i] /= o_.divide[i / taps % shape_.in_channels];
        return values;
    }
    status round_to_int8() {
        out_.method = "rounded";
        auto values = divided();
        std::vector<float> scale(o_.one_scale ? 1 : shape_.out_channels, 0);
        const auto unit = [&](std::size_t i) -> float& {
            return scale[o_.one_scale ? 0 : i / shape_.columns()];
        };
        for (std::size_t i = 0; i < count_; ++i)
            unit(i) = std::max(unit(i), static_cast<float>(std::fabs(values[i]) / 127));
        for (float& s : scale)
            s = s < 1e-30f ? 1e-30f : s;
        for (std::size_t i = 0; i < count_; ++i)
            values[i] = std::clamp(std::nearbyint(values[i] / double{unit(i)}), -127.0, 127.0);
        return pack_as<int8_weights>(values, {0, scale});
    }
    template <class F>
    status round_to() {
        out_.method = "rounded";
        if (uneven_)
            return error(errc::unsupported, "weight (different std need int8)");
        const auto values = divided();
        const auto rounded =
            quantize<F>(std::span<const double>(values), shape_.out_channels, shape_.columns());
        if (!rounded)
            return rounded.error();
        std::vector<double> exact(count_);
        if (auto s = unpack(*rounded, std::span(exact)); !s)
            return s;
        return pack_as<F>(exact, {rounded->exponent_offset(), rounded->scale()});
    }

    void measure() {
        if (!original_.empty())
            real_ = original_;
        out_.real.resize(count_);
        const std::size_t taps = shape_.height * shape_.width, columns = shape_.columns();
        const auto column_of = [&](std::size_t i) {
            return i % taps * shape_.in_channels + i / taps % shape_.in_channels;
        };
        for (std::size_t i = 0; i < count_; ++i)
            out_.real[i / columns * columns + column_of(i)] = static_cast<float>(real_[i]);
        if (o_.format == "float") {
            out_.format = "float";
            out_.zeros = static_cast<std::size_t>(std::count(real_.begin(), real_.end(), 0.0));
            return;
        }
        double wrong = 0, all = 0;
        std::visit(
            [&](const auto& f) {
                for (std::size_t i = 0; i < count_; ++i) {
                    const std::size_t o = i / columns, c = i / taps % shape_.in_channels;
                    const std::size_t column = column_of(i);
                    const int value = f.matrix.value(o, column);
                    const double packed = double{f.matrix.real_scale(o)} * value *
                                          (o_.divide.empty() ? 1 : o_.divide[c]);
                    out_.zeros += value == 0;
                    wrong += (real_[i] - packed) * (real_[i] - packed);
                    all += real_[i] * real_[i];
                }
            },
            out_.filter);
        out_.error = all > 0 ? std::sqrt(wrong / all) : 0;
    }

    const safetensors::contents& file_;
    const std::string& name_;
    const filter_shape& shape_;
    const weight_options& o_;
    std::size_t count_;
    imported_weights out_;
    std::vector<double> real_, original_, units_;
    int span_ = 0;
    bool zeros_ = false, uneven_ = false;
};

} // namespace detail

inline result<imported_weights> import_weights(const safetensors::contents& file,
                                               const std::string& name, const filter_shape& shape,
                                               const weight_options& o = {}) {
    return detail::weight_importer(file, name, shape, o).run();
}

} // namespace s3::importing
