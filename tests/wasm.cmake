# Toolchain file: WebAssembly with SIMD128, by Debian's emscripten, run under node. Emscripten gives
# SIMD128 the names of SSE4.1's instructions, so the library sees that instruction set.
#
#   cmake -S . -B build/wasm --preset portable -DCMAKE_TOOLCHAIN_FILE=tests/wasm.cmake

include(/usr/share/emscripten/cmake/Modules/Platform/Emscripten.cmake)
set(CMAKE_CXX_FLAGS_INIT "-msimd128 -msse4.1")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-sALLOW_MEMORY_GROWTH -sNODERAWFS")
# Debian's version predates node's own `fetch`, and would use it on files.
set(CMAKE_CROSSCOMPILING_EMULATOR /usr/bin/node --no-experimental-fetch)
set(ENV{NODE_PATH} /usr/share/nodejs)

# Headers of libraries alone: those of the system are not for this machine.
set(headers ${CMAKE_CURRENT_BINARY_DIR}/headers)
foreach(library IN ITEMS xsimd doctest)
    if(NOT EXISTS ${headers}/${library})
        file(MAKE_DIRECTORY ${headers})
        file(CREATE_LINK /usr/include/${library} ${headers}/${library} SYMBOLIC)
    endif()
endforeach()
file(WRITE ${headers}/doctestConfig.cmake
     "add_library(doctest::doctest INTERFACE IMPORTED)\n"
     "target_include_directories(doctest::doctest INTERFACE \${CMAKE_CURRENT_LIST_DIR})\n")
set(S3_XSIMD_INCLUDE_DIR ${headers} CACHE PATH "")
set(doctest_DIR ${headers} CACHE PATH "")
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)
