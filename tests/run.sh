#!/usr/bin/env bash
# Builds the library's tests and runs them, from nothing but Debian 12.
#
#   tests/run.sh [preset] [arguments for ctest]      e.g. tests/run.sh sanitize -R pack
#
# The preset (see CMakePresets.json) may also come in S3_PRESET.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${S3_PRESET:-default}
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

compiler=()
[ "$preset" != clang ] || compiler=(clang-14)
packaging/setup.sh "${compiler[@]}"

cmake --preset "$preset" -DS3_BUILD_BENCHMARKS=OFF
cmake --build --preset "$preset" --parallel "$(nproc)"
ctest --preset "$preset" --parallel "$(nproc)" "$@"
