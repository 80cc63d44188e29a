#pragma once
// The library's version, for the preprocessor and for code. CMakeLists.txt reads it from here.

#define S3_VERSION_MAJOR 0
#define S3_VERSION_MINOR 1
#define S3_VERSION_PATCH 0

namespace s3 {

inline constexpr int version_major = S3_VERSION_MAJOR;
inline constexpr int version_minor = S3_VERSION_MINOR;
inline constexpr int version_patch = S3_VERSION_PATCH;

} // namespace s3
