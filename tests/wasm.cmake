# Toolchain file: WebAssembly with SIMD128, by Debian's emscripten, run under node. Emscripten gives
# SIMD128 the names of SSE4.1's instructions, so the library sees that instruction set.
#
#   cmake -S . -B build/wasm --preset portable -DCMAKE_TOOLCHAIN_FILE=tests/wasm.cmake

include(/usr/share/emscripten/cmake/Modules/Platform/Emscripten.cmake)
set(CMAKE_CXX_FLAGS_INIT "-msimd128 -msse4.1 -fexceptions")
# Beyond -O1 the linker's optimizer wants a node module that it does not find.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-O1 -sALLOW_MEMORY_GROWTH -sNODERAWFS")
# Debian's version predates node's own `fetch`, and would use it on files.
set(CMAKE_CROSSCOMPILING_EMULATOR /usr/bin/node --no-experimental-fetch)

# Libraries of headers alone, each in a folder of its own: what lies beside them in /usr/include is
# not for this machine. Other libraries are not for it either.
set(headers ${CMAKE_CURRENT_BINARY_DIR}/headers)
file(MAKE_DIRECTORY ${headers})
foreach(library IN ITEMS xsimd doctest nlohmann)
    if(NOT EXISTS ${headers}/${library})
        file(CREATE_LINK /usr/include/${library} ${headers}/${library} SYMBOLIC)
    endif()
endforeach()
foreach(package IN ITEMS doctest::doctest nlohmann_json::nlohmann_json)
    string(REGEX REPLACE ".*::" "" name ${package})
    file(WRITE ${headers}/${name}Config.cmake
         "add_library(${package} INTERFACE IMPORTED)\n"
         "target_include_directories(${package} INTERFACE \${CMAKE_CURRENT_LIST_DIR})\n")
    set(${name}_DIR ${headers} CACHE PATH "")
endforeach()
set(S3_XSIMD_INCLUDE_DIR ${headers} CACHE PATH "")
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)
foreach(library IN ITEMS Torch Eigen3 TBB OpenMP)
    set(CMAKE_DISABLE_FIND_PACKAGE_${library} ON)
endforeach()
