#!/usr/bin/env bash
# Runs the claims experiment: hours; stop it whenever you like, the next call goes on from there.
# Writes claims.json, claims.html and plots to build/report.
#
#   examples/claims/run.sh [arguments for claims.py]    e.g. --plan, --task small, --minutes 60, --help
#
# Runs that are committed (examples/claims/results/runs) are taken up rather than repeated.
# training_cost (cmake --build --preset default --target training_cost) measures what a step costs.
set -euo pipefail
cd "$(dirname "$0")/../.."

case ${1:-} in
-h | --help)
    exec python3 examples/claims/claims.py --help
    ;;
esac
packaging/setup.sh python3-scipy python3-matplotlib
{
    cmake --preset default
    cmake --build --preset default --parallel "$(nproc)" --target s3_python_torch
} >&2
mkdir -p build/claims
cp --no-clobber --recursive examples/claims/results/runs/. build/claims 2>/dev/null || true
export PYTHONPATH=build/default/python PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 examples/claims/claims.py "$@"
