#!/usr/bin/env bash
# Measures whole networks beside oneDNN int8, from nothing but Debian 12.
#
#   benchmarks/networks.sh [--quick]      --quick: fewer rounds
#
# ResNets with random 3-bit weights, batch 1, one thread; a table per network on the console, and
# all rows in build/report/networks.json. Let the machine rest meanwhile.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
    exit 0
    ;;
--quick) export S3_BENCHMARK_QUICK=1 ;;
'') ;;
*)
    echo "unknown argument: $1 (try --help)" >&2
    exit 2
    ;;
esac

packaging/setup.sh libbenchmark-dev libdnnl-dev

folder=build/benchmarks/native
report=build/report
mkdir -p "$report" build/benchmarks
rows=$report/networks.jsonl
rm -f "$rows"
cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release -DS3_ARCH=native \
    -DS3_BUILD_TESTS=OFF -DS3_BUILD_EXAMPLES=OFF >"$folder.log" 2>&1 &&
    cmake --build "$folder" --parallel --target bench_net_networks bench_net_memory \
        >>"$folder.log" 2>&1 ||
    {
        cat "$folder.log" >&2
        exit 1
    }

export S3_BENCHMARK_REPORT=$PWD/$rows OMP_NUM_THREADS=1
"$folder/benchmarks/bench_net_memory" 8
"$folder/benchmarks/bench_net_memory" 6
"$folder/benchmarks/bench_net_networks"

python3 - "$rows" "$report/networks.json" <<'END'
import json
import sys

rows = [json.loads(line) for line in open(sys.argv[1])]
with open(sys.argv[2], "w") as file:
    json.dump([row for row in rows if "regime" in row], file, indent=1)
    file.write("\n")
END
echo "$report/networks.json"
