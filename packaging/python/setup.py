"""Builds the compiled modules with CMake. Environment variables choose what is built:

S3_SETS     instruction sets beside the baseline, all by default (s3/simd/isa_table.hpp), e.g.
            "avx2 avx512_vnni"; "native" is that of this machine, without the baseline
S3_FORMATS  weight formats of networks, all by default, e.g. "shift3 int8_weights"
S3_TORCH    "off" leaves s3.torch out; by default it is built where PyTorch is found
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def version():
    text = (ROOT / "include/s3/version.hpp").read_text()
    return ".".join(re.findall(r"^#define S3_VERSION_[A-Z]+ (\d+)$", text, re.M))


def torch_prefix():
    """Where CMake finds the PyTorch of this interpreter, if there is one."""
    if os.environ.get("S3_TORCH") == "off":
        return None
    try:
        import torch
        return torch.utils.cmake_prefix_path
    except ImportError:
        return None


class Build(build_ext):
    def run(self):
        build = Path(self.build_temp).resolve()
        prefix = torch_prefix()
        sets = os.environ.get("S3_SETS", "all").split()
        native = sets == ["native"]
        options = {"CMAKE_BUILD_TYPE": "Release", "S3_BUILD_PYTHON": "ON", "S3_BUILD_TESTS": "OFF",
                   "S3_BUILD_EXAMPLES": "OFF", "S3_BUILD_BENCHMARKS": "OFF",
                   "S3_BUILD_PROGRAM": "ON", "S3_WARNINGS_AS_ERRORS": "OFF",
                   "S3_ARCH": "native" if native else "",
                   "S3_PYTHON": sys.executable, "S3_PYTHON_TORCH": "OFF" if prefix is None else "ON",
                   "S3_NETWORK_SETS": "" if native else ";".join(sets),
                   "S3_NETWORK_FORMATS": ";".join(os.environ.get("S3_FORMATS", "all").split()),
                   "CMAKE_PREFIX_PATH": prefix or ""}
        subprocess.run(["cmake", "-S", ROOT, "-B", build,
                        *(f"-D{key}={value}" for key, value in options.items())], check=True)
        targets = ["s3_python"] + ["s3_python_torch"] * (prefix is not None)
        jobs = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", str(os.cpu_count()))
        subprocess.run(["cmake", "--build", build, "--parallel", jobs, "--target", *targets],
                       check=True)
        to = (HERE if self.inplace else Path(self.build_lib)) / "s3"
        for module in (build / "python/s3").rglob("*.so"):
            target = to / module.relative_to(build / "python/s3")
            target.parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(str(module), str(target))

    def get_outputs(self):
        return [str(path) for path in Path(self.build_lib).rglob("*.so")]


setup(version=version(), packages=["s3", "s3.onnx", "s3.torch"], cmdclass={"build_ext": Build},
      ext_modules=[Extension("s3._runtime", [])], zip_safe=False)
