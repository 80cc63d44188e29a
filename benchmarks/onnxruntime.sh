#!/usr/bin/env bash
# Measures ONNX Runtime's 4-bit and 2-bit matrix products (MatMulNBits, int8 arithmetic) on one core,
# in shapes that run.sh measures, and puts them into the report:
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

folder=build/onnxruntime
mkdir -p "$folder" build/report
# The package's install script only fetches kernels for other processors.
[ -d "$folder/node_modules/onnxruntime-node" ] ||
    npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund onnxruntime-node@1.30.0
NODE_PATH=$folder/node_modules node benchmarks/onnxruntime.cjs >build/report/onnxruntime.json
[ ! -f build/report/rows.jsonl ] || python3 benchmarks/report.py build/report
