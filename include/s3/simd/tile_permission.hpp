#pragma once
// Permission to use a matrix unit (simd/tiles.hpp). On x86 the registers of AMX are 8 KiB that the
// operating system saves for those who asked for them: a process without permission is killed at
// its first tile instruction. Kernels on tiles are chosen only with permission, and nothing of the
// library asks for it: the host does, once, before it prepares weights.
//
// Signal handlers on a small alternative stack may find no room for the registers: see
// AT_MINSIGSTKSZ in the documentation of the kernel.

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace s3 {

/// Asks the operating system for tile registers, for all threads of the process and for as long as
/// it lives. Whether it grants them; false where the machine has none. A host that is compiled for
/// an older instruction set asks for those of its parts that are compiled for this one.
inline bool permit_tiles() noexcept {
#if defined(__x86_64__) && defined(__linux__)
    constexpr long request_permission = 0x1023, tile_data = 18;
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
    return false;
#endif
}

/// Whether the process has been granted tile registers.
inline bool tiles_are_permitted() noexcept {
#if defined(__x86_64__) && defined(__linux__)
    unsigned long long features = 0;
    constexpr long get_permission = 0x1022, tile_data = 18;
    return syscall(SYS_arch_prctl, get_permission, &features) == 0 &&
           (features >> tile_data & 1) != 0;
#else
    return false;
#endif
}

} // namespace s3
