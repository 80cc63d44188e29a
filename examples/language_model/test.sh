#!/usr/bin/env bash
# Tests the programs of the language model: a short training, its report, the packed files, the
# speed of random weights, and what they say to bad input.
#
#   examples/language_model/test.sh PROGRAMS FOLDER
#
# PROGRAMS is the folder that they were built in. FOLDER is emptied and filled. Where Debian's
# package bible-kjv is installed, the text is its; else it is this repository's documentation.
set -euo pipefail
case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^#/s/^# \?//p}' "$0"
    exit 0
    ;;
esac
train=$1/train_language_model
run=$1/language_model
folder=$2
rm -rf "$folder"
mkdir -p "$folder"
export OPENBLAS_NUM_THREADS=1

fail() {
    echo "FAILED: $*" >&2
    exit 1
}
# Runs a program with its arguments, which must fail and say $1.
refused() {
    local expected=$1 said
    shift
    if said=$("$@" 2>&1); then fail "accepted: $*"; fi
    grep -qF -- "$expected" <<<"$said" || fail "'$*' said '$said', not '$expected'"
}

text=$folder/text
if command -v bible >/dev/null; then
    bible -f gen1:1-rev22:21 </dev/null | sed 's/^[^ ]* //' >"$text"
else
    cat "$(dirname "$0")"/../../{.,*,*/*}/*.md "$(dirname "$0")"/../../include/s3/*/*.hpp >"$text"
fi

"$train" --help | grep -q -- --quick || fail "--help of train_language_model"
"$run" --help | grep -q -- --shape || fail "--help of language_model"
"$train" --quick --text "$text" --report "$folder/report" | tee "$folder/log"
grep -q 'within 0.001' "$folder/log" || fail "packed models have another loss"
grep -q '</html>' "$folder/report/index.html" || fail "the page is not whole"
for arm in fp32 'ternary (absmean)' '3-bit S3'; do
    # Eight bits per byte is what knowing nothing gives, and four what the bytes' frequencies do.
    grep -qE "^${arm//[()]/.} +[0-3]\.[0-9]{3} " "$folder/log" || fail "$arm learned too little"
done

model=$folder/report/shift3-1.safetensors
said=$("$run" "$model" --loss "$text" --windows 256)
packed=$(grep -oE '"packed": [1-9][0-9.]+' "$folder/report/language_model.json" | tail -1)
[ "${said:0:6}" = "$(cut -c11-16 <<<"$packed")" ] || fail "the loss was $packed, and is $said"
first=$("$run" "$model" --prompt "In the beginning" --count 50)
[ ${#first} -ge 60 ] || fail "it wrote '$first'"
[ "$first" = "$("$run" "$model" --prompt "In the beginning" --count 50 --batch 1)" ] ||
    fail "the batch changes the text"
[ "$first" != "$("$run" "$model" --prompt "In the beginning" --count 50 --seed 2)" ] ||
    fail "another seed gives the same text"
for format in ternary shift3; do
    "$run" --shape small --format $format --tokens 2 | tee "$folder/speed"
    grep -qE '^16 +[1-9]' "$folder/speed" || fail "no speed of $format"
done

refused "more than the cache holds (128)" "$run" "$model" --prompt "$(printf '%0200d' 1)"
refused "do not fit the cache (20)" "$run" "$model" --cache 20 --prompt "In the" --count 50
refused "it is empty" "$run" "$model" --prompt ""
refused "--bogus" "$run" --bogus
refused "none of: small, 2B" "$run" --shape 3B
refused "--format" "$run" --shape small --format shift9
refused "neither a model" "$run"
refused "cannot be opened" "$run" "$folder/nothing"
refused "--steps" "$train" --steps 0
refused "cannot be opened" "$train" --text "$folder/nothing"
head -c 1000 "$text" >"$folder/short"
refused "bytes, needs" "$train" --text "$folder/short"
refused "has no" "$run" "$model" --loss "$folder/short"

# Files that are no model, or damaged.
for bytes in 0 7 1000 $(($(stat -c %s "$model") - 1)); do
    head -c "$bytes" "$model" >"$folder/cut"
    refused "safetensors" "$run" "$folder/cut"
done
# The model with one text for another of the same length must be refused.
altered() {
    sed "s/$1/$2/" "$model" >"$folder/altered"
    if cmp -s "$model" "$folder/altered"; then fail "there is no $1 in the model"; fi
    refused "$3" "$run" "$folder/altered"
}
altered 's3\.language_model' 's3.language_mudel' 'not a language model'
altered '"shift3"' '"shift9"' 'unknown format'
altered '"shift3"' '"shift2"' 'record.format'
altered '"width":"96"' '"width":"32"' 'columns'
altered '"layers":"3"' '"layers":"2"' 'tensors'
altered '"heads":"4"' '"heads":"5"' 'heads'
altered 'up_proj' 'op_proj' 'no such tensor'
altered S3W S4W record.magic
altered '"epsilon":"1e-05"' '"epsilon":"xe-05"' 'epsilon'
altered '"sub_norms":"0"' '"sub_norms":"2"' 'sub_norms'

# Models of others: damaged files, and what does not fit together.
printf 'GGUF\3\0\0\0' >"$folder/cut.gguf"
refused "gguf.header" "$run" "$folder/cut.gguf"
mkdir "$folder/checkpoint"
refused "config.json" "$run" "$folder/checkpoint"
echo '{}' >"$folder/checkpoint/config.json"
refused "model.safetensors" "$run" "$folder/checkpoint"
cp "$model" "$folder/checkpoint/model.safetensors"
refused "quant_method" "$run" "$folder/checkpoint"
[ "$("$run" "$model" --prompt-ids 73 110 --count 3 --temperature 0 | wc -w)" = 3 ] ||
    fail "numbers of tokens"
"$run" "$model" --speed --sequences 2 --prompt-tokens 2 --tokens 2 | grep -qE '^2 +[1-9]' ||
    fail "no speed of the model"
echo "language_model: all checks passed"
