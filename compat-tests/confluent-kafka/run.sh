#!/bin/bash
# confluent-kafka 2.16.1: librdkafka as most of Python uses it.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
python_packages python confluent-kafka==2.16.1
with_broker "$@" -- "$cache/python/bin/python" check.py
