#!/usr/bin/env bash
# Shows NanoClaw at work: a fleet of two agents, one of them hijacked. No key, no download, no traffic that leaves the host.
#
#   run.sh [BINARY]     exits 0 only if the work was done and every attack was stopped
#
# KEEP=1 leaves the temporary folder, with the audit log in it. With MODEL, a turn with a real model follows: model.sh says how.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$(realpath "${1:-$here/../../target/release/nanoclaw}")
work=$(mktemp -d "${TMPDIR:-/tmp}/nanoclaw-demo.XXXXXX")
ledger=
groups=

finish() {
  if [[ -n $ledger ]]; then kill "$ledger" 2>/dev/null || true; fi
  if [[ -n ${KEEP:-} ]]; then echo "kept: $work"; else rm -rf "$work"; fi
}
trap finish EXIT

cp -r "$here/nanoclaw-config.yaml" "$here/agents" "$here/data" "$work"
mkdir "$work/clerk" "$work/rogue"
echo 'The operator laid this file into the cell, to be read.' >"$work/notice.txt"
export NANOCLAW_STATE_DIR=$work/state

# An ordinary user is often given no control group, and NanoClaw refuses a cell whose limits nothing can enforce.
if "$binary" doctor --json | grep -q '"name":"memory limit","present":false'; then
  echo "demo: no control group for this user: CPU is not limited here, and memory by process only (run as root for both)"
  sed -i 's/cpu: 1, memory: 128Mi, //' "$work/nanoclaw-config.yaml"
  groups=no-groups
fi

/usr/bin/python3 "$here/ledger.py" "$work/ledger" &
ledger=$!
for _ in {1..100}; do
  [[ -e $work/ledger/ready ]] && break
  kill -0 "$ledger" 2>/dev/null || { echo "demo: the ledger did not start; is port 18743 of the loopback in use?" >&2; exit 1; }
  sleep 0.05
done

echo "Running the fleet of examples/demo/nanoclaw-config.yaml: clerk does its work, rogue attacks."
timeout --kill-after=10 120 "$binary" up -c "$work/nanoclaw-config.yaml" || { echo "demo: the fleet failed with status $?" >&2; exit 1; }
echo
"$binary" audit tail --json >"$work/audit.jsonl"
/usr/bin/python3 "$here/table.py" "$work" $groups
if [[ -n ${MODEL:-} ]]; then "$here/model.sh" "$binary" "$work/model"; fi
