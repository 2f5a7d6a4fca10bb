#!/bin/bash
# Our own tools under their stock names, and beside them Apache Kafka 3.9.1's, the same words. On one
# broker, and, to move replicas and leaders, on two.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
timed "kafka 3.9.1" env PYTHONPATH="$folder/.." python3 -c "from harness import kafka; kafka.home('3.9.1')"
# Files and groups are looked at by both tools, one after the other: nothing is deleted in between.
counted with_broker --seconds 1800 --set log.retention.check.interval.ms=86400000 \
    --set offsets.retention.check.interval.ms=86400000 "$@" -- python3 check.py
counted env PYTHONPATH="$folder/.." python3 moves.py
finish
