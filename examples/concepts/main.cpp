// The words of this library, printed: what a weight is, how it is coded, and where its bits lie.

#include <s3/pack/pack.hpp>

#include <array>
#include <cstdio>

int main() {
    std::printf("value = sign * sparse * 2^shift, in shift3:\n");
    for (const int value : {0, 1, 2, 4, -1, -2, -4}) {
        const s3::triple t = s3::to_triple(value);
        const auto code = static_cast<unsigned>(s3::shift3::code_of(value));
        std::printf("%3d = %+d * %d * 2^%d   code %u%u%u\n", value, t.sign, t.sparse, t.shift,
                    code >> 2 & 1, code >> 1 & 1, code & 1);
    }
    const std::array<int, 8> weights{0, 1, -2, 4, -1, 0, 2, 2};
    const auto packed = s3::pack<s3::shift3>(weights, 2, 4);
    if (!packed)
        return 1;
    std::printf("eight of them in %zu bytes:", packed->stream().size());
    for (const int byte : packed->stream())
        std::printf(" %02x", static_cast<unsigned>(byte));
    std::printf("\n");
    for (std::size_t i = 0; i < weights.size(); ++i)
        if (packed->value(i / 4, i % 4) != weights[i])
            return 1;
    return 0;
}
