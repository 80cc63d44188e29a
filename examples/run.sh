#!/usr/bin/env bash
# Builds and runs the main example, from nothing but Debian 12: trains a 3-bit shift network on
# Fashion-MNIST, packs it, runs it in exact integers, and reports.
#
#   examples/run.sh [--quick] [arguments for fashion_mnist]
#
# --quick takes less than a minute, and --help-all, once it is built, lists the program's own options.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
    exit 0
    ;;
--help-all) set -- --help ;;
esac

packaging/setup.sh

{
    cmake --preset default
    cmake --build --preset default --parallel "$(nproc)" --target fashion_mnist
} >&2
exec build/default/examples/fashion_mnist/fashion_mnist "$@"
