#!/usr/bin/env bash
# Threads, as figures for trust.py: one hash for any number of workers, and no report of the thread
# sanitizer. Builds in build/threads what uses threads of its own; OpenMP and oneTBB, whose libraries are
# not instrumented, are left out.
set -uo pipefail
cd "$(dirname "$0")/../.."
case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
    exit 0
    ;;
esac

tests=(net/threads exec/executor ops/matmul kernel/tiles)
targets=("${tests[@]/#/test_}")
pattern=$(IFS='|' && echo "^(${tests[*]})$")
check() { # part, folder
    local passed=0
    cmake --build "$2" --parallel "$(nproc)" --target "${targets[@]//\//_}" &&
        ctest --test-dir "$2" --output-on-failure --no-tests=error --timeout 3600 --tests-regex "$pattern" &&
        passed=1
    echo "figure threads $1 $passed $((1 - passed))"
    failures=$((failures + 1 - passed))
}

failures=0
cmake --preset default >/dev/null && check hash build/default
cmake --preset default -B build/threads -DS3_SANITIZE=thread -DCMAKE_BUILD_TYPE=Debug \
    -DCMAKE_CXX_FLAGS_DEBUG='-O1 -g' -DS3_BUILD_BENCHMARKS=OFF -DS3_BUILD_EXAMPLES=OFF \
    -DCMAKE_DISABLE_FIND_PACKAGE_Torch=ON >/dev/null && check tsan build/threads
exit $((failures > 0))
