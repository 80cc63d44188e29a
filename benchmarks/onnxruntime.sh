#!/usr/bin/env bash
# Measures ONNX Runtime's 4-bit and 2-bit matrix products (MatMulNBits, int8 arithmetic, floats in and
# out, a scale for every 128 weights) on one core, each time right before our kernel for the same
# shape, and puts the pairs into the report. Ours are products of integers, and linear layers of
# floats with a scale for every 128 weights:
#
#   benchmarks/onnxruntime.sh && benchmarks/run.sh
#
# Needs node 16 or newer with npm, and installs the package onnxruntime-node in build/onnxruntime.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
    exit 0
    ;;
esac

command -v npm >/dev/null || packaging/setup.sh nodejs npm
packaging/setup.sh libbenchmark-dev libdnnl-dev libopenblas-dev python3-matplotlib

modules=build/onnxruntime
report=build/report
folder=build/benchmarks/native
mkdir -p "$modules" "$report" "$folder"
# The package's install script only fetches kernels for other processors.
[ -d "$modules/node_modules/onnxruntime-node" ] ||
    npm install --prefix "$modules" --ignore-scripts --no-audit --no-fund onnxruntime-node@1.30.0
cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release -DS3_ARCH=native \
    -DS3_BUILD_TESTS=OFF -DS3_BUILD_EXAMPLES=OFF >/dev/null
cmake --build "$folder" --parallel "$(nproc)" --target bench_ops_matmul bench_ops_linear

export NODE_PATH=$modules/node_modules OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
export S3_BENCHMARK_QUICK=1 S3_BENCHMARK_REPORT=$PWD/$report/onnxruntime.jsonl
rm -f "$S3_BENCHMARK_REPORT"

# beside <bits> <M>x<K>x<N> <cold or warm> <benchmark> <operands/kernels> <target>
beside() {
    local bits=$1 shape=$2 where=$3 benchmark=$4 operands=$5 target=$6 m k n
    IFS=x read -r m k n <<<"$shape"
    node benchmarks/onnxruntime.cjs "$bits" "$m" "$k" "$n" "$where" "$target" |
        tee -a "$S3_BENCHMARK_REPORT"
    "$folder/benchmarks/bench_ops_$benchmark" 2>/dev/null \
        --benchmark_filter="^$benchmark/$where/$operands/$shape/" | grep manual_time |
        sed 's/.*\(GMAC.s=[^ ]*\).*/    ours: \1/'
}

for m in 4096 14336; do
    beside 4 "${m}x4096x1" cold matmul shift3·int8/automatic 1.9
    beside 2 "${m}x4096x1" cold matmul shift2·int8/automatic 1
    beside 4 "${m}x4096x1" cold linear shift3·fp32/g128 1.9
    beside 4 "${m}x4096x1" cold linear shift4·fp32/g128 1
    beside 2 "${m}x4096x1" cold linear shift2·fp32/g128 1
done
for m in 512 1024 2048 4096; do
    beside 4 "${m}x${m}x512" warm matmul shift3·int8/dot 2.1
done
beside 4 4096x4096x512 warm linear shift3·fp32/g128 2.2
[ ! -f "$report/rows.jsonl" ] || /usr/bin/python3 benchmarks/report.py "$report"
