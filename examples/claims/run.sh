#!/usr/bin/env bash
# Builds and runs the claims experiment: hours on two processors; stop it whenever you like, the
# next call goes on from there. Writes claims.json, claims.svg, claims.html and
# training_cost.json to build/report.
#
#   examples/claims/run.sh [arguments for claims]    e.g. --plan, --quick, --help
set -euo pipefail
cd "$(dirname "$0")/../.."

packaging/setup.sh
{
    cmake --preset default
    cmake --build --preset default --parallel "$(nproc)" --target claims training_cost
} >&2
if [ $# -eq 0 ]; then # costs first: minutes, on a machine that does nothing else
    build/default/examples/claims/training_cost
fi
exec build/default/examples/claims/claims "$@"
