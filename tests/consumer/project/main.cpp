#include <s3/core/format.hpp>

int main() { return s3::shift3::value(3) == 4 ? 0 : 1; }
