#!/usr/bin/env bash
# The tests of a build as figures: suite.sh KEY PATTERN runs those of build/default whose names match
# and prints, for each, what trust.py reads. Build them before: `tests/run.sh default` does.
set -uo pipefail
case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
    exit 0
    ;;
esac
cd "$(dirname "$0")/../.."
ctest --test-dir "build/${S3_PRESET:-default}" --tests-regex "$2" --no-tests=error |
    awk -v key="$1" '{ print }
        /Test +#[0-9]+: / { passed = / Passed /; sub(/.*Test +#[0-9]+: /, "")
            print "figure", key, $1, passed, !passed }'
