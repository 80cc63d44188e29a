#!/usr/bin/env bash
# Builds the library's tests and runs them, from nothing but Debian 12.
#
#   tests/run.sh [--full] [preset] [arguments for ctest]      e.g. tests/run.sh sanitize -R pack
#
# The preset (see CMakePresets.json) may also come in S3_PRESET. By default it is `brief`, the library
# alone; `default` adds more formats and files, the examples, and what uses libtorch or NumPy. --full adds
# to the latter what takes long: all formats on all architectures of the build, each header alone, the
# paper's claims, the Python module, and the exercises of house.sh. Without arguments for ctest it ends
# with trust/trust.py, which measures every promise for hours and writes build/report/trust.html; its
# parts can be run alone, by name.
set -euo pipefail
cd "$(dirname "$0")/.."

full=OFF
preset=brief
if [ "${1:-}" = --full ]; then
    full=ON
    preset=default
    shift
fi
preset=${S3_PRESET:-$preset}
case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
    exit 0
    ;;
'' | -*) ;;
*)
    preset=$1
    shift
    ;;
esac

brief=()
[ "$preset" != brief ] || brief=(--brief)
compiler=()
[ "$preset" != clang ] || compiler=(clang-14)
statistics=()
[ $full = OFF ] || statistics=(python3-scipy python3-matplotlib) # for the test of examples/claims
packaging/setup.sh "${brief[@]}" "${compiler[@]}" "${statistics[@]}"

cmake --preset "$preset" -DS3_BUILD_BENCHMARKS=OFF -DS3_TEST_FULL=$full
cmake --build --preset "$preset" --parallel "$(nproc)"
ctest --preset "$preset" --parallel "$(nproc)" "$@"
if [ $full = ON ] && [ $# -eq 0 ]; then
    S3_PRESET=$preset tests/trust/trust.py
fi
