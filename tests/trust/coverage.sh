#!/usr/bin/env bash
# How much of include/ the suite runs, in lines and branches, as figures for trust.py. Builds the tests in
# build/coverage, counting (-O0, so that a branch in the source is one in the program), and leaves the
# page build/report/coverage/index.html. Takes some hours; arguments are for ctest, e.g. -R '^pack/'.
#
# Branches that only an exception takes do not count, nor does code that compile-time evaluation alone runs.
set -uo pipefail
cd "$(dirname "$0")/../.."
case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
    exit 0
    ;;
esac

packaging/setup.sh gcovr || exit 1
folder=build/coverage
cmake --preset default -B $folder -DCMAKE_BUILD_TYPE=Debug -DS3_BUILD_BENCHMARKS=OFF -DS3_QUICK_OPTIMIZATION=-O0 \
    -DCMAKE_CXX_FLAGS_DEBUG='-O0 -g1 --coverage -fprofile-abs-path' >/dev/null &&
    cmake --build $folder --parallel "$(nproc)" || exit 1
find $folder -name '*.gcda' -delete
ctest --test-dir $folder --parallel "$(nproc)" --timeout 7200 "$@" # a failure shows in the other figures
mkdir -p build/report/coverage
gcovr --root . --filter include/ --exclude-throw-branches --exclude-unreachable-branches --gcov-ignore-parse-errors \
    --html-details build/report/coverage/index.html --json-summary build/report/coverage/summary.json $folder ||
    exit 1
python3 - <<'END'
import json

summary = json.load(open("build/report/coverage/summary.json"))
for part, key in (("lines", "line_percent"), ("branches", "branch_percent")):
    print(f"figure coverage {part} {summary[key]:.1f} 0")
END
