#!/usr/bin/env bash
# Makes the pages of docs/gallery/ and their pictures again, by the commands that a user would type; about five minutes.
# The scans are made by scripts/scans.py, the digits are scikit-learn's. PLEXUS and PYTHON name others than those in
# .venv. A run keeps where its data lies; this folder is taken out of the record before the page is written, so that no
# page carries a path of this machine.
set -euo pipefail

root=$(realpath "$(dirname "$0")/..")
plexus=$(realpath -s "${PLEXUS:-$root/.venv/bin/plexus}")
python=$(realpath -s "${PYTHON:-$root/.venv/bin/python}")
pages=$root/docs/gallery
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
ln -s "$root/results" "$root/studies" .
"$python" "$root/scripts/scans.py" scans

"$plexus" audit scans --folds 3 --cache cache
"$plexus" segment train scans --folds audit-scans/folds.json --size 96 --width 8 --epochs 12 --run segment
"$plexus" fit digits --controls --run fit
"$plexus" study report rotation --scale standard --out study.html
"$plexus" represent train digits --classes 0 1 2 3 4 5 6 --dim 16 --epochs 40 --run represent
"$plexus" represent fewshot represent digits --ways 3
"$plexus" represent probe represent digits --balance 0 0.5 1 --dim 4

for run in segment represent; do
    sed -i "s#$place/##g" "$run/record.json"
    "$plexus" report "$run"
done

mkdir -p "$pages"
cp audit-scans/audit.html "$pages/audit.html"
cp represent/report.html "$pages/represent.html"
cp segment/report.html "$pages/segment.html"
cp fit/report.html "$pages/fit.html"
cp study.html "$pages/study.html"
if grep -lF -e "$place" -e "$root" -e "$HOME" "$pages"/*.html; then
    echo "the pages above carry a path of this machine" >&2
    exit 1
fi
"$python" "$root/scripts/pictures.py" "$pages"
ls -l "$pages"
