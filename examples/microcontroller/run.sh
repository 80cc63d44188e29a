#!/usr/bin/env bash
# Exports a network, compiles the firmware for this machine and for a Cortex-M3, and runs both, the
# latter in QEMU: outputs must be the same. Prints memory and instructions.
#
#   examples/microcontroller/run.sh [S3SHIFT [MODEL [FOLDER]]]
set -euo pipefail
case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
    exit 0
    ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
program=${1:-$root/build/default/examples/cli/s3shift}
model=${2:-$root/examples/models/fashion_mnist.safetensors}
folder=${3:-$root/build/microcontroller}
mkdir -p "$folder"

"$program" export "$model" --out "$folder/network.hpp"
for target in host cortex_m3; do
    toolchain=()
    [ $target = host ] || toolchain=(-DCMAKE_TOOLCHAIN_FILE="$here/cortex_m3.cmake")
    cmake -S "$here" -B "$folder/$target" "${toolchain[@]}" -DNETWORK="$folder/network.hpp" >/dev/null
    cmake --build "$folder/$target" >/dev/null
done
"$folder/host/firmware" >"$folder/host.txt"
qemu-system-arm -M mps2-an385 -display none -semihosting -icount shift=0 \
    -kernel "$folder/cortex_m3/firmware" >"$folder/cortex_m3.txt" 2>&1
cat "$folder/cortex_m3.txt"
arm-none-eabi-size "$folder/cortex_m3/firmware"
grep -v '^instructions\|^of its largest' "$folder/cortex_m3.txt" | diff "$folder/host.txt" - ||
    {
        echo "The host computes other outputs" >&2
        exit 1
    }
