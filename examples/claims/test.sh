#!/usr/bin/env bash
# Tests the claims experiment in brief: the plan, an interrupted and a resumed run, the report.
#
#   examples/claims/test.sh PROGRAM FOLDER     FOLDER is emptied and filled
set -euo pipefail
program=$1
folder=$2
rm -rf "$folder"
mkdir -p "$folder"
fail() {
    echo "FAILED: $*" >&2
    exit 1
}
quick() { "$program" --quick --runs "$folder/runs" --report "$folder/report" "$@"; }

"$program" --plan --runs "$folder/none" --report "$folder/report" >"$folder/plan"
grep -q 'hours left' "$folder/plan" || fail "--plan"
head -1 "$folder/plan" | grep -q '^tune-fp32' || fail "the plan's order"

"$program" --quick --runs "$folder/runs" --report "$folder/report" >"$folder/first" &
pid=$!
for _ in $(seq 300); do
    [ "$(find "$folder/runs" -name '*.json' 2>/dev/null | wc -l)" -ge 3 ] && break
    sleep 0.1
done
kill -INT "$pid"
wait "$pid" && fail "an interrupted run should say so" || [ $? -eq 130 ] || fail "interrupted badly"
before=$(find "$folder/runs" -name '*.json' | wc -l)
[ "$before" -ge 3 ] || fail "no runs were kept"
touch "$folder/mark"
quick >"$folder/second"
after=$(find "$folder/runs" -name '*.json' | wc -l)
new=$(find "$folder/runs" -name '*.json' -newer "$folder/mark" | wc -l)
[ "$((before + new))" -eq "$after" ] || fail "finished runs were repeated"
quick --plan >"$folder/plan"
grep -q "$after runs, $after done" "$folder/plan" || fail "not all is done"
quick >"$folder/third"
! grep -q '^\[' "$folder/third" || fail "runs after the end"
! grep -q '"seeds": 0' "$folder/report/claims.json" || fail "a comparison has no runs"
! grep -q 'incomplete' "$folder/report/claims.json" || fail "a claim is incomplete"
grep -q '</html>' "$folder/report/claims.html" || fail "the page is not whole"
grep -q '</svg>' "$folder/report/claims.svg" || fail "the plot is not whole"

sed -i 's/"decay":0.0001/"decay":0.01/' "$folder/runs/s3_2bit-e1-seed1.json"
quick >"$folder/fourth"
[ "$(grep -c '^\[' "$folder/fourth")" -eq 1 ] || fail "a run of other settings was not repeated"

echo nonsense >"$folder/runs/fp32-e1-seed1.json"
if said=$(quick 2>&1); then fail "took a broken file"; fi
grep -q 'not a run of this program' <<<"$said" || fail "said: $said"
echo "claims: all checks passed"
