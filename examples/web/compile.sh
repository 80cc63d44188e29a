#!/usr/bin/env bash
# Compiles an exported network and main.cpp to WebAssembly, by emscripten.
#
#   examples/web/compile.sh NETWORK.hpp OUT.wasm
set -euo pipefail
case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
    exit 0
    ;;
esac
here=$(cd "$(dirname "$0")" && pwd)

# Beyond -O1 the linker's optimizer wants a node module that Debian does not have.
em++ -std=c++20 -O3 -msimd128 -fno-exceptions -fno-rtti -I "$here/../../include" -I "$(dirname "$1")" \
    -c "$here/main.cpp" -o "$2.o"
em++ -O1 -sSTANDALONE_WASM --no-entry "$2.o" -o "$2"
rm "$2.o"
