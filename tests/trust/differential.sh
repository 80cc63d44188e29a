#!/usr/bin/env bash
# Random cases of every product and convolution kernel, the emulated matrix unit's among them, and of
# linear layers, against their definition, until there are enough; prints what trust.py reads.
#
#   tests/trust/differential.sh [part [cases]]
#
# The part native is the build of `tests/run.sh default` (build/default), of which 10 million cases are wanted;
# aarch64, riscv64 and s390x are those of tests/matrix.sh, a million each. By default all that are
# built. A mismatch prints the settings that repeat its case (tests/support/cases.hpp).
set -uo pipefail
cd "$(dirname "$0")/../.."
case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
    exit 0
    ;;
esac
log=$(mktemp)
trap 'rm -f "$log"' EXIT

run_part() { # name, folder of the build, cases
    local cases=0 mismatches=0 seed more wrong status
    for ((seed = 1; cases < $3 && mismatches == 0; ++seed)); do
        S3_TEST_SEED=$((seed * 1000)) S3_TEST_ROUNDS=40 S3_TEST_FIGURE="differential $1" ctest --test-dir "$2" \
            --parallel "$(nproc)" --timeout 3600 --no-tests=error --verbose --tests-regex \
            '^(kernel/(.*_(integers|floats)|tiles)|ops/conv2d_(foreign|formats|shift3)|ops/linear)$' >"$log"
        status=$?
        read -r more wrong < <(
            awk '/figure differential/ { n += $(NF - 1); m += $NF } END { print n + 0, m + 0 }' "$log"
        )
        if [ $status -ne 0 ] && [ "$wrong" -eq 0 ]; then # a crash is a mismatch, too
            wrong=1
        fi
        cases=$((cases + more)) mismatches=$((mismatches + wrong))
        [ "$wrong" -eq 0 ] || cat "$log"
        echo "$1, seed $seed: $cases of $3 cases, $mismatches mismatches, $SECONDS s"
    done
    echo "figure differential $1 $cases $mismatches"
    failures=$((failures + mismatches))
}

failures=0
for entry in native=build/default aarch64=build/matrix/gcc-aarch64-neon_i8mm \
    riscv64=build/matrix/gcc-riscv64 s390x=build/matrix/gcc-s390x; do
    part=${entry%%=*} folder=${entry#*=}
    [ "${1:-$part}" = "$part" ] || continue
    if [ -e "$folder/CTestTestfile.cmake" ]; then
        run_part "$part" "$folder" "${2:-$([ "$part" = native ] && echo 10000000 || echo 1000000)}"
    else
        echo "differential.sh: $part is not built ($folder)" >&2
    fi
done
exit $((failures > 0))
