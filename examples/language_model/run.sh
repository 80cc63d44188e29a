#!/usr/bin/env bash
# Trains a small language model in fp32, ternary and 3 bits, packs it, and generates text from the
# packed file: minutes on two cores.
#
#   examples/language_model/run.sh [--quick] [arguments for train_language_model]
#   examples/language_model/run.sh --shape 2B [arguments for language_model]
#
# --quick takes less than a minute. --shape trains nothing: it measures tokens a second of random
# weights of a large model. --help-all lists the programs' own options once they are built.
set -euo pipefail
cd "$(dirname "$0")/../.."
case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
    exit 0
    ;;
esac
build() {
    {
        cmake --preset default
        cmake --build --preset default --parallel "$(nproc)" --target "$@"
    } >&2
}
programs=build/default/examples/language_model

if [ "${1:-}" = --shape ]; then
    packaging/setup.sh
    build language_model
    # Weights in large pages are read a fifth faster.
    export GLIBC_TUNABLES=glibc.malloc.hugetlb=1
    exec "$programs/language_model" "$@"
fi

# The text is the King James Bible, which its Debian package holds compressed. libtorch multiplies
# by what BLAS it finds; without OpenBLAS that would be a slow one.
packaging/setup.sh bible-kjv libopenblas0-pthread
build language_model train_language_model
if [ "${1:-}" = --help-all ]; then
    "$programs/train_language_model" --help
    exec "$programs/language_model" --help
fi
mkdir -p build/language_model
bible -f gen1:1-rev22:21 </dev/null |
    sed 's/^[^ ]* //' >build/language_model/kjv.txt # without the names of the verses

# Trainings run side by side, so that each needs one thread. OpenBLAS 0.3.21 takes processors that
# are newer than itself for very old ones, unless told.
export OPENBLAS_NUM_THREADS=1
if [ -z "${OPENBLAS_CORETYPE:-}" ]; then
    if grep -qw avx512bw /proc/cpuinfo; then
        export OPENBLAS_CORETYPE=SkylakeX
    elif grep -qw avx2 /proc/cpuinfo; then
        export OPENBLAS_CORETYPE=Haswell
    fi
fi
exec "$programs/train_language_model" "$@"
