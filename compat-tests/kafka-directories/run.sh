#!/bin/bash
# Log directories of Apache Kafka 3.9.1 and 4.3.1: imported, served, written to, and handed back.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
python_packages python confluent-kafka==2.16.1
export PYTHONPATH=$folder/..
exec "$cache/python/bin/python" check.py "$@"
