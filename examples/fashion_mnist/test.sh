#!/usr/bin/env bash
# Tests the main example: a quick run, the report, a second run from the saved model, and what it
# says to bad input.
#
#   examples/fashion_mnist/test.sh PROGRAM FOLDER     FOLDER is emptied and filled
set -euo pipefail
program=$1
folder=$2
data=/usr/share/datasets/fashion-mnist
rm -rf "$folder"
mkdir -p "$folder"

fail() {
    echo "FAILED: $*" >&2
    exit 1
}
# Runs the program with the other arguments, which must fail and say $1.
refused() {
    local expected=$1 said
    shift
    if said=$("$program" "$@" 2>&1); then fail "accepted: $*"; fi
    grep -qF -- "$expected" <<<"$said" || fail "'$*' said '$said', not '$expected'"
}

"$program" --help | grep -q -- --quick || fail "--help"
"$program" --quick --report "$folder/report" | tee "$folder/log"
for key in fp32 s3_float s3_shift_add s3_dot logits_identical weight_bytes fp32_weight_bytes \
    images_per_second fp32_images_per_second seconds; do
    grep -q "\"$key\": [0-9t]" "$folder/report/main_job.json" || fail "no $key in main_job.json"
done
[ "$(grep -c : "$folder/report/main_job.json")" -eq 10 ] || fail "other keys in main_job.json"
grep -q '"logits_identical": true' "$folder/report/main_job.json" || fail "logits differ"
grep -q '"s3_dot": [7-9][0-9]' "$folder/report/main_job.json" || fail "it learned too little"
grep -q '</html>' "$folder/report/index.html" || fail "the page is not whole"

# The saved model gives what the report says.
model=$folder/report/fashion_mnist.safetensors
before=$(grep -F 'integers, dot' "$folder/log" | grep -oE '[0-9.]+%')
after=$("$program" --run "$model" | grep -F 'integers, dot' | grep -oE '[0-9.]+%')
[ "$before" = "$after" ] || fail "accuracy $before became $after"

refused "no data set in" --data "$folder/nowhere"
refused "No such file" --data "$folder"
refused "--epochs" --epochs 0
refused "--bogus" --bogus
refused "cannot be opened" --run "$folder/nothing"
refused "safetensors" --run "$folder/log"
head -c 1000 "$model" >"$folder/short"
refused "safetensors" --run "$folder/short"
sed 's/s3.example.fashion_mnist/s3.example.something_els/' "$model" >"$folder/foreign"
refused "not a model of this example" --run "$folder/foreign"
sed 's/S3W/S4W/' "$model" >"$folder/record"
refused "record.magic" --run "$folder/record"

# A data set of which one file is damaged.
damaged() {
    rm -rf "$folder/data"
    cp -r "$data" "$folder/data"
    cat >"$folder/data/$1"
    refused "$2" --data "$folder/data"
}
head -c 100000 "$data/train-images-idx3-ubyte.gz" | damaged train-images-idx3-ubyte.gz "ends early"
printf 'no image' | damaged t10k-images-idx3-ubyte.gz "magic number"
damaged train-labels-idx1-ubyte.gz "magic number" <"$data/train-images-idx3-ubyte.gz"
damaged train-labels-idx1-ubyte.gz "number of labels" <"$data/t10k-labels-idx1-ubyte.gz"
printf '\0\0\10\1\0\0\x27\20%10000s' | tr ' ' '\12' |
    damaged t10k-labels-idx1-ubyte.gz "a label is 10"
echo "fashion_mnist: all checks passed"
