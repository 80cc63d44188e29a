#include "operations.hpp"

template class s3::bench::product<s3::shift2, float>;
template class s3::bench::product<s3::shift3, float>;
template class s3::bench::convolution<s3::shift2, float>;
template class s3::bench::convolution<s3::shift3, float>;
