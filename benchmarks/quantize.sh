#!/usr/bin/env bash
# How well weights are rounded to the formats, and how fast, from nothing but Debian 12.
#
#   benchmarks/quantize.sh [--speed] [--save] [NAME=FILE:COLUMNS]…
#
#   --speed    weights a second instead: let the machine rest meanwhile
#   --save     copies table and plot to benchmarks/results/quantize, which the README shows
#
# Beside Gaussian and heavy-tailed weights, a perceptron is trained on Fashion-MNIST for a minute;
# files of float32, of rows of COLUMNS, are measured as well. Writes build/report/quantize.json, all
# rows, quantize.md, the table, and quantize.svg, the plot.
set -euo pipefail
cd "$(dirname "$0")/.."

speed='' save='' files=()
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
        exit 0
        ;;
    --speed) speed=yes ;;
    --save) save=yes ;;
    *=*:*) files+=("$1") ;;
    *)
        echo "unknown argument: $1 (try --help)" >&2
        exit 2
        ;;
    esac
    shift
done

packaging/setup.sh libbenchmark-dev python3-matplotlib python3-torch dataset-fashion-mnist
folder=build/benchmarks/native report=build/report
target=bench_pack_quality
[ -z "$speed" ] || target=bench_pack_quantize
mkdir -p "$report" build/benchmarks
cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release -DS3_ARCH=native \
    -DS3_BUILD_TESTS=OFF -DS3_BUILD_EXAMPLES=OFF >"$folder.log" 2>&1 &&
    cmake --build "$folder" --parallel --target "$target" >>"$folder.log" 2>&1 ||
    {
        cat "$folder.log" >&2
        exit 1
    }
if [ -n "$speed" ]; then
    exec "$folder/benchmarks/$target"
fi

[ -f "$report/trained.f32" ] || /usr/bin/python3 benchmarks/pack/trained.py "$report/trained.f32"
"$folder/benchmarks/$target" "trained=$report/trained.f32:512" "${files[@]}" >"$report/quantize.jsonl"
/usr/bin/python3 benchmarks/pack/quality.py "$report"
if [ -n "$save" ]; then
    mkdir -p benchmarks/results/quantize
    cp "$report"/quantize.{json,svg} benchmarks/results/quantize
fi
