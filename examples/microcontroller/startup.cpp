// What a program needs on a bare Cortex-M3: a vector table, zeroed and copied memory, a counter,
// and, for the emulator alone, semihosting calls to print and to leave.

#include "board.hpp"

#include <cstddef>

extern "C" {
extern std::uint32_t stack_top, data_from, data_begin, data_end, bss_begin, bss_end;
int main();
[[noreturn]] void start();

__attribute__((section(".vectors"), used))
const void* const vectors[] = {&stack_top, reinterpret_cast<const void*>(&start)};

/// The compiler calls these of its own accord.
void* memcpy(void* to, const void* from, std::size_t size) {
    auto* t = static_cast<volatile char*>(to);
    for (std::size_t i = 0; i < size; ++i)
        t[i] = static_cast<const char*>(from)[i];
    return to;
}
void* memset(void* to, int value, std::size_t size) {
    auto* t = static_cast<volatile char*>(to);
    for (std::size_t i = 0; i < size; ++i)
        t[i] = static_cast<char>(value);
    return to;
}
}

namespace {
void semihosting(int operation, const void* argument) {
    register int r0 asm("r0") = operation;
    register const void* r1 asm("r1") = argument;
    asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}
} // namespace

void print(const char* text) {
    semihosting(0x04, text);
}

/// The emulator runs an instruction a nanosecond (-icount shift=0), and the board's 24-bit timer
/// counts down once every 40.
std::uint64_t instructions() {
    auto* const control = reinterpret_cast<volatile std::uint32_t*>(0xe000e010);
    auto* const reload = control + 1;
    auto* const now = control + 2;
    constexpr std::uint32_t top = 0xffffff;
    static std::uint32_t last = top;
    static std::uint64_t ticks = 0;
    if (*control == 0) {
        *reload = top;
        *now = 0;
        *control = 5; // on, by the processor's clock
    }
    const std::uint32_t value = *now;
    ticks += (last - value) & top;
    last = value;
    return ticks * 40;
}
[[noreturn]] void leave(int status) {
    const std::uint32_t reason[] = {0x20026, static_cast<std::uint32_t>(status)};
    semihosting(0x20, reason);
    for (;;) {
    }
}

void start() {
    for (std::uint32_t *to = &data_begin, *from = &data_from; to != &data_end;)
        *to++ = *from++;
    for (std::uint32_t* to = &bss_begin; to != &bss_end;)
        *to++ = 0;
    leave(main());
}
