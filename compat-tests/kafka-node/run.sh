#!/bin/bash
# kafka-node 5.0.0, the last: JavaScript of 2013 to 2020.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
node_packages kafka-node@5.0.0 snappy@7.2.2
with_broker "$@" -- node check.js
