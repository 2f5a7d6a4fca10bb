#!/bin/bash
# kafka-topics, kafka-configs, kafka-reassign-partitions and kafka-preferred-replica-election with --zookeeper:
# ours beside those of Apache Kafka 2.8.2, the last that had them all.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
timed "kafka 2.8.2" env PYTHONPATH="$folder/.." python3 -c "from harness import kafka; kafka.home('2.8.2')"
counted env PYTHONPATH="$folder/.." python3 check.py "$@"
finish
