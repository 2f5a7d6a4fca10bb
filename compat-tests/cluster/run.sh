#!/bin/bash
# Three brokers of ours are a cluster: as scripts/cluster makes it, with a metadata service beside them, and in one of them.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
python_packages python confluent-kafka==2.16.1
timed "kafka 3.9.1" env PYTHONPATH="$folder/.." python3 -c "from harness import kafka; kafka.home('3.9.1')"
counted env PYTHONPATH="$folder/.." python3 script.py
counted env PYTHONPATH="$folder/.." "$cache/python/bin/python" check.py "$@"
finish
