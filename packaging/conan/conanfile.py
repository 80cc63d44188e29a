"""Conan 2 recipe of s3: `conan create packaging/conan`, then require s3-shift and find_package(s3)."""

import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, load

required_conan_version = ">=2.0"


class S3ShiftConan(ConanFile):
    name = "s3-shift"
    description = "Low-bit shift networks: training, packing and SIMD inference"
    license = "BSL-1.0"
    topics = ("neural-networks", "quantization", "simd", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"io": [True, False]}
    default_options = {"io": True}
    no_copy_source = True

    @property
    def _root(self):
        return os.path.join(self.recipe_folder, os.pardir, os.pardir)

    def set_version(self):
        text = load(self, os.path.join(self._root, "include", "s3", "version.hpp"))
        self.version = ".".join(re.findall(r"#define S3_VERSION_[A-Z]+ (\d+)", text))

    def export_sources(self):
        for pattern in ("include/*", "packaging/cmake/*", "LICENSE"):
            copy(self, pattern, self._root, self.export_sources_folder)

    def requirements(self):
        self.requires("xsimd/[>=8.1]", transitive_headers=True)
        if self.options.io:
            self.requires("nlohmann_json/[>=3.9]", transitive_headers=True)

    def validate(self):
        check_min_cppstd(self, 20)

    def package_id(self):
        self.info.clear()

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        copy(self, "*", os.path.join(self.source_folder, "include"),
             os.path.join(self.package_folder, "include"), excludes="s3/runtime/compiled/*")
        for name in ("s3Dispatch.cmake", "s3Localize.cmake"):
            copy(self, name, os.path.join(self.source_folder, "packaging", "cmake"),
                 os.path.join(self.package_folder, "share", "cmake", "s3"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "s3")
        self.cpp_info.set_property("cmake_build_modules",
                                   [os.path.join("share", "cmake", "s3", "s3Dispatch.cmake")])
        core = self.cpp_info.components["core"]
        core.set_property("cmake_target_name", "s3::s3")
        core.set_property("pkg_config_name", "s3")
        core.requires = ["xsimd::xsimd"]
        core.bindirs = core.libdirs = []
        if self.options.io:
            io = self.cpp_info.components["io"]
            io.set_property("cmake_target_name", "s3::io")
            io.requires = ["core", "nlohmann_json::nlohmann_json"]
            io.bindirs = io.libdirs = []
