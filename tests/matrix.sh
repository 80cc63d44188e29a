#!/usr/bin/env bash
# Every supported build, one after the other, with a table at the end. Long; run by hand.
#
#   tests/matrix.sh [pattern]                        e.g. tests/matrix.sh 'clang-*'
#   S3_XSIMD=folder tests/matrix.sh '*-native'       with the xsimd whose headers are in folder/xsimd/
#
# Builds g++ 12 and clang 14 for each instruction set of x86, without exceptions, as C++23, with
# -ffast-math, and under the sanitizers; where this machine lacks an instruction set, its tests are
# built, not run. For this machine alone clang 16 and clang 19, the latter with libc++ and with
# -ffast-math, too. Under QEMU aarch64 for each of its sets, riscv64, and s390x, which is big-endian;
# WebAssembly under node.
# A build for one instruction set, compiler or machine leaves out examples and benchmarks, which the
# native ones have. One that has passed is not repeated until the sources differ, so that the script
# may be stopped; to repeat it, remove build/matrix/<name>.passed.
# Logs: build/matrix/<name>.log. Lines that begin with "figure" are for trust/trust.py. The exit
# status is the number of builds that failed.
set -uo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
    exit 0
    ;;
esac
pattern=${1:-*}

packaging/setup.sh clang-14 clang-16 clang-19 libc++-19-dev libc++abi-19-dev libbenchmark-dev libdnnl-dev libopenblas-dev \
    g++-aarch64-linux-gnu g++-riscv64-linux-gnu g++-s390x-linux-gnu qemu-user-static \
    emscripten nodejs || exit 1

# Rows of the table of instruction sets, as "name family runs-here".
sets=$(
    folder=$(mktemp -d) && trap 'rm -r "$folder"' EXIT
    cat >"$folder/sets.cpp" <<'END'
#include <s3/simd/isa.hpp>
#include <cstdio>
int main() {
#define SET(name, family, ...) std::printf("%s %s %d\n", #name, #family, s3::supports(s3::isa::name));
    S3_INSTRUCTION_SETS(SET)
}
END
    g++ -std=c++20 -Iinclude "$folder/sets.cpp" -o "$folder/sets" && "$folder/sets"
) || exit 1

# name | instruction set that running needs | arguments for cmake
without_torch=-DCMAKE_DISABLE_FIND_PACKAGE_Torch=ON
x86_builds() {
    local compiler=$1 cxx=-DCMAKE_CXX_COMPILER=$2 set
    echo "$compiler-native||--preset default $cxx"
    echo "$compiler-portable||--preset portable $cxx $without_torch $libraries_alone"
    for set in $(awk '$2 == "x86" { print $1 }' <<<"$sets"); do
        echo "$compiler-$set|$set|--preset default -DS3_ARCH=$set $cxx $without_torch $libraries_alone"
    done
    echo "$compiler-noexcept||--preset noexcept $cxx"
    echo "$compiler-cxx23||--preset default -DCMAKE_CXX_STANDARD=23 $cxx $without_torch $libraries_alone"
    echo "$compiler-fast_math||--preset default -DCMAKE_CXX_FLAGS=-ffast-math $cxx $without_torch $libraries_alone"
    echo "$compiler-sanitize||--preset sanitize $cxx $without_torch"
}
without_threads="-DCMAKE_DISABLE_FIND_PACKAGE_OpenMP=ON -DCMAKE_DISABLE_FIND_PACKAGE_TBB=ON"
libraries_alone="-DS3_BUILD_BENCHMARKS=OFF -DS3_BUILD_EXAMPLES=OFF"
newer_clang() { # name, compiler, further arguments for cmake
    echo "$1||--preset default -DCMAKE_CXX_COMPILER=$2 $without_torch $libraries_alone ${3:-}"
}
# Unsigned numbers wrap on purpose everywhere: kernels compute modulo 2^32, hashes modulo 2^64.
conversions=implicit-conversion,signed-integer-overflow,shift,integer-divide-by-zero
emulated() { # name, processor, further arguments for cmake
    echo "$1||--preset portable -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=$2 \
-DCMAKE_CXX_COMPILER=$2-linux-gnu-g++ -DCMAKE_EXE_LINKER_FLAGS=-static \
-DCMAKE_CROSSCOMPILING_EMULATOR=/usr/bin/qemu-$2-static $without_torch $without_threads \
$libraries_alone ${3:-}"
}
builds=$(
    x86_builds gcc g++-12
    x86_builds clang clang++-14
    newer_clang clang16-native clang++-16
    newer_clang clang19-native clang++-19
    newer_clang clang19-cxx23 clang++-19 -DCMAKE_CXX_STANDARD=23
    newer_clang clang19-fast_math clang++-19 -DCMAKE_CXX_FLAGS=-ffast-math
    newer_clang clang19-libcxx clang++-19 "-DCMAKE_CXX_FLAGS=-stdlib=libc++ $without_threads"
    newer_clang clang-conversions clang++-14 "-DS3_SANITIZE=$conversions \
-DCMAKE_CXX_FLAGS=-fsanitize-ignorelist=$PWD/tests/trust/sanitizers.ignore"
    for set in neon neon_dot neon_i8mm; do
        emulated "gcc-aarch64-$set" aarch64 "-DS3_ARCH=$set"
    done
    emulated gcc-riscv64 riscv64
    emulated gcc-s390x s390x
    echo "wasm||--preset portable -DCMAKE_TOOLCHAIN_FILE=$PWD/tests/wasm.cmake $libraries_alone"
)

run_build() { # name, needed instruction set, arguments for cmake…
    local folder=build/matrix/$1 set=$2
    shift 2
    cmake -S . -B "$folder" ${S3_XSIMD:+-DS3_XSIMD_INCLUDE_DIR="$S3_XSIMD" -DCMAKE_DISABLE_FIND_PACKAGE_xsimd=ON} \
        "$@" || return 1
    cmake --build "$folder" --parallel "$(nproc)" || return 1
    if [ -n "$set" ] && ! grep -q "^$set .* 1$" <<<"$sets"; then
        echo "s3: built, not run: this machine has no $set"
        return 0
    fi
    ctest --test-dir "$folder" --parallel "$(nproc)" --output-on-failure
}

# What trust/trust.py reads: a build that passed, and whose test of the golden hash did.
figures() { # name, outcome, log
    local passed=1 key=matrix
    case $2 in
    'only built') return ;;
    FAILED) passed=0 ;;
    esac
    [[ $1 != *-sanitize && $1 != *-conversions ]] || key=sanitizers
    echo "figure $key $1 $passed $((1 - passed))"
    [[ ! $1 =~ -(noexcept|cxx23|fast_math|libcxx)$ ]] || echo "figure strict $1 $passed $((1 - passed))"
    if grep -Eq ' ops/golden \.+ +Passed' "$3"; then
        echo "figure golden $1 1 0"
    elif grep -Eq ' ops/golden \.+' "$3"; then
        echo "figure golden $1 0 1"
    fi
}

# What a build depends on, the instruction sets of this machine among it; empty where files differ
# from the last commit. Results of training are no part of it.
sources=
parts=(CMakeLists.txt CMakePresets.json include tests packaging examples benchmarks
    ':!examples/claims/README.md' ':!examples/claims/results')
if [ -z "$(git status --porcelain -- "${parts[@]}" 2>/dev/null)" ]; then
    sources=$({ git ls-files --stage -- "${parts[@]}" && echo "$sets ${S3_XSIMD:-}"; } | sha1sum)
fi

mkdir -p build/matrix
table=
failures=0
while IFS='|' read -r name set arguments; do
    # shellcheck disable=SC2053
    [[ $name == $pattern ]] || continue
    echo "== $name"
    log=build/matrix/$name.log
    start=$SECONDS
    passed=build/matrix/$name.passed
    # shellcheck disable=SC2086
    if [ -n "$sources" ] && [ "$(cat "$passed" 2>/dev/null)" = "$sources" ]; then
        outcome='passed before'
    elif rm -f "$passed" && run_build "$name" "$set" $arguments >"$log" 2>&1 </dev/null; then
        echo "$sources" >"$passed"
        outcome=passed
    else
        outcome=FAILED
        failures=$((failures + 1))
        tail -n 30 "$log"
    fi
    if [[ $outcome == passed* ]] && grep -q '^s3: built, not run' "$log"; then
        outcome='only built'
    fi
    figures "$name" "$outcome" "$log"
    tests=$(sed -n 's/.*tests passed, .* out of \([0-9]*\).*/\1/p' "$log")
    table+=$(printf '%-18s %-13s %5s tests %5d s' "$name" "$outcome" "${tests:--}" \
        $((SECONDS - start)))$'\n'
done <<<"$builds"

if [ -z "$table" ]; then
    echo "no build is named $pattern" >&2
    exit 2
fi
printf '\n%s' "$table"
exit "$failures"
