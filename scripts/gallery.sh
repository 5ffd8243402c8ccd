#!/usr/bin/env bash
# Makes the pages of docs/gallery/ and their pictures again, by the commands that a user would type; four minutes.
#
#   scripts/gallery.sh USGRA
#
# USGRA is usgra-seg by Timm Kandaouroff (tmkand, CC-BY 4.0) as pairs NAME.png and NAME_mask.png below train and
# test. PLEXUS and PYTHON name others than those in .venv. A run keeps where its data lies; this folder is taken out
# of the record before the page is written, so that no page carries a path of this machine.
set -euo pipefail

if [[ $# -ne 1 || ! -d "$1/train" ]]; then
    echo "name the folder of usgra-seg: scripts/gallery.sh USGRA, with USGRA/train and USGRA/test" >&2
    exit 2
fi
data=$(realpath "$1")
root=$(realpath "$(dirname "$0")/..")
plexus=$(realpath -s "${PLEXUS:-$root/.venv/bin/plexus}")
python=$(realpath -s "${PYTHON:-$root/.venv/bin/python}")
pages=$root/docs/gallery
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
ln -s "$data" usgra
ln -s "$root/results" results

"$plexus" audit usgra --folds 3 --cache cache
"$plexus" segment train usgra --folds audit-usgra/folds.json --width 8 --epochs 25 --run segment
"$plexus" fit digits --run fit
"$plexus" study report rotation --scale standard --out study.html

sed -i "s#$place/##g" segment/record.json
"$plexus" report segment

mkdir -p "$pages"
cp audit-usgra/audit.html "$pages/audit.html"
cp segment/report.html "$pages/segment.html"
cp fit/report.html "$pages/fit.html"
cp study.html "$pages/study.html"
if grep -lF -e "$place" -e "$root" -e "$data" -e "$HOME" "$pages"/*.html; then
    echo "the pages above carry a path of this machine" >&2
    exit 1
fi
"$python" "$root/scripts/pictures.py" "$pages"
ls -l "$pages"
