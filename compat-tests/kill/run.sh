#!/bin/bash
# Produce, kill -9, start again, consume, 50 times (1,000 in the long form).
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
python_packages python confluent-kafka==2.16.1
export PYTHONPATH=$folder/..
exec "$cache/python/bin/python" check.py "$@"
