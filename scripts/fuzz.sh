#!/usr/bin/env bash
# Runs every fuzz target over its corpus and, for SECONDS_EACH seconds, over new inputs. Findings stay in
# fuzz/artifacts; new inputs worth keeping are added to the corpus by hand (`cargo fuzz cmin`). New inputs follow from
# SEED, so that a short run finds the same twice; search with others and for longer (`SEED=0` is a random one).
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${SECONDS_EACH:-4}

# The stable compiler builds libFuzzer's instrumentation when told that it may; no sanitizer, as these crates are safe
# code, or in `sandbox` only their safe parsers are driven.
export RUSTC_BOOTSTRAP=1
triple=$(rustc -vV | sed -n 's/^host: //p')
mkdir -p fuzz/artifacts
cargo fuzz build --sanitizer none --target-dir target/fuzz
for target in $(cargo fuzz list); do
  scratch=$(mktemp -d)
  log=$scratch/log
  mkdir "$scratch/new"
  if ! "target/fuzz/$triple/release/$target" "$scratch/new" "fuzz/corpus/$target" \
    -max_total_time="$seconds" -seed="${SEED:-1}" -artifact_prefix="fuzz/artifacts/$target-" >"$log" 2>&1; then
    cat "$log"
    echo "fuzz: $target failed; the input is in fuzz/artifacts" >&2
    exit 1
  fi
  echo "fuzz: $target: $(grep -o 'Done [0-9]* runs in [0-9]* second' "$log" | tail -1)s, nothing found"
  rm -rf "$scratch"
done
