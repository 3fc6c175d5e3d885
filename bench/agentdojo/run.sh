#!/usr/bin/env bash
# Plays AgentDojo's tasks and attacks against `nanoclaw policy replay`, without a model, and writes the section of
# docs/BENCHMARKS.md. Takes some minutes; what it decides does not depend on the machine.
#
#   run.sh [BINARY]        RESULTS=FILE.json keeps what came of every task and attack
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(realpath "$here/../..")
binary=$(realpath "${1:-$top/target/release/nanoclaw}")
venv=$top/.cache/bench/agentdojo
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! cmp -s "$here/requirements.txt" "$venv/installed"; then
  echo "agentdojo: installing AgentDojo"
  rm -rf "$venv"
  mkdir -p "$(dirname "$venv")"
  /usr/bin/python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: -r "$here/requirements.txt"
  cp "$here/requirements.txt" "$venv/installed"
fi

"$venv/bin/python" -B -m unittest discover --quiet --start-directory "$here" --pattern 'test_*.py'
"$venv/bin/python" -B "$here/measure.py" "$binary" "${RESULTS:-$work/results.json}" >"$work/section.md"
/usr/bin/python3 -B "$here/../page.py" "$work/section.md" "$top/docs/BENCHMARKS.md"
sed -n '/^| goal/,/^$/p' "$work/section.md"
echo "agentdojo: wrote its section of docs/BENCHMARKS.md"
