#!/usr/bin/env bash
# Measures the kernels beside the machine's limits and other libraries, from nothing but Debian 12.
#
#   benchmarks/run.sh [--quick] [--save machine]
#
#   --quick           fewer rounds, less than 5 minutes
#   --save machine    copies rows and plot to benchmarks/results/<machine>, which the README shows
#
# Builds for this machine and, for the rows that say so, for AVX2 and AVX-VNNI alone; weights as
# constants with clang++-14, where it is installed. Writes
#
#   build/report/kernels.json    one row per kernel, shape and rival
#   build/report/kernels.html    the same as a page, with a roofline plot
#   build/report/roofline.svg    the plot
#
# Let the machine rest meanwhile: rounds that were disturbed are dropped, and marked if none is left.
# ONNX Runtime is measured apart, by benchmarks/onnxruntime.sh; its figures join the report if that
# ran before.
set -euo pipefail
cd "$(dirname "$0")/.."

save=
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
        exit 0
        ;;
    --quick) export S3_BENCHMARK_QUICK=1 ;;
    --save)
        save=${2:?--save needs the name of a machine}
        shift
        ;;
    *)
        echo "unknown argument: $1 (try --help)" >&2
        exit 2
        ;;
    esac
    shift
done

packaging/setup.sh libbenchmark-dev libdnnl-dev libopenblas-dev python3-matplotlib

report=build/report
rows=$report/rows.jsonl
mkdir -p "$report"
rm -f "$rows"
processors=$(nproc)
export S3_BENCHMARK_REPORT=$PWD/$rows

has() { grep -qw "$1" /proc/cpuinfo; }

# build <folder> <architecture> <file>…: configures and builds the benchmarks of these files.
build() {
    local folder=build/benchmarks/$1 architecture=$2 targets=() file
    shift 2
    for file; do
        targets+=("$(target "$file")")
    done
    echo "Building in $folder, for $architecture"
    cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release -DS3_ARCH="$architecture" \
        -DS3_BUILD_TESTS=OFF -DS3_BUILD_EXAMPLES=OFF >"$folder.log" 2>&1 &&
        cmake --build "$folder" --parallel "$processors" --target "${targets[@]}" >>"$folder.log" 2>&1 ||
        {
            cat "$folder.log" >&2
            exit 1
        }
}

# measure <folder> <file>…: runs them, one line per benchmark.
measure() {
    local folder=$1 file
    shift
    for file; do
        local binary
        binary=build/benchmarks/$folder/benchmarks/$(target "$file")
        local total
        total=$("$binary" --benchmark_list_tests 2>/dev/null | wc -l)
        echo "$file ($folder), $total benchmarks"
        "$binary" 2>"$binary.log" | awk -v total="$total" '
            /manual_time/ {
                name = result = $0
                sub(/\/iterations:.*/, "", name)
                sub(/.*\/manual_time/, "", result)
                sub(/.*of peak=[^ ]* /, "", result)
                printf "  [%d/%d] %s: %s\n", ++n, total, name, result
            }' || {
            cat "$binary.log" >&2
            exit 1
        }
    done
}

target() {
    local name=${1#benchmarks/}
    name=${name%.cpp}
    echo "bench_${name//\//_}"
}

mkdir -p build/benchmarks
native=() constant=()
for file in benchmarks/ops/*.cpp benchmarks/exec/*.cpp; do
    if [[ $file == */constant.cpp ]] && command -v clang++-14 >/dev/null; then
        constant+=("$file")
    else
        native+=("$file")
    fi
done
avx2=(benchmarks/ops/matmul.cpp)
[ -n "${S3_BENCHMARK_QUICK:-}" ] || avx2+=(benchmarks/ops/dispatch.cpp)
has avx2 && has fma || avx2=()
vnni=(benchmarks/ops/matmul.cpp)
has avx_vnni || vnni=()

build native native "${native[@]}"
[ ${#avx2[@]} -eq 0 ] || build avx2 haswell "${avx2[@]}"
[ ${#vnni[@]} -eq 0 ] || build vnni avx_vnni "${vnni[@]}"
[ ${#constant[@]} -eq 0 ] || CXX=clang++-14 build clang native "${constant[@]}"

export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# By itself OpenBLAS takes its AVX2 kernels on some AVX-512 machines.
if has avx512vl; then export OPENBLAS_CORETYPE=SkylakeX; fi
measure native "${native[@]}"
[ ${#constant[@]} -eq 0 ] || measure clang "${constant[@]}"
export OPENBLAS_CORETYPE=Haswell
[ ${#avx2[@]} -eq 0 ] || measure avx2 "${avx2[@]}"
[ ${#vnni[@]} -eq 0 ] || measure vnni "${vnni[@]}"

/usr/bin/python3 benchmarks/report.py "$report"
if [ -n "$save" ]; then
    mkdir -p "benchmarks/results/$save"
    cp "$report/kernels.json" "$report/roofline.svg" "benchmarks/results/$save"
fi
