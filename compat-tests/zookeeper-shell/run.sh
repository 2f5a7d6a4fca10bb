#!/bin/bash
# scripts/zkCli.sh beside Apache ZooKeeper's own shell (3.8.4, of Kafka 3.9.1): on our server and on Apache's.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
timed "kafka 3.9.1" env PYTHONPATH="$folder/.." python3 -c "from harness import kafka; kafka.home('3.9.1')"
counted env PYTHONPATH="$folder/.." python3 check.py "$@"
finish
