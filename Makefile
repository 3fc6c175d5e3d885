# `make demo` and `make test` do all set-up on a fresh Debian 12 machine, as root.

export PATH := $(CURDIR)/.cache/tools/bin:$(HOME)/.cargo/bin:$(PATH)
BINARY := target/release/nanoclaw

.PHONY: help setup setup-test build demo test lint unit fuzz bench

help:
	@echo 'make demo   build NanoClaw and show it: a fleet does its work, a rogue agent is stopped'
	@echo '            MODEL=FILE.gguf or MODEL=URL: and takes a turn with a real model (examples/demo/model.sh)'
	@echo 'make test   everything that CI runs'
	@echo 'make bench  measure against peers and write docs/BENCHMARKS.md'
	@echo 'make build  only the release binary, $(BINARY)'

setup:
	@scripts/setup.sh build

setup-test:
	@scripts/setup.sh build test

build: setup
	cargo build --release --locked -p nanoclaw -p nanoclaw-tlog

demo: build
	@examples/demo/run.sh $(BINARY)

test: setup-test lint fuzz unit

lint: setup-test
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo fetch --locked
	cargo deny --offline check licenses bans sources

# A short run over the corpus and a few seconds of new inputs for each parser that reads attacker bytes.
fuzz: setup-test
	@scripts/fuzz.sh

# Last, so that the test runner's summary ends the run.
unit: setup-test
	cargo test --doc --workspace --locked --quiet
	cargo nextest run --workspace --locked --profile ci

bench: build
	@scripts/setup.sh build test bench
	@bench/run.sh $(BINARY)
