#!/bin/sh
# One turn of OpenClaw in a cell: installs it where that is not done yet, starts a mock model server, runs the turn with
# nanoclaw-config.yaml, and shows the reply and what the audit log says about it.
#
# NANOCLAW names the binary to use (default: the one built in this repository, else the one in PATH).
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
repository=$(CDPATH='' cd -- "$here/../.." && pwd)
work=$repository/.cache/openclaw-workspace
# As in openclaw.json and nanoclaw-config.yaml.
port=18080

fail() {
    printf 'run.sh: %s\n' "$1" >&2
    exit 1
}

nanoclaw=${NANOCLAW:-}
for built in "$repository/target/release/nanoclaw" "$repository/target/debug/nanoclaw"; do
    [ -n "$nanoclaw" ] || [ ! -x "$built" ] || nanoclaw=$built
done
nanoclaw=$(command -v "${nanoclaw:-nanoclaw}") || fail 'there is no nanoclaw; run `cargo build` or set NANOCLAW'
command -v python3 >/dev/null || fail 'python3 is not installed; the mock model server needs it'

# Where it is installed already, this only says so.
"$nanoclaw" openclaw install --directory "$repository/.cache/openclaw"

mkdir -p "$work"
printf 'alpha\nbeta\ngamma\n' >"$work/input.txt"
rm -f "$work/report.txt"
cp "$here/task.md" "$work/task.md"

ready=$(mktemp)
log=$(mktemp)
python3 "$here/model_server.py" --port $port --seconds 900 >"$ready" &
model=$!
trap 'kill $model 2>/dev/null || true; rm -f "$ready" "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
until [ -s "$ready" ]; do
    kill -0 $model 2>/dev/null || fail "the mock model server did not start; is port $port in use?"
    sleep 0.1
done

before=$("$nanoclaw" audit tail 2>/dev/null | wc -l)
printf '\nOne turn, in a cell:\n'
"$nanoclaw" run -c "$here/nanoclaw-config.yaml" --name openclaw

printf '\nThe report that it wrote to its workspace: %s\n' "$(cat "$work/report.txt")"
"$nanoclaw" audit tail | tail -n "+$((before + 1))" >"$log"
printf '\nOn record: its start and end, the programs that it ran, what it reached, what it wrote to its workspace:\n'
grep -E '^[^ ]+  openclaw +(cell_launch|cell_exited|exec|net_[a-z]+|file_write +/workspace/)' "$log"
printf '\nOn record: what was refused, and how often:\n'
grep -E '^[^ ]+  openclaw .* denied' "$log" | sed 's/^[^ ]*  //' | sort | uniq -c
