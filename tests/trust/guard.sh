#!/usr/bin/env bash
# All products of 0 to 65 rows, depths and batches, by every kernel of build/default, between guard pages:
# prints what trust.py reads. Build the tests before: `tests/run.sh default` does.
set -uo pipefail
cd "$(dirname "$0")/../.."
case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
    exit 0
    ;;
esac
S3_TEST_CUBE=1 S3_TEST_FIGURE='guard cube' ctest --test-dir build/default --parallel "$(nproc)" --timeout 14400 \
    --no-tests=error --verbose --tests-regex '^kernel/.*_(integers|floats)$' |
    awk '{ print } /figure guard cube/ { n += $(NF - 1); m += $NF } /\*\*\*(Failed|Exception|Timeout)/ { ++m }
        END { print "figure guard cube", n + 0, m + 0; exit m > 0 }'
