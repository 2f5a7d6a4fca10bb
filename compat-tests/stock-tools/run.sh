#!/bin/bash
# Apache Kafka's own command-line tools, of 3.9.1 and of 4.3.1: what they say, word for word where scripts grep it.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
for release in 3.9.1 4.3.1; do
    timed "kafka $release" env PYTHONPATH="$folder/.." python3 -c "from harness import kafka; kafka.home('$release')"
    counted with_broker --seconds 600 "$@" -- python3 check.py "$release"
done
finish
