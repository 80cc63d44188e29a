# What s3 needs of others, with the oldest version that serves; all are header-only. Defines s3::xsimd
# and, where nlohmann-json is found, s3::nlohmann_json: their headers, as system headers. Serves this
# build and, installed beside s3Config.cmake, its users.
#
# A package's own target is asked for its headers only: Debian 12's xsimd links a library (xtl) that
# its package neither needs nor depends on, and what a subfolder's find_package defines, the parent
# does not see. No version is given to find_package, since version files refuse newer ones.

set(S3_XSIMD_MINIMUM 8.1)
set(S3_NLOHMANN_JSON_MINIMUM 3.9)

# s3_define_headers(<name> TARGET <target> HEADER <file> VERSION_HEADERS <file>… PREFIX <macros' prefix>)
# defines s3::<name> if CMake package <name> or S3_<NAME>_INCLUDE_DIR has the header. Leaves the version
# that was found in S3_<NAME>_FOUND_VERSION, and defines nothing where that is too old.
function(s3_define_headers name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "TARGET;HEADER;PREFIX" "VERSION_HEADERS")
    string(TOUPPER ${name} upper)
    if(TARGET s3::${name})
        return()
    endif()
    if(NOT TARGET ${arg_TARGET})
        find_package(${name} CONFIG QUIET)
    endif()
    if(TARGET ${arg_TARGET})
        get_target_property(folders ${arg_TARGET} INTERFACE_INCLUDE_DIRECTORIES)
    else()
        find_path(S3_${upper}_INCLUDE_DIR ${arg_HEADER} DOC "Folder that contains ${arg_HEADER}")
        set(folders ${S3_${upper}_INCLUDE_DIR})
        if(NOT EXISTS "${folders}/${arg_HEADER}") # a folder that was given may be any
            set(folders "")
        endif()
    endif()
    if(NOT folders)
        return()
    endif()
    # The first header that states the version; folders may be generator expressions, which state none.
    set(version "")
    foreach(folder IN LISTS folders)
        string(REGEX REPLACE "^\\$<BUILD_INTERFACE:(.*)>$" "\\1" folder "${folder}")
        foreach(header IN LISTS arg_VERSION_HEADERS)
            if(NOT version AND EXISTS ${folder}/${header})
                file(STRINGS ${folder}/${header} version
                     REGEX "^ *# *define +${arg_PREFIX}_VERSION_(MAJOR|MINOR|PATCH) +[0-9]+")
                list(TRANSFORM version REPLACE "^.*_(MAJOR|MINOR|PATCH) +([0-9]+).*$" "\\2")
                list(JOIN version "." version)
            endif()
        endforeach()
    endforeach()
    set(S3_${upper}_FOUND_VERSION "${version}" PARENT_SCOPE)
    if(version AND version VERSION_LESS S3_${upper}_MINIMUM)
        return()
    endif()
    add_library(s3::${name} INTERFACE IMPORTED GLOBAL)
    target_include_directories(s3::${name} SYSTEM INTERFACE ${folders})
endfunction()

s3_define_headers(
    xsimd
    TARGET xsimd
    HEADER xsimd/xsimd.hpp
    VERSION_HEADERS xsimd/config/xsimd_config.hpp xsimd/xsimd_config.hpp
    PREFIX XSIMD)
s3_define_headers(
    nlohmann_json
    TARGET nlohmann_json::nlohmann_json
    HEADER nlohmann/json.hpp
    VERSION_HEADERS nlohmann/detail/abi_macros.hpp nlohmann/json.hpp
    PREFIX NLOHMANN_JSON)

set(S3_XSIMD_MISSING
    "s3 needs xsimd ${S3_XSIMD_MINIMUM} or newer (Debian: libxsimd-dev): install it, or set S3_XSIMD_INCLUDE_DIR to the folder that contains xsimd/xsimd.hpp"
)
if(S3_XSIMD_FOUND_VERSION)
    string(APPEND S3_XSIMD_MISSING "; ${S3_XSIMD_FOUND_VERSION} was found")
endif()
