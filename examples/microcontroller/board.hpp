#pragma once
// What the program wants of the board, or of the host where it is tried first: startup.cpp and
// host.cpp have it.

#include <cstdint>

void print(const char* text);
/// Instructions since the start, a multiple of 40; 0 where they are not counted.
std::uint64_t instructions();
