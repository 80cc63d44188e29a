# Install rules: headers, a relocatable CMake package, and a pkg-config file. None of these depends on the
# architecture, so they go to include/ and share/; s3::runtime, where it is built, goes to lib/.

include(CMakePackageConfigHelpers)

set(package_directory ${CMAKE_INSTALL_DATADIR}/cmake/s3)
install(DIRECTORY include/s3 DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} PATTERN runtime/compiled EXCLUDE)
install(TARGETS s3 EXPORT s3Targets)
install(EXPORT s3Targets NAMESPACE s3:: DESTINATION ${package_directory})

set(runtime_directory ${CMAKE_INSTALL_LIBDIR}/cmake/s3_runtime)
if(TARGET s3_runtime)
    install(TARGETS s3_runtime EXPORT s3RuntimeTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(EXPORT s3RuntimeTargets NAMESPACE s3:: DESTINATION ${runtime_directory})
endif()

configure_package_config_file(packaging/cmake/s3Config.cmake.in s3Config.cmake
                              INSTALL_DESTINATION ${package_directory}
                              PATH_VARS runtime_directory CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(s3ConfigVersion.cmake COMPATIBILITY SameMinorVersion
                                 ARCH_INDEPENDENT)
install(FILES ${PROJECT_BINARY_DIR}/s3Config.cmake ${PROJECT_BINARY_DIR}/s3ConfigVersion.cmake
              packaging/cmake/s3Dependencies.cmake packaging/cmake/s3Io.cmake packaging/cmake/s3Dispatch.cmake
              packaging/cmake/s3Localize.cmake
        DESTINATION ${package_directory})

install(FILES packaging/gdb/s3.py DESTINATION ${CMAKE_INSTALL_DATADIR}/s3-shift/gdb)
file(RELATIVE_PATH prefix_from_pkgconfig ${CMAKE_INSTALL_FULL_DATADIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
set(pkgconfig_include ${CMAKE_INSTALL_INCLUDEDIR})
if(NOT IS_ABSOLUTE ${pkgconfig_include})
    string(PREPEND pkgconfig_include "\${prefix}/")
endif()
configure_file(packaging/s3.pc.in s3.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/s3.pc DESTINATION ${CMAKE_INSTALL_DATADIR}/pkgconfig)
