#!/usr/bin/env bash
# Measures NanoClaw against its peers and writes docs/BENCHMARKS.md. As root; takes half an hour.
#
#   run.sh [BINARY]        ROUNDS=60 EGRESS_ROUNDS=7 LLM_ROUNDS=9 AGENT_ROUNDS=7
#                          DOCKER=1 (starts a Docker daemon of its own, in private namespaces)
#
# LiteLLM and nanobot are where `scripts/setup.sh bench` puts them; the rest is built and installed here where it is missing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$(realpath "${1:-$here/../target/release/nanoclaw}")
top=$(realpath "$here/..")
tools=$top/target/release
cache=$top/.cache
python="/usr/bin/python3 -B"
work=$(mktemp -d /var/tmp/nanoclaw-bench.XXXXXX)
daemon=

finish() {
  if [[ -n $daemon ]]; then kill "$daemon" && wait "$daemon" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap finish EXIT

((EUID == 0)) || { echo "bench: this needs root" >&2; exit 1; }
for tool in bwrap runc iperf3 ip unshare setpriv findmnt ${DOCKER:+docker dockerd}; do
  command -v $tool >/dev/null || { echo "bench: \`$tool\` is missing; \`scripts/setup.sh test bench\` installs what is needed, docker apart" >&2; exit 1; }
done

cargo build --quiet --release --locked --manifest-path "$top/Cargo.toml" -p nanoclaw-scripted-model
"$binary" openclaw install --directory "$cache/openclaw"

docker=()
if [[ -n ${DOCKER:-} ]]; then
  socket=$work/docker.sock
  unshare --net --mount dockerd --data-root "$work/docker" --exec-root "$work/exec" --pidfile "$work/docker.pid" \
    --host "unix://$socket" --storage-driver overlay2 >"$work/docker.log" 2>&1 &
  daemon=$!
  for _ in {1..200}; do docker -H "unix://$socket" info >/dev/null 2>&1 && break; sleep 0.1; done
  # An image with nothing but the links into /usr, which is mounted.
  mkdir "$work/image" "$work/image/usr"
  for link in bin sbin lib lib32 lib64 libx32; do if [[ -L /$link ]]; then ln -s "usr/$link" "$work/image/$link"; fi; done
  tar -C "$work/image" -c . | docker -H "unix://$socket" import - bench >/dev/null
  docker=(--docker "$socket" bench)
fi

$python "$here/cell.py" "$binary" "$work/cell.json" --rounds "${ROUNDS:-60}" "${docker[@]}"
$python "$here/egress.py" "$binary" "$work/egress.json" --rounds "${EGRESS_ROUNDS:-7}"
$python "$here/llm.py" "$binary" "$work/llm.json" --tools "$tools" --litellm "$cache/bench/litellm" --rounds "${LLM_ROUNDS:-9}"
$python "$here/agent.py" "$binary" "$work/agent.json" --tools "$tools" --openclaw "$cache/openclaw" --nanobot "$cache/bench/nanobot" \
  --rounds "${AGENT_ROUNDS:-7}"
pinned() { sed -n "s/^$1\(\[.*\]\)\?==//p" "$here/peers/$2.txt"; }
peers="LiteLLM $(pinned litellm litellm), nanobot $(pinned nanobot-ai nanobot), $("$cache/openclaw/bin/node" "$cache/openclaw/bin/openclaw" --version | cut -d' ' -f1,2)"
$python "$here/report.py" "$binary" "$work"/{cell,egress,llm,agent}.json "$peers" >"$work/page.md"
cargo run --quiet --release --locked --manifest-path "$top/Cargo.toml" -p nanoclaw-policy --example bench-policy >>"$work/page.md"
cargo run --quiet --release --locked --manifest-path "$top/Cargo.toml" -p nanoclaw-audit --example bench-audit -- "$work" >>"$work/page.md"
cp "$work/page.md" "$top/docs/BENCHMARKS.md"
"$here/agentdojo/run.sh" "$binary"
"$here/firewall/run.sh" "$binary"
echo "bench: wrote docs/BENCHMARKS.md"
sed -n '/^## Goals/,/^## A cell/p' "$work/page.md" | grep '^|'
