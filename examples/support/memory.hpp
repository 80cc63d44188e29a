#pragma once
// Memory as training uses it: the same large tensors, step after step.

#if __has_include(<malloc.h>)
#include <malloc.h> // tells whether the C library is glibc, too
#endif

namespace support {

/// Keeps large tensors' memory from going back to the system after each step, only to be cleared
/// and mapped again: a quarter of the training time. Call it before the first thread starts.
inline void keep_memory() {
#if defined(__GLIBC__)
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_TOP_PAD, 64 << 20);
    mallopt(M_ARENA_MAX, 1); // further arenas, one per thread, heed none of the above
#endif
}

} // namespace support
