#!/usr/bin/env bash
# Runs every fuzz target over its corpus and, for SECONDS_EACH seconds, over new inputs. Findings stay in
# fuzz/artifacts; new inputs worth keeping are added to the corpus by hand (`cargo fuzz cmin`).
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${SECONDS_EACH:-4}

# The stable compiler builds libFuzzer's instrumentation when told that it may; no sanitizer, as these crates are safe
# code, or in `sandbox` only their safe parsers are driven.
export RUSTC_BOOTSTRAP=1
triple=$(rustc -vV | sed -n 's/^host: //p')
cargo fuzz build --sanitizer none --target-dir target/fuzz
for target in $(cargo fuzz list); do
  scratch=$(mktemp -d)
  echo "fuzz: $target"
  "target/fuzz/$triple/release/$target" "$scratch" "fuzz/corpus/$target" \
    -max_total_time="$seconds" -artifact_prefix="fuzz/artifacts/$target-" -print_final_stats=0 -verbosity=0
  rm -rf "$scratch"
done
