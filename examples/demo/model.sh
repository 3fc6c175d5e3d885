#!/usr/bin/env bash
# One turn of NanoClaw's own agent with a real model, the last part of `make demo MODEL=…`.
#
#   model.sh BINARY DIR     DIR is a new folder
#
# The environment says which model:
#   MODEL         a GGUF file, which llama-server runs in a cell without a network, or the URL of a provider that speaks OpenAI's
#                 dialect, such as http://127.0.0.1:11434/v1
#   LLAMA_SERVER  the program for a file; else llama-server of PATH, or that of .cache/model/bin
#   MODEL_NAME    the model's name at a provider; else the first that it lists
#   MODEL_KEY     the provider's key, if it wants one
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$(realpath "$1")
work=$2
export NANOCLAW_STATE_DIR=$work/state
fleet=

fail() { echo "demo: $1" >&2; exit 1; }
finish() {
  if [[ -n $fleet ]]; then
    kill "$fleet" 2>/dev/null || true
    wait "$fleet" 2>/dev/null || true
  fi
}
trap finish EXIT

mkdir -p "$work/workspace"
case $MODEL in
  http://* | https://*)
    if [[ -z ${MODEL_NAME:-} ]]; then
      MODEL_NAME=$(/usr/bin/python3 "$here/first_model.py" "$MODEL" 2>/dev/null) || fail "$MODEL lists no models; name one with MODEL_NAME"
    fi
    key=
    if [[ -n ${MODEL_KEY:-} ]]; then key=', api_key: { env: MODEL_KEY }'; fi
    provider="{ name: demo, kind: openai, base_url: \"$MODEL\"$key }"
    about="$MODEL_NAME at $MODEL"
    ;;
  *)
    [[ -f $MODEL ]] || fail "MODEL is neither a URL nor a file: $MODEL"
    server=${LLAMA_SERVER:-$(command -v llama-server || echo "$here/../../.cache/model/bin/llama-server")}
    [[ -x $server ]] || fail "there is no llama-server; name it with LLAMA_SERVER"
    MODEL_NAME=model
    provider="{ name: demo, kind: llama-server, model_file: \"$(realpath "$MODEL")\", program: \"$(realpath "$server")\", idle_timeout: 15m, timeout: 15m }"
    about="$(basename "$MODEL"), on llama-server in a cell without a network"
    ;;
esac
cat >"$work/nanoclaw-config.yaml" <<YAML
models:
  providers: [$provider]
  default: "demo/$MODEL_NAME"
agents:
  - id: helper
    kind: builtin
    tools: { allow: [file_list, file_read, file_write] }
    mounts: [{ source: ./workspace, target: /workspace, mode: rw }]
YAML

task='Create the file greeting.txt with the content: good morning'
echo
echo "A turn with a real model: $about."
"$binary" up -c "$work/nanoclaw-config.yaml" 2>"$work/up.log" &
fleet=$!
for _ in {1..200}; do
  "$binary" ps --json 2>/dev/null | grep '"id":"helper"' | grep -q '"phase":"running"' && break
  kill -0 "$fleet" 2>/dev/null || { cat "$work/up.log" >&2; fail 'the fleet did not start'; }
  sleep 0.1
done
echo "helper is told: $task"
"$binary" ask helper "$task" || fail "the turn failed with status $?"
"$binary" audit tail --json | /usr/bin/python3 "$here/turn.py" "$work/workspace"
