#!/usr/bin/env bash
# Every supported build, one after the other, with a table at the end. Long; run by hand.
#
#   tests/matrix.sh [pattern]                        e.g. tests/matrix.sh 'clang-*'
#
# Builds g++ 12 and clang 14 for each x86 level, without exceptions, and under the sanitizers, and
# aarch64 under QEMU. Where this machine lacks an instruction set, its tests are built, not run.
# Logs: build/matrix/<name>.log. The exit status is the number of builds that failed.
set -uo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
    exit 0
    ;;
esac
pattern=${1:-*}

packaging/setup.sh clang-14 libbenchmark-dev libdnnl-dev libopenblas-dev \
    g++-aarch64-linux-gnu qemu-user-static || exit 1

# name | CPU flag that running needs | arguments for cmake
without_torch=-DCMAKE_DISABLE_FIND_PACKAGE_Torch=ON
x86_builds() {
    local compiler=$1 cxx=-DCMAKE_CXX_COMPILER=$2
    echo "$compiler-native||--preset default $cxx"
    echo "$compiler-portable||--preset portable $cxx $without_torch"
    echo "$compiler-sse4|sse4_2|--preset sse4 $cxx $without_torch"
    echo "$compiler-avx2|avx2|--preset avx2 $cxx $without_torch"
    echo "$compiler-avx512|avx512bw|--preset avx512 $cxx $without_torch"
    echo "$compiler-vnni|avx512_vnni|--preset vnni $cxx $without_torch"
    echo "$compiler-noexcept||--preset noexcept $cxx"
    echo "$compiler-sanitize||--preset sanitize $cxx $without_torch"
}
builds=$(
    x86_builds gcc g++-12
    x86_builds clang clang++-14
    echo "gcc-aarch64||--preset portable -DCMAKE_SYSTEM_NAME=Linux \
-DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
-DCMAKE_EXE_LINKER_FLAGS=-static -DCMAKE_CROSSCOMPILING_EMULATOR=/usr/bin/qemu-aarch64-static \
$without_torch"
)

run_build() { # name, needed CPU flag, arguments for cmake…
    local folder=build/matrix/$1 flag=$2
    shift 2
    cmake -S . -B "$folder" "$@" || return 1
    cmake --build "$folder" --parallel "$(nproc)" || return 1
    if [ -n "$flag" ] && ! grep -qw "$flag" /proc/cpuinfo; then
        echo "s3: built, not run: this machine has no $flag"
        return 0
    fi
    ctest --test-dir "$folder" --parallel "$(nproc)" --output-on-failure
}

mkdir -p build/matrix
table=
failures=0
while IFS='|' read -r name flag arguments; do
    # shellcheck disable=SC2053
    [[ $name == $pattern ]] || continue
    echo "== $name"
    log=build/matrix/$name.log
    start=$SECONDS
    # shellcheck disable=SC2086
    if run_build "$name" "$flag" $arguments >"$log" 2>&1 </dev/null; then
        outcome=passed
        ! grep -q '^s3: built, not run' "$log" || outcome='only built'
    else
        outcome=FAILED
        failures=$((failures + 1))
        tail -n 30 "$log"
    fi
    tests=$(sed -n 's/.*tests passed, .* out of \([0-9]*\).*/\1/p' "$log")
    table+=$(printf '%-18s %-11s %5s tests %5d s' "$name" "$outcome" "${tests:--}" \
        $((SECONDS - start)))$'\n'
done <<<"$builds"

if [ -z "$table" ]; then
    echo "no build is named $pattern" >&2
    exit 2
fi
printf '\n%s' "$table"
exit "$failures"
