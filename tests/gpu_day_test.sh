#!/bin/sh
# tests/gpu_day.py on the stand-in driver: tests/gpu_day_test.sh BUILD_FOLDER. A good day, and one on
# which every kernel fails. Exit status 77: skipped, with the reason.
set -eu
build=$1
here=$(cd "$(dirname "$0")" && pwd)
command -v python3 > /dev/null || { echo "skipped: no python3"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HONE_CUDA_DRIVER=standin HONE_SIM_DEVICE=a100 HONE_DB="$work/none.db" HONE_CACHE="$work/cache"
"$build/hone" devices > "$work/devices" 2> "$work/missing" || true
grep -q '^cuda:.*nvrtc' "$work/missing" && { echo "skipped: $(grep '^cuda:' "$work/missing")"; exit 77; }
grep -q '^cuda:0' "$work/devices" || { echo "the stand-in is no device:"; cat "$work/devices" "$work/missing"; exit 1; }

fail() { echo "FAILED: $1"; cat "$work/$2/report.md"; exit 1; }
day() {
  python3 "$here/gpu_day.py" --hone "$build/hone" --report "$work/$1" --samples 0 --budget 1s --ceilings 100ms \
    --check softmax:rows=3,cols=100 --time softmax:rows=3,cols=100 --count softmax:rows=3,cols=100 > "$work/$1.log" 2>&1
}

day good || fail "a good day's exit status" good
grep -q '| softmax:rows=3,cols=100 | [1-9][0-9]* | 0 |' "$work/good/report.md" || fail "right configs" good
grep -q '| softmax:rows=3,cols=100 | team.cu | .* us | modelled' "$work/good/report.md" || fail "a modelled time" good
grep -q '| softmax:rows=3,cols=100 | team.cu | instructions | [1-9]' "$work/good/report.md" || fail "counts" good
! grep -q FAILED "$work/good/report.md" || fail "no failure" good

export HONE_SIM_FAULT=launch@1
! day bad || fail "a bad day's exit status" bad
for step in check tune count; do
  grep -q "^- $step softmax:rows=3,cols=100: .*ILLEGAL_ADDRESS" "$work/bad/report.md" || fail "$step is told" bad
done
