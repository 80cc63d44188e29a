#!/usr/bin/env bash
# Tests the main example: a quick run, the report, a second run from the saved model, the same
# network computed in NumPy, and what it says to bad input.
#
#   examples/fashion_mnist/test.sh PROGRAM FOLDER [PYTHON]
#
# FOLDER is emptied and filled. PYTHON has NumPy.
set -euo pipefail
case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
    exit 0
    ;;
esac
program=$1
folder=$2
python=${3:-}
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
"$program" --quick --threads 1 --report "$folder/report" | tee "$folder/log"
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
before=$(grep -F '8 bits' "$folder/log" | grep -oE '[0-9.]+%')
after=$("$program" --run "$model" --logits "$folder/logits" | grep -F '8 bits' | grep -oE '[0-9.]+%')
[ "$before" = "$after" ] || fail "accuracy $before became $after"
for bits in 8 6 4; do
    grep -qE "^$bits bits +[7-9][0-9]\..* identical" "$folder/log" || fail "no row of $bits bits"
    grep -q "<td>$bits bits</td>" "$folder/report/index.html" || fail "no row of $bits bits on the page"
done
grep -q '<td>S3 latents</td>' "$folder/report/index.html" || fail "no report of the import"

# An independent computation of some test images gives the same integers.
if [ -n "$python" ]; then
    images=48
    gzip -dc "$data/t10k-images-idx3-ubyte.gz" >"$folder/all_images"
    head -c $((16 + images * 28 * 28)) "$folder/all_images" | tail -c +17 >"$folder/images"
    head -c $((images * 10 * 4)) "$folder/logits" >"$folder/some_logits"
    "$python" "$(dirname "$0")/../../tests/numpy/run_model.py" "$model" "$folder/images" \
        "$folder/some_logits" || fail "NumPy computes other logits"
fi

refused "no data set in" --data "$folder/nowhere"
refused "No such file" --data "$folder"
refused "--epochs" --epochs 0
refused "--bogus" --bogus
refused "--logits" --logits "$folder/unused"

# Files that are no model, or damaged.
refused "cannot be opened" --run "$folder/nothing"
refused "safetensors" --run "$folder/log"
for bytes in 0 7 1000 $(($(stat -c %s "$model") - 1)); do
    head -c "$bytes" "$model" >"$folder/short"
    refused "safetensors" --run "$folder/short"
done
# The model with one text for another of the same length must be refused.
altered() {
    sed "s/$1/$2/" "$model" >"$folder/altered"
    if cmp -s "$model" "$folder/altered"; then fail "there is no $1 in the model"; fi
    refused "$3" --run "$folder/altered"
}
altered 's3\.model' 's3.mudel' 'not an integer network'
altered '"s3\.model":"1"' '"s3.model":"2"' 'model.version'
altered S3W S4W record.magic
altered '\\"stride\\"' '\\"strife\\"' 'stride[0]'
altered '\\"height\\":28' '\\"height\\":27' value.height
altered 'linear\.weight' 'linear.weighs' 'weight (no such tensor)[6]'
# A sound network that is another one: the mean of an image.
value='\"bits\":8,\"channels\":1,\"step\":1.0,\"zero_point\":0'
network='{\"values\":[{\"height\":28,\"width\":28,'$value'},{\"height\":1,\"width\":1,'$value'}],'
network+='\"layers\":[{\"name\":\"mean\",\"kind\":\"mean_pooling\",\"input\":0,\"window\":[28,28],'
network+='\"stride\":[1,1],\"padding\":[0,0],\"scale\":0.001}],\"output_scale\":1.0}'
header='{"__metadata__":{"s3.model":"1","s3.network":"'$network'"}}'
{
    printf "\\x$(printf %x $((${#header} % 256)))\\x$(printf %x $((${#header} / 256)))\0\0\0\0\0\0"
    printf %s "$header"
} >"$folder/other"
refused "not a network of 10 classes" --run "$folder/other"

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
