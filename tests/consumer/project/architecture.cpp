#include <s3/simd/arch.hpp>
#include <s3/simd/isa.hpp>

template <s3::isa>
const char* architecture();

template <>
const char* architecture<s3::compiled_isa>() {
    return s3::arch::native::name;
}
