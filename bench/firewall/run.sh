#!/usr/bin/env bash
# Judges the evaluation sources with the prompt firewall and with its peers, and writes the section of docs/BENCHMARKS.md. As root,
# for the peers have no network. Takes some ten minutes.
#
#   run.sh [BINARY]        TEXTS=DIRECTORY of the evaluation sources; RESULTS=FILE.json keeps the figures (no texts)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(realpath "$here/../..")
binary=$(realpath "${1:-$top/target/release/nanoclaw}")
texts=${TEXTS:-$top/../shared/data/firewall/eval}
venv=$top/.cache/bench/firewall
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [[ ! -d $texts ]]; then
  echo "firewall: SKIPPED: there are no evaluation texts in \`$texts\`; name their directory as TEXTS" >&2
  exit 0
fi
if ! cmp -s "$here/requirements.txt" "$venv/installed"; then
  echo "firewall: installing the peers"
  rm -rf "$venv"
  mkdir -p "$(dirname "$venv")"
  /usr/bin/python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: -r "$here/requirements.txt"
  cp "$here/requirements.txt" "$venv/installed"
fi
cargo build --quiet --release --locked --manifest-path "$top/Cargo.toml" -p nanoclaw-firewall --example bench-firewall

python="/usr/bin/python3 -B"
$python -m unittest discover --quiet --start-directory "$here" --pattern 'test_*.py'
results=${RESULTS:-$work/results.json}
$python "$here/measure.py" "$binary" "$top/target/release/examples/bench-firewall" "$venv/bin/python" "$texts" "$top" "$results"
$python "$here/report.py" "$results" "$here/requirements.txt" "$("$binary" --version | cut -d' ' -f2)" >"$work/section.md"
$python "$here/../page.py" "$work/section.md" "$top/docs/BENCHMARKS.md"
sed -n '/^| goal/,/^$/p' "$work/section.md"
echo "firewall: wrote its section of docs/BENCHMARKS.md"
