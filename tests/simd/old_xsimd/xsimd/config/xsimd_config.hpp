#pragma once
// Stands for xsimd 7, which the library must refuse by the version that it needs.
#define XSIMD_VERSION_MAJOR 7
#define XSIMD_VERSION_MINOR 6
#define XSIMD_VERSION_PATCH 0
