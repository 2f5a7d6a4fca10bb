#!/bin/bash
# kafkajs 2.2.4: pure JavaScript, with codecs as plug-ins.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
node_packages kafkajs@2.2.4 kafkajs-snappy@1.1.0
export KAFKAJS_NO_PARTITIONER_WARNING=1
with_broker "$@" -- node check.js
