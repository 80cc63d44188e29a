#include "operations.hpp"

template class s3::bench::product<s3::shift3, std::int8_t>;
template class s3::bench::product<s3::shift3, std::uint8_t>;
template class s3::bench::convolution<s3::shift3, std::uint8_t>;
