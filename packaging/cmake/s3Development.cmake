# Flags of our own tests, benchmarks and examples, never exported: the target s3_development, and
# s3_development_anywhere, which leaves the architecture open.

option(S3_WARNINGS_AS_ERRORS "Warnings end the build, as is right for development, not for packages" ON)
option(S3_EXCEPTIONS "Build with exceptions and run-time type information" ON)
set(S3_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined")
set(arch_default "")
if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_CROSSCOMPILING)
    set(arch_default native)
endif()
set(S3_ARCH
    ${arch_default}
    CACHE STRING "An instruction set of s3/simd/isa_table.hpp or a value of -march; empty: the compiler's default")
get_property(isas GLOBAL PROPERTY S3_ISAS)
if(S3_ARCH IN_LIST isas)
    s3_isa_flags(${S3_ARCH} arch_flags)
    if(arch_flags STREQUAL NOTFOUND)
        message(FATAL_ERROR "S3_ARCH=${S3_ARCH} is an instruction set of another processor")
    endif()
elseif(S3_ARCH)
    set(arch_flags -march=${S3_ARCH})
else()
    set(arch_flags "")
endif()

if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

add_library(s3_development_anywhere INTERFACE)
target_link_libraries(s3_development_anywhere INTERFACE s3::s3)
target_compile_options(s3_development_anywhere INTERFACE -Wall -Wextra -Wconversion
                                                         -Wsign-conversion -Wshadow)
if(S3_WARNINGS_AS_ERRORS)
    target_compile_options(s3_development_anywhere INTERFACE -Werror)
endif()
add_library(s3_development INTERFACE)
target_link_libraries(s3_development INTERFACE s3_development_anywhere)
target_compile_options(s3_development INTERFACE ${arch_flags})

# g++ collects garbage from 128 MB on, which takes it an eighth of the time: a quarter of the memory of
# each processor, at most 1 GB, may be used before.
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    cmake_host_system_information(RESULT megabytes QUERY TOTAL_PHYSICAL_MEMORY)
    cmake_host_system_information(RESULT processors QUERY NUMBER_OF_LOGICAL_CORES)
    math(EXPR kilobytes "1024 * ${megabytes} / ${processors} / 4")
    if(kilobytes GREATER 1000000)
        set(kilobytes 1000000)
    endif()
    target_compile_options(s3_development_anywhere INTERFACE --param=ggc-min-heapsize=${kilobytes})
endif()

# For tests, and for programs whose time goes into libtorch. Where pointers may point to matters little
# at -O1 and takes g++ a tenth of the time; not knowing it, g++ warns of bounds that are kept.
set(quick -O1)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    list(APPEND quick -fno-tree-pta -Wno-array-bounds -Wno-stringop-overflow)
endif()
set(S3_QUICK_OPTIMIZATION
    "${quick}"
    CACHE STRING "Optimization of the tests: kernels are many templates, and -O3 compiles for 3 times as long")
add_library(s3_development_quickly INTERFACE)
target_link_libraries(s3_development_quickly INTERFACE s3_development)
target_compile_options(s3_development_quickly INTERFACE ${S3_QUICK_OPTIMIZATION})

# Headers that many sources of our own include take longer to read than the sources to compile, so
# they are read once for each set of flags: s3_precompile(<name> <library with the flags> <header>…)
# reads them, s3_use_precompiled(<target> <name>) is for targets that have the same flags. Whether a
# header includes all that it needs is tested apart, in tests/headers. Turn S3_PRECOMPILE off for
# compiler caches, which do not keep such objects without settings of their own.
option(S3_PRECOMPILE "Precompile the headers that tests and examples share" ON)
function(s3_precompile name library)
    if(S3_PRECOMPILE)
        set(source ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp)
        file(CONFIGURE OUTPUT ${source} CONTENT "// Precompiled headers belong to a source.\n")
        add_library(${name} OBJECT ${source})
        target_link_libraries(${name} PRIVATE ${library})
        target_precompile_headers(${name} PRIVATE ${ARGN})
    endif()
endfunction()
function(s3_use_precompiled target name)
    if(S3_PRECOMPILE)
        target_precompile_headers(${target} REUSE_FROM ${name})
        # g++ forgets in a precompiled header which of its own intrinsics it should not warn of.
        target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized
                                                 -Wno-maybe-uninitialized>)
    endif()
endfunction()

# Libraries that need exceptions cannot join a build without them; Torch is one.
add_library(s3_no_exceptions INTERFACE)
target_compile_options(s3_no_exceptions INTERFACE -fno-exceptions -fno-rtti)
if(NOT S3_EXCEPTIONS)
    target_link_libraries(s3_development_anywhere INTERFACE s3_no_exceptions)
endif()

if(S3_SANITIZE)
    target_compile_options(
        s3_development_anywhere INTERFACE -fsanitize=${S3_SANITIZE} -fno-sanitize-recover=all
                                          -fno-omit-frame-pointer)
    target_link_options(s3_development_anywhere INTERFACE -fsanitize=${S3_SANITIZE})
endif()

# Optional frameworks, by the part of a file's name that asks for one. What uses libtorch compiles for
# a minute and more, and is left out in brief.
if(S3_EXCEPTIONS AND NOT S3_TEST_BRIEF)
    find_package(Torch QUIET)
endif()
if(TARGET torch AND CMAKE_CXX_COMPILER_ID MATCHES Clang)
    # libtorch 1.13's headers are not valid C++20 for clang: vectors of an incomplete type.
    include(CheckCXXSourceCompiles)
    set(CMAKE_REQUIRED_LIBRARIES torch)
    set(CMAKE_REQUIRED_FLAGS -std=c++20)
    check_cxx_source_compiles("#include <torch/torch.h>\nint main() {}" S3_TORCH_COMPILES)
    unset(CMAKE_REQUIRED_LIBRARIES)
    unset(CMAKE_REQUIRED_FLAGS)
endif()
if(TARGET torch AND (S3_TORCH_COMPILES OR NOT DEFINED S3_TORCH_COMPILES))
    add_library(s3_torch INTERFACE)
    target_link_libraries(s3_torch INTERFACE torch)
    add_library(s3_torch_quickly INTERFACE)
    target_link_libraries(s3_torch_quickly INTERFACE s3_torch s3_development_quickly)
    s3_precompile(s3_torch_headers s3_torch_quickly <torch/torch.h> <s3/shift.hpp>)
endif()
find_package(Eigen3 QUIET)
find_package(TBB QUIET)
find_package(OpenMP QUIET)

# Some tests and examples are in Python: not any, but one whose system packages include NumPy or torch.
set(S3_PYTHON /usr/bin/python3 CACHE FILEPATH "The Python that has NumPy and torch")
execute_process(
    COMMAND
        ${S3_PYTHON} -c
        "import sysconfig as s; print(s.get_path('include'), s.get_config_var('LIBDIR'), s.get_config_var('LDLIBRARY'), sep=';')"
    OUTPUT_VARIABLE python_places OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
list(APPEND python_places "" "" "") # where there is no such Python
list(GET python_places 0 python_include)
list(GET python_places 1 python_library_folder)
list(GET python_places 2 python_library)
set(python_library ${python_library_folder}/${python_library})
find_path(pybind11_include pybind11/pybind11.h)
# For programs that run Python; modules do not link its library.
if(pybind11_include AND EXISTS ${python_include}/Python.h AND EXISTS ${python_library}
   AND S3_EXCEPTIONS AND NOT S3_SANITIZE AND NOT CMAKE_CROSSCOMPILING)
    add_library(s3_pybind11 INTERFACE)
    target_include_directories(s3_pybind11 SYSTEM INTERFACE ${python_include} ${pybind11_include})
    target_link_libraries(s3_pybind11 INTERFACE ${python_library})
endif()

set(S3_FRAMEWORKS torch:s3_torch eigen:Eigen3::Eigen numpy:s3_pybind11 io/:s3::io safetensors:s3::io
                  model_file:s3::io language_model:s3::io import:s3::io
                  tbb:TBB::tbb openmp:OpenMP::OpenMP_CXX)

# Sets <result> to the targets that `file` (a path relative to its folder) must link, or to NOTFOUND
# if one of them is not installed.
function(s3_frameworks_of file result)
    set(targets "")
    foreach(entry IN LISTS S3_FRAMEWORKS)
        string(REGEX MATCH "^([^:]+):(.+)$" _ ${entry})
        set(word ${CMAKE_MATCH_1})
        set(target ${CMAKE_MATCH_2})
        if(file MATCHES "(^|[/_])${word}")
            if(NOT TARGET ${target})
                message(STATUS "s3: ${file} is left out: no usable ${word}")
                set(${result} NOTFOUND PARENT_SCOPE)
                return()
            endif()
            list(APPEND targets ${target})
        endif()
    endforeach()
    set(${result} "${targets}" PARENT_SCOPE)
endfunction()

# Sets <result> to whether S3_PYTHON has a module.
function(s3_python_has module result)
    execute_process(COMMAND ${S3_PYTHON} -c "import ${module}" RESULT_VARIABLE failed OUTPUT_QUIET
                    ERROR_QUIET)
    if(failed)
        set(${result} FALSE PARENT_SCOPE)
    else()
        set(${result} TRUE PARENT_SCOPE)
    endif()
endfunction()
