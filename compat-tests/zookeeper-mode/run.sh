#!/bin/bash
# A broker whose metadata is in Apache ZooKeeper, and Kafka 2.8's tools that write there.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
python_packages kazoo kazoo==2.10.0
timed "kafka 3.9.1" env PYTHONPATH="$folder/.." python3 -c "from harness import kafka; kafka.home('3.9.1')"
timed "kafka 2.8.2" env PYTHONPATH="$folder/.." python3 -c "from harness import kafka; kafka.home('2.8.2')"
counted env PYTHONPATH="$folder/.." "$cache/kazoo/bin/python" check.py "$@"
finish
