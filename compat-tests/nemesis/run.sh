#!/bin/bash
# Three brokers and a metadata service under a nemesis; the history of a load on them is checked. F14.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
python_packages python confluent-kafka==2.16.1
counted env PYTHONPATH="$folder/.." "$cache/python/bin/python" check.py "$@"
if [ -n "${TEST_ALL:-}" ]; then
    counted env PYTHONPATH="$folder/.." "$cache/python/bin/python" check.py --islands --seconds 300
fi
finish
