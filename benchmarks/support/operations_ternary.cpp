#include "operations.hpp"

template class s3::bench::product<s3::shift2, std::int8_t>;
template class s3::bench::product<s3::shift2, std::uint8_t>;
