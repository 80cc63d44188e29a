#!/usr/bin/env bash
# The test of the house: how much it takes to extend the library, and how long its users compile.
#
#   tests/house.sh [--tests] [exercise…]     instruction_set, kernel, layer, format; all by default
#
# Each exercise is a patch, tests/house/<exercise>.patch, that adds one of its kind, and is the
# documentation of how to do that. It is applied to a copy of this tree, built and tested there, and
# counted: at most one new file and two changed lines elsewhere. Then the units tests/house/*.cpp are
# compiled at -O2 for this machine (processor seconds, the least of three), and with --tests the
# whole test suite from nothing (seconds on the clock). Writes build/report/house.json. The exit
# status is the number of exercises that failed or took more than the aim.
set -uo pipefail
cd "$(dirname "$0")/.."

names=(instruction_set kernel layer format)
whole_suite=false
chosen=()
for argument; do
    case $argument in
    -h | --help)
        sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
        exit 0
        ;;
    --tests) whole_suite=true ;;
    instruction_set | kernel | layer | format) chosen+=("$argument") ;;
    *)
        echo "house.sh: no exercise is named $argument (see --help)" >&2
        exit 2
        ;;
    esac
done
[ ${#chosen[@]} -gt 0 ] || chosen=("${names[@]}")

cxx=${CXX:-g++}
root=$PWD
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
report=build/report
mkdir -p "$report"
failures=0
json=

# tests/house/check/<exercise>.cpp uses what the patch adds: exit status 0 if it is right, 2 if this
# machine cannot run it.
build_and_test() { # exercise, folder
    local flags=(-std=c++20 -O1 -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Werror)
    if [ "$1" = instruction_set ]; then
        flags+=(-march=x86-64 -msse4.2 -mpopcnt)
    else
        flags+=(-march=native)
    fi
    local ccache= status=0
    ! command -v ccache >/dev/null || ccache=ccache
    (cd "$2" && $ccache "$cxx" "${flags[@]}" -Iinclude -c "tests/house/check/$1.cpp" -o check.o &&
        "$cxx" check.o -o check) || return 1
    "$2/check" || status=$?
    [ $status -ne 2 ] || echo "house.sh: built, not run: this machine lacks the instructions"
    [ $status -eq 0 ] || [ $status -eq 2 ]
}

exercise() { # name
    local patch=tests/house/$1.patch copy=$temporary/$1 log=$report/house-$1.log
    local added removed path new=0 files=0 lines=0 outcome=passed start=$SECONDS
    if [ ! -f "$patch" ]; then
        echo "  $1: no patch" >&2
        failures=$((failures + 1))
        return
    fi
    while read -r added removed path; do
        if [ -e "$path" ]; then
            files=$((files + 1))
            lines=$((lines + (added > removed ? added : removed)))
        else
            new=$((new + 1))
        fi
    done < <(git apply --numstat "$patch")
    json+="  \"$1\": {\"new_files\": $new, \"changed_files\": $files, \"changed_lines\": $lines},"$'\n'

    mkdir "$copy"
    cp -r include tests "$copy"
    if ! (cd "$copy" && GIT_CEILING_DIRECTORIES=$temporary git apply "$root/$patch") >"$log" 2>&1; then
        outcome='FAILED: the patch does not apply'
    elif ! build_and_test "$1" "$copy" >>"$log" 2>&1; then
        outcome="FAILED: see $log"
        tail -n 20 "$log"
    elif [ $new -gt 1 ] || [ $lines -gt 2 ]; then
        outcome='FAILED: more than one new file and two lines'
    fi
    [ "$outcome" = passed ] || failures=$((failures + 1))
    printf '  %-16s %d new file, %d changed, %d lines: %s (%d s)\n' "$1" $new $files $lines \
        "$outcome" $((SECONDS - start))
    rm -rf "$copy"
}

compile_seconds() { # unit: the least of three
    local best= seconds i
    for i in 1 2 3; do
        seconds=$(TIMEFORMAT=%U; { time CCACHE_DISABLE=1 "$cxx" -std=c++20 -O2 -march=native \
            -Iinclude -c "tests/house/$1.cpp" -o "$temporary/unit.o" 1>&2; } 2>&1 | tail -n 1)
        if [ -z "$best" ] || awk "BEGIN {exit !($seconds < $best)}"; then
            best=$seconds
        fi
    done
    echo "$best"
}

echo "exercises"
for name in "${chosen[@]}"; do
    exercise "$name"
done

echo "seconds to compile, and over xsimd's own"
xsimd=
times=
for unit in xsimd shift matmul conv2d one_family runtime; do
    seconds=$(compile_seconds $unit)
    [ $unit != xsimd ] || xsimd=$seconds
    printf '  %-16s %6.2f %6.2f\n' $unit "$seconds" "$(awk "BEGIN {print $seconds - $xsimd}")"
    times+="\"$unit\": $seconds, "
done

suite=null
if $whole_suite; then
    echo "the whole test suite, from nothing"
    start=$SECONDS
    if cmake -S . -B "$temporary/suite" -G Ninja -DS3_BUILD_BENCHMARKS=OFF -DS3_BUILD_RUNTIME=OFF \
        >"$report/house-tests.log" 2>&1 &&
        CCACHE_DISABLE=1 cmake --build "$temporary/suite" >>"$report/house-tests.log" 2>&1; then
        suite=$((SECONDS - start))
        printf '  %-16s %6d\n' tests $suite
    else
        echo "  FAILED: see $report/house-tests.log"
        failures=$((failures + 1))
    fi
fi

printf '{\n%s  "compile_seconds": {%s"tests": %s}\n}\n' "$json" "$times" $suite >"$report/house.json"
echo "written: $report/house.json"
exit $failures
