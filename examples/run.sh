#!/usr/bin/env bash
# Builds and runs the main example, from nothing but Debian 12: trains a 3-bit shift network on
# Fashion-MNIST, packs it, runs it in exact integers, and reports.
#
#   examples/run.sh [arguments for fashion_mnist]    e.g. examples/run.sh --quick, or --help
set -euo pipefail
cd "$(dirname "$0")/.."

packaging/setup.sh

{
    cmake --preset default
    cmake --build --preset default --parallel "$(nproc)" --target fashion_mnist
} >&2
exec build/default/examples/fashion_mnist/fashion_mnist "$@"
