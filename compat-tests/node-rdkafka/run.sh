#!/bin/bash
# node-rdkafka 3.6.1: compiles the librdkafka 2.12 that it carries, which takes some minutes the first time.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
node_packages node-rdkafka@3.6.1
compile() {
    local gyp
    gyp=$(command -v node-gyp || echo "$(npm root -g)/npm/node_modules/node-gyp/bin/node-gyp.js")
    if command -v ccache > /dev/null; then export CC='ccache gcc' CXX='ccache g++'; fi
    # More than one job races with the build of the library.
    cd "$cache/node_modules/node-rdkafka" && npm_config_nodedir=/usr "$gyp" rebuild --jobs 1
}
once "$(node --version) 3.6.1" "node-rdkafka compile" compile
with_broker "$@" -- node check.js
