#pragma once
// Lists of declared kernels (kernel/seams.hpp): which of them exist for a format, an activation
// type and an instruction set, which of those can be chosen, and which one is chosen for a request.

#include <s3/kernel/seams.hpp>

#include <utility>

namespace s3::kernel {

/// Whether the process is permitted to run a kernel.
template <class Kernel>
[[nodiscard]] constexpr bool permitted() noexcept {
    if constexpr (requires { Kernel::permitted(); })
        return Kernel::permitted();
    else
        return true;
}

/// A list of declared kernels for one format, activation type and instruction set, in order.
template <class... Kernels>
struct kernel_list {
    static constexpr std::size_t size = sizeof...(Kernels);

    /// Calls f(std::type_identity<Kernel>{}) for kernel number `index`, which must be less than
    /// `size`. All calls must return the same type.
    template <class Function>
    static constexpr decltype(auto) visit(std::size_t index, Function&& f) {
        return visit_from(index, f, kernel_list{});
    }
    /// Calls f(std::type_identity<Kernel>{}) for each kernel, in order.
    template <class Function>
    static constexpr void each(Function&& f) {
        (f(std::type_identity<Kernels>{}), ...);
    }

    /// The number of the kernel that ranks highest among those of a family (`automatic` and `any`:
    /// of all), if its rank is above `rival`; else `size`.
    template <class Request>
    [[nodiscard]] static constexpr std::size_t best(const Request& request, family wanted,
                                                    int rival = 0) noexcept {
        std::size_t best = size, index = 0;
        int highest = rival;
        each([&](auto k) {
            using kernel = typename decltype(k)::type;
            const bool asked =
                wanted == family::automatic || wanted == family::any || wanted == kernel::family;
            const int rank = asked ? kernel::rank(request) : 0;
            if (rank > highest && permitted<kernel>()) {
                highest = rank;
                best = index;
            }
            ++index;
        });
        return best;
    }

    /// The number of the kernel with this name; `size` if there is none or it does not serve the
    /// request.
    template <class Request>
    [[nodiscard]] static constexpr std::size_t find(const Request& request, kernel_id id) noexcept {
        std::size_t found = size, index = 0;
        each([&](auto k) {
            using kernel = typename decltype(k)::type;
            if (kernel_id(kernel::name) == id && kernel::rank(request) > 0 && permitted<kernel>())
                found = index;
            ++index;
        });
        return found;
    }

private:
    template <class Function, class First, class... Rest>
    static constexpr decltype(auto) visit_from([[maybe_unused]] std::size_t index, Function& f,
                                               kernel_list<First, Rest...>) {
        if constexpr (sizeof...(Rest) != 0)
            if (index != 0)
                return kernel_list<Rest...>::visit(index - 1, f);
        return f(std::type_identity<First>{});
    }
};

template <class... A, class... B>
kernel_list<A..., B...> operator+(kernel_list<A...>, kernel_list<B...>);

/// Whether a choice admits a kernel, which must also exist.
template <class Kernel, kernel_choice Choice>
inline constexpr bool admitted = Kernel::exists &&
                                 (Choice.name != 0
                                      ? kernel_choice::hash(Kernel::name) == Choice.name
                                      : Choice.among == family::automatic ||
                                            Choice.among == family::any ||
                                            Choice.among == Kernel::family);

/// Whether two kernels can serve the same request, so that their ranks may be compared.
template <class A, class B>
inline constexpr bool comparable = true;
template <direct_kernel A, direct_kernel B>
inline constexpr bool comparable<A, B> = A::kind == B::kind;

/// Whether kernel B is admitted and outranks kernel A for every request.
template <class A, class B, kernel_choice Choice>
inline constexpr bool outranked = [] {
    if constexpr (admitted<B, Choice>)
        return comparable<A, B> && B::ranks.least > A::ranks.most &&
               (Choice.among != family::any || A::family == B::family);
    else
        return false;
}();

template <kernel_choice Choice, class Kernel, class... All>
using keep =
    std::conditional_t<admitted<Kernel, Choice> && !(outranked<Kernel, All, Choice> || ...),
                       kernel_list<Kernel>, kernel_list<>>;
template <kernel_choice Choice, class... All>
auto select(kernel_list<All...>) -> decltype((kernel_list<>{} + ... + keep<Choice, All, All...>{}));

/// The kernels of a list that a choice admits, except those that another one always outranks.
template <kernel_choice Choice, class List>
using candidates = decltype(select<Choice>(List{}));

} // namespace s3::kernel
