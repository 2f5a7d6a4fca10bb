#!/bin/bash
# A cluster of three Apache Kafka 3.9.1 becomes one of ours, broker by broker on the same directories, and returns.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
python_packages python confluent-kafka==2.16.1
timed "kafka 3.9.1" env PYTHONPATH="$folder/.." python3 -c "from harness import kafka; kafka.home('3.9.1')"
counted env PYTHONPATH="$folder/.." "$cache/python/bin/python" check.py "$@"
finish
