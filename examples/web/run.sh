#!/usr/bin/env bash
# Builds the page build/web/index.html from a trained network: open it in a browser. It needs Debian's
# emscripten and the program s3shift, which it builds where none is installed.
#
#   examples/web/run.sh [MODEL]     examples/models/fashion_mnist.safetensors by default
set -euo pipefail
cd "$(dirname "$0")/../.."

case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
    exit 0
    ;;
esac
model=${1:-examples/models/fashion_mnist.safetensors}
packaging/setup.sh emscripten
if ! program=$(command -v s3shift); then
    {
        cmake --preset default
        cmake --build --preset default --parallel "$(nproc)" --target s3_cli
    } >&2
    program=build/default/examples/cli/s3shift
fi
mkdir -p build/web
"$program" export "$model" --out build/web/network.hpp >&2
examples/web/compile.sh build/web/network.hpp build/web/network.wasm
/usr/bin/python3 examples/web/build.py build/web/network.wasm "$model" \
    /usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz build/web/index.html
