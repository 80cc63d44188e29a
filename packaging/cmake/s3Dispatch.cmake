# One binary for every machine: compiles sources once per instruction set, for the program to pick
# one at its start (see s3/simd/isa.hpp).
#
#   s3_add_dispatch(<target> SOURCES <file>… [ARCHS <set>…] [ONLY])
#
# Sets are the rows of the table in s3/simd/isa_table.hpp; those of other processors are left out, so
# that a list may name them all, and all are the default. `baseline`, what every processor of the
# family can run, is there as well, unless ONLY says that some machines need not be served. The
# sources see the target's own include folders, definitions, options and libraries; give the target
# itself no -march.
#
# Inline functions and template instances carry no mark of the set that they were compiled for, and a
# linker keeps one of many: AVX-512 code could end up in the function that every machine calls. So
# each object is linked by itself (its groups resolved) and its weak symbols made local: no other
# object sees them. What the sources define for others must be a specialization on
# s3::compiled_isa; anything else is refused by the linker as defined twice. The property
# S3_DISPATCH_SETS of the target lists what was built.

# The table is read into global properties: S3_ISAS lists the names of all sets in its order, and
# S3_ISA_<set>_FAMILY, S3_ISA_<set>_INCLUDES and S3_ISA_<set>_FLAGS are a set's columns. The header
# lies in include/ of the sources, or, once installed, where s3Config.cmake says.
find_file(S3_ISA_TABLE s3/simd/isa_table.hpp
          PATHS ${CMAKE_CURRENT_LIST_DIR}/../../include ${s3_include_directory}
          NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH REQUIRED)
mark_as_advanced(S3_ISA_TABLE)
function(s3_read_isa_table)
    set(names "([a-z0-9_]+), ([a-z0-9]+), ([a-z0-9_]+)")
    file(READ ${S3_ISA_TABLE} table)
    string(REGEX MATCHALL "\n +SET\\(${names},[ \\\n]*\"[^\"]*\"" rows "${table}")
    set(sets "")
    foreach(row IN LISTS rows)
        string(REGEX MATCH "${names},[^\"]*\"([^\"]*)\"" _ "${row}")
        separate_arguments(flags UNIX_COMMAND "${CMAKE_MATCH_4}")
        list(APPEND sets ${CMAKE_MATCH_1})
        set_property(GLOBAL PROPERTY S3_ISA_${CMAKE_MATCH_1}_FAMILY ${CMAKE_MATCH_2})
        set_property(GLOBAL PROPERTY S3_ISA_${CMAKE_MATCH_1}_INCLUDES ${CMAKE_MATCH_3})
        set_property(GLOBAL PROPERTY S3_ISA_${CMAKE_MATCH_1}_FLAGS "${flags}")
    endforeach()
    if(NOT sets)
        message(FATAL_ERROR "${S3_ISA_TABLE} has no rows that can be read")
    endif()
    set_property(GLOBAL PROPERTY S3_ISAS "${sets}")
endfunction()
s3_read_isa_table()

# Sets <result> to the compiler flags of a set, NOTFOUND for one of another processor. Complete: they
# must also undo an -march that came before.
function(s3_isa_flags set result)
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
        set(family x86)
        set(baseline -march=x86-64)
    elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
        set(family arm)
        set(baseline -march=armv8-a)
    else()
        set(family other)
        set(baseline "")
    endif()
    set(flags "")
    while(NOT set STREQUAL "baseline")
        get_property(of GLOBAL PROPERTY S3_ISA_${set}_FAMILY)
        if(NOT of STREQUAL family)
            set(${result} NOTFOUND PARENT_SCOPE)
            return()
        endif()
        get_property(more GLOBAL PROPERTY S3_ISA_${set}_FLAGS)
        list(PREPEND flags ${more})
        get_property(set GLOBAL PROPERTY S3_ISA_${set}_INCLUDES)
    endwhile()
    set(${result} "${baseline};${flags}" PARENT_SCOPE)
endfunction()

# Sets <result> to the set that compiler flags amount to: the last in the table whose macros they
# define, or `baseline`.
function(s3_isa_of_flags flags result)
    set(target "")
    if(CMAKE_CXX_COMPILER_TARGET)
        set(target --target=${CMAKE_CXX_COMPILER_TARGET})
    endif()
    set(preprocess ${CMAKE_CXX_COMPILER} ${target} -dM -E -x c++ /dev/null)
    s3_isa_flags(baseline baseline)
    execute_process(COMMAND ${preprocess} ${flags} OUTPUT_VARIABLE defined)
    execute_process(COMMAND ${preprocess} ${baseline} OUTPUT_VARIABLE common)
    set(found baseline)
    get_property(sets GLOBAL PROPERTY S3_ISAS)
    foreach(set IN LISTS sets)
        s3_isa_flags(${set} of_set)
        get_property(own GLOBAL PROPERTY S3_ISA_${set}_FLAGS)
        if(own AND NOT of_set STREQUAL NOTFOUND)
            execute_process(COMMAND ${preprocess} ${of_set} OUTPUT_VARIABLE macros ERROR_QUIET)
            string(REGEX MATCHALL "#define [A-Za-z0-9_]+ 1\n" macros "${macros}")
            set(lacks FALSE)
            foreach(macro IN LISTS macros)
                string(FIND "${common}" "${macro}" in_common)
                string(FIND "${defined}" "${macro}" in_defined)
                if(in_common EQUAL -1 AND in_defined EQUAL -1)
                    set(lacks TRUE)
                endif()
            endforeach()
            if(macros AND NOT lacks)
                set(found ${set})
            endif()
        endif()
    endforeach()
    set(${result} ${found} PARENT_SCOPE)
endfunction()

function(s3_add_dispatch target)
    cmake_parse_arguments(PARSE_ARGV 1 arg "ONLY" "" "SOURCES;ARCHS")
    if(NOT TARGET ${target} OR NOT arg_SOURCES OR arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "usage: s3_add_dispatch(<target> SOURCES <file>… [ARCHS <set>…] [ONLY])")
    endif()
    get_property(known GLOBAL PROPERTY S3_ISAS)
    if(NOT DEFINED arg_ARCHS)
        set(arg_ARCHS ${known})
    endif()
    foreach(set IN LISTS arg_ARCHS)
        if(NOT set IN_LIST known AND NOT set STREQUAL "baseline")
            message(FATAL_ERROR "s3_add_dispatch: unknown set ${set}; known are ${known}")
        endif()
    endforeach()
    if(NOT CMAKE_EXECUTABLE_FORMAT STREQUAL "ELF" OR NOT CMAKE_NM OR NOT CMAKE_OBJCOPY)
        message(STATUS "s3_add_dispatch: no objcopy for this system, so only the baseline is built")
        set(arg_ARCHS "")
    endif()

    set(sets "")
    foreach(set IN LISTS known)
        s3_isa_flags(${set} flags)
        get_property(own GLOBAL PROPERTY S3_ISA_${set}_FLAGS)
        # A set without flags of its own is what the baseline is already.
        if(own AND set IN_LIST arg_ARCHS AND NOT flags STREQUAL "NOTFOUND")
            list(APPEND sets ${set})
        endif()
    endforeach()
    if(NOT sets OR NOT arg_ONLY)
        list(PREPEND sets baseline)
    endif()
    foreach(set IN LISTS sets)
        s3_isa_flags(${set} flags)
        s3_add_isa_objects(${target} ${set} "${flags}" "${arg_SOURCES}")
    endforeach()
    set_target_properties(${target} PROPERTIES S3_DISPATCH_SETS "${sets}")
    list(TRANSFORM sets PREPEND s3::isa::)
    list(JOIN sets "," isas)
    target_compile_definitions(${target} PRIVATE "S3_DISPATCH_ISAS=${isas}")
endfunction()

# The sources compiled for one set, made safe to link beside the others.
function(s3_add_isa_objects target set flags sources)
    set(compiled ${target}_${set})
    add_library(${compiled}_flags INTERFACE)
    target_compile_options(${compiled}_flags INTERFACE ${flags} -fno-lto
                           $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>)
    target_compile_definitions(${compiled}_flags INTERFACE S3_COMPILED_ISA=${set})

    add_library(${compiled} OBJECT ${sources})
    foreach(property IN ITEMS INCLUDE_DIRECTORIES COMPILE_DEFINITIONS COMPILE_OPTIONS)
        set_property(TARGET ${compiled} PROPERTY ${property} $<TARGET_PROPERTY:${target},${property}>)
    endforeach()
    # The flags come last, and win.
    target_link_libraries(${compiled} PRIVATE $<TARGET_PROPERTY:${target},LINK_LIBRARIES>
                                              ${compiled}_flags)
    get_target_property(type ${target} TYPE)
    get_target_property(pic ${target} POSITION_INDEPENDENT_CODE)
    if(pic OR type MATCHES "^(SHARED|MODULE)_LIBRARY$")
        set_target_properties(${compiled} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    endif()

    if(NOT CMAKE_EXECUTABLE_FORMAT STREQUAL "ELF" OR NOT CMAKE_NM OR NOT CMAKE_OBJCOPY)
        target_sources(${target} PRIVATE $<TARGET_OBJECTS:${compiled}>)
        return()
    endif()
    set(script ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/s3Localize.cmake)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${compiled}.o)
    add_custom_command(
        OUTPUT ${object}
        COMMAND
            ${CMAKE_COMMAND} "-DOBJECTS=$<JOIN:$<TARGET_OBJECTS:${compiled}>,|>" -DOUTPUT=${object}
            -DCXX=${CMAKE_CXX_COMPILER} -DCXX_TARGET=${CMAKE_CXX_COMPILER_TARGET} -DNM=${CMAKE_NM}
            -DOBJCOPY=${CMAKE_OBJCOPY} -P ${script}
        DEPENDS ${compiled} $<TARGET_OBJECTS:${compiled}> ${script}
        COMMENT "Keeping ${compiled} to itself"
        VERBATIM)
    set_source_files_properties(${object} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
    target_sources(${target} PRIVATE ${object})
endfunction()
