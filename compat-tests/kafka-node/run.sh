#!/bin/bash
# kafka-node 5.0.0, the last: JavaScript of 2013 to 2020; and 2.6.1, whose groups meet in ZooKeeper.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
node_packages kafka-node@5.0.0 snappy@7.2.2
once kafka-node@2.6.1 "npm install, old" fetched npm install --prefix "$cache/old" --no-audit --no-fund --no-package-lock \
    --ignore-scripts --no-optional kafka-node@2.6.1
export KAFKA_NODE_2=$cache/old/node_modules/kafka-node
with_broker --metadata "$@" -- node check.js
