#!/usr/bin/env bash
# Tries every way of getting the library, each by building a small program outside the tree and
# running it.
#
#   tests/ways.sh [way…]     find_package add_subdirectory fetch_content cpm pkg_config include
#                            single_header debian conan vcpkg pip program; all by default
#
# Writes build/report/ways.json, {"way": {"works", "seconds"}}, where a way that this machine cannot
# try has "tried": false and a reason, and what each printed to build/ways/<way>.log. The exit status
# is the number of ways that failed. Environment variables:
#
#   S3_CPM     CPM.cmake, without which cpm is not tried
#   S3_BUILD   the build tree whose program is installed (default: build/default)
#   S3_NETWORK_SETS, S3_NETWORK_FORMATS   what the networks of the Debian package and the wheel run
#              on: few unless more are named, because all compile for a quarter of an hour each
set -uo pipefail
cd "$(dirname "$0")/.."

all=(find_package add_subdirectory fetch_content cpm pkg_config include single_header debian conan
    vcpkg pip program)
chosen=()
for argument; do
    case $argument in
    -h | --help)
        sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
        exit 0
        ;;
    esac
    if [[ " ${all[*]} " != *" $argument "* ]]; then
        echo "ways.sh: no way is named $argument (see --help)" >&2
        exit 2
    fi
    chosen+=("$argument")
done
[ ${#chosen[@]} -gt 0 ] || chosen=("${all[@]}")

packaging/setup.sh || exit 1
tree=$PWD/build/ways
mkdir -p "$tree" build/report
# What is installed, without anything that takes compiling.
if ! cmake -S . -B "$tree/build" -G Ninja -DS3_BUILD_TESTS=OFF -DS3_BUILD_EXAMPLES=OFF \
    -DS3_BUILD_BENCHMARKS=OFF >"$tree/configure.log" 2>&1; then
    cat "$tree/configure.log" >&2
    exit 1
fi

failures=0
json=
rows=
for i in "${!chosen[@]}"; do
    way=${chosen[$i]}
    [ ! -t 2 ] || printf '\r\033[K%d/%d %s, %d s so far' $((i + 1)) ${#chosen[@]} "$way" $SECONDS >&2
    build=$tree/build
    [ "$way" != program ] || build=$(realpath -m "${S3_BUILD:-build/default}")
    begin=$(date +%s.%N)
    tests/consumer/run.sh "$way" "$PWD" "$build" >"$tree/$way.log" 2>&1
    status=$?
    seconds=$(awk -v a="$begin" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }')
    case $status in
    0) says=works fields="\"works\": true, \"seconds\": $seconds" ;;
    77)
        why=$(tail -n 1 "$tree/$way.log")
        says="not tried: $why"
        fields="\"works\": false, \"tried\": false, \"seconds\": $seconds, \"why\": \"${why//\"/\'}\""
        ;;
    *)
        says="FAILS, see build/ways/$way.log"
        fields="\"works\": false, \"seconds\": $seconds"
        failures=$((failures + 1))
        ;;
    esac
    json+="${json:+,$'\n'}  \"$way\": {$fields}"
    rows+=$(printf '%-17s %8s  %s' "$way" "$seconds" "$says")$'\n'
done
[ ! -t 2 ] || printf '\r\033[K' >&2
printf '%-17s %8s\n%s' way seconds "$rows"
printf '{\n%s\n}\n' "$json" >build/report/ways.json
echo "build/report/ways.json written"
exit $failures
