# Defines s3::xsimd: xsimd's headers, as system headers. Serves this build and, installed beside
# s3Config.cmake, its users.
#
# xsimd's own target is asked for its headers only, since Debian 12's links a library (xtl) that the
# package neither needs nor depends on. No version is demanded here: xsimd's version file would
# refuse newer ones.

if(TARGET s3::xsimd)
    return()
endif()
if(NOT TARGET xsimd)
    find_package(xsimd CONFIG QUIET)
endif()
if(TARGET xsimd)
    get_target_property(s3_xsimd_directories xsimd INTERFACE_INCLUDE_DIRECTORIES)
else()
    find_path(S3_XSIMD_INCLUDE_DIR xsimd/xsimd.hpp DOC "Folder that contains xsimd/xsimd.hpp")
    set(s3_xsimd_directories ${S3_XSIMD_INCLUDE_DIR})
endif()
if(s3_xsimd_directories)
    add_library(s3::xsimd INTERFACE IMPORTED GLOBAL)
    target_include_directories(s3::xsimd SYSTEM INTERFACE ${s3_xsimd_directories})
elseif(PROJECT_NAME STREQUAL "s3")
    message(FATAL_ERROR "s3 needs xsimd (Debian: libxsimd-dev), or S3_XSIMD_INCLUDE_DIR")
endif()
unset(s3_xsimd_directories)
