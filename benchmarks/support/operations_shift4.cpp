#include "operations.hpp"

template class s3::bench::product<s3::shift4, std::int8_t>;
template class s3::bench::product<s3::shift4, std::uint8_t>;
