#!/usr/bin/env bash
# Measures whole networks beside oneDNN int8 and libtorch fp32, from nothing but Debian 12.
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

packaging/setup.sh libbenchmark-dev libdnnl-dev python3-torch

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

torch=$(/usr/bin/python3 benchmarks/net/libtorch.py)

python3 - "$rows" "$report/networks.json" "$torch" <<'END'
import json
import sys

rows = [json.loads(line) for line in open(sys.argv[1])]
rows = [row for row in rows if "regime" in row]
torch = json.loads(sys.argv[3])
beside_torch = []
for row in rows:
    if row["shape"] == "1x224x224x3" and "ResNet-18" in row["regime"]:
        # images a second, ours measured a moment before
        ours, theirs = 1 / row["seconds"], 1e3 / torch["milliseconds"]
        new = {"unit": "images/s", "value": ours, "baseline": theirs, "target": 3.5}
    elif row["regime"].startswith("network, peak memory"):
        theirs = torch["peak_mib"] * 2**20
        new = {"unit": "bytes", "value": row["value"], "baseline": theirs, "target": 0.5}
    else:
        continue
    new["ratio"] = new["value"] / new["baseline"]
    less = new["unit"] == "bytes"
    new["met"] = new["ratio"] <= new["target"] if less else new["ratio"] >= new["target"]
    regime = row["regime"].split(", vs")[0] + ", vs libtorch fp32 " + torch["torch"]
    beside_torch.append({**row, **new, "regime": regime})
    print(f"{regime}: {new['ratio']:.2f} (target {new['target']})")
with open(sys.argv[2], "w") as file:
    json.dump(rows + beside_torch, file, indent=1)
    file.write("\n")
END
echo "$report/networks.json"
