#!/bin/bash
# rdkafka 0.39 for Rust: compiles the librdkafka that it carries, which takes some minutes the first time.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
if command -v ccache > /dev/null; then export CC='ccache gcc'; fi
export CARGO_TARGET_DIR=$cache/target
timed "cargo fetch" fetched cargo fetch --locked
timed "cargo build" cargo build --locked --offline
with_broker "$@" -- "$cache/target/debug/check"
