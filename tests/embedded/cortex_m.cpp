// What a program needs on a bare Cortex-M3: a vector table, zeroed and copied memory, and, for the
// emulator alone, semihosting calls to print and to leave.

#include <cstddef>
#include <cstdint>

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
