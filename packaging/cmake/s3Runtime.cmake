# The optional compiled library: the target s3::runtime, with one object per instruction set, so that
# a host compiles in about a second and gets every set (see include/s3/runtime/options.hpp).
#
#   S3_RUNTIME_SETS         instruction sets, all by default (see s3Dispatch.cmake)
#   S3_RUNTIME_FORMATS      weight formats by their names in C++, all by default
#   S3_RUNTIME_ACTIVATIONS  uint8_t, int8_t and float by default
#
# Each set compiles every format with every activation type, about 10 s for one at -O2 on one core:
# all of x86 takes some 20 minutes of one core, and is cut into sources that compile in parallel.

set(S3_RUNTIME_SETS all CACHE STRING "Instruction sets of s3::runtime")
set(S3_RUNTIME_FORMATS all CACHE STRING "Weight formats of s3::runtime")
set(S3_RUNTIME_ACTIVATIONS all CACHE STRING "Activation types of s3::runtime")

# s3_add_runtime(<target> SETS <set>… FORMATS <format>… ACTIVATIONS <type>…) makes a static library;
# `all` stands for all of them. Without activation types the library has networks
# (runtime/program.hpp) alone.
function(s3_add_runtime target)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SETS;FORMATS;ACTIVATIONS")
    set(folder ${PROJECT_SOURCE_DIR}/include/s3/runtime/compiled)
    set(formats ${arg_FORMATS})
    if(formats STREQUAL all)
        file(READ ${PROJECT_SOURCE_DIR}/include/s3/format/list.hpp list)
        string(REGEX MATCH "using all_formats[^<]*<([^>]*)>" _ "${list}")
        string(REGEX MATCHALL "[a-z_0-9]+" formats "${CMAKE_MATCH_1}")
    endif()
    set(activations ${arg_ACTIVATIONS})
    if(activations STREQUAL all)
        set(activations uint8_t int8_t float)
    endif()
    list(TRANSFORM formats PREPEND s3::)
    list(TRANSFORM activations REPLACE "^(u?int8_t)$" "std::\\1")

    set(sources ${folder}/program.cpp)
    foreach(format IN LISTS formats)
        foreach(activation IN LISTS activations)
            string(MAKE_C_IDENTIFIER ${format}_${activation} name)
            set(source ${CMAKE_CURRENT_BINARY_DIR}/${target}/${name}.cpp)
            configure_file(${folder}/weights.cpp.in ${source} @ONLY)
            list(APPEND sources ${source})
        endforeach()
    endforeach()
    list(JOIN formats "," formats)
    list(JOIN activations "," activations)

    add_library(${target} STATIC ${folder}/runtime.cpp)
    target_link_libraries(${target} PUBLIC s3::s3)
    target_compile_definitions(${target} PRIVATE "S3_RUNTIME_FORMATS=${formats}"
                                                 "S3_RUNTIME_ACTIVATIONS=${activations}")
    set(sets "")
    if(NOT arg_SETS STREQUAL all)
        set(sets ARCHS ${arg_SETS})
    endif()
    s3_add_dispatch(${target} SOURCES ${sources} ${sets})
endfunction()
