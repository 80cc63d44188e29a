# The optional compiled library: the target s3::runtime, with one object per instruction set, so that
# a host compiles in about a second and gets every set (see include/s3/runtime/options.hpp).
#
#   S3_RUNTIME_SETS         instruction sets, all by default (see s3Dispatch.cmake)
#   S3_RUNTIME_FORMATS      weight formats by their names in C++, all by default
#   S3_RUNTIME_ACTIVATIONS  uint8_t, int8_t and float by default
#
# Each set compiles every format with every activation type, about 10 s for one at -O2 on one core:
# all of x86 takes some 20 minutes of one core, and is cut into sources that compile in parallel.

# The program s3shift and the Python package share a library of their own, which has these alone:
# s3_networks.
#
#   S3_NETWORK_SETS         its instruction sets: by default the one that S3_ARCH amounts to, and no
#                           other, which compiles for a minute and a half; those that are named, or
#                           all, and the baseline are for any machine
#   S3_NETWORK_FORMATS      its weight formats, all by default
#   S3_NETWORK_OPTIMIZATION -O2 by default: kernels are unrolled by hand already, and -O3 compiles them
#                           for a quarter longer

set(S3_NETWORK_SETS "" CACHE STRING "Instruction sets of the program and the Python package")
set(S3_NETWORK_FORMATS all CACHE STRING "Weight formats of the program and the Python package")
set(S3_NETWORK_OPTIMIZATION -O2 CACHE STRING "Optimization of the program and the Python package")
set(S3_RUNTIME_SETS all CACHE STRING "Instruction sets of s3::runtime")
set(S3_RUNTIME_FORMATS all CACHE STRING "Weight formats of s3::runtime")
set(S3_RUNTIME_ACTIVATIONS all CACHE STRING "Activation types of s3::runtime")

# s3_add_runtime(<target> SETS <set>… FORMATS <format>… ACTIVATIONS <type>… [ONLY]) makes a static
# library; `all` stands for all of them. Without activation types the library has networks
# (runtime/program.hpp) and layers of floats (runtime/linear_layer.hpp) alone. ONLY leaves the baseline out, as in s3Dispatch.cmake.
function(s3_add_runtime target)
    cmake_parse_arguments(PARSE_ARGV 1 arg "ONLY" "" "SETS;FORMATS;ACTIVATIONS")
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

    set(sources ${folder}/program.cpp ${folder}/linear_layer.cpp)
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
    if(arg_ONLY)
        list(APPEND sets ONLY)
    endif()
    s3_add_dispatch(${target} SOURCES ${sources} ${sets})
endfunction()

# Makes s3_networks, once.
function(s3_add_networks)
    if(TARGET s3_networks)
        return()
    endif()
    set(sets ${S3_NETWORK_SETS})
    set(only "")
    if(NOT sets)
        s3_isa_of_flags("${arch_flags}" sets)
        set(only ONLY)
    endif()
    set(CMAKE_POSITION_INDEPENDENT_CODE ON) # for the Python package, of all objects
    s3_add_runtime(s3_networks SETS ${sets} FORMATS ${S3_NETWORK_FORMATS} ${only})
    target_link_libraries(s3_networks PRIVATE s3_development_anywhere)
    # g++ takes the members of a variant that it moves for uninitialized.
    target_compile_options(s3_networks PRIVATE ${S3_NETWORK_OPTIMIZATION}
                                               $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endfunction()
