#!/bin/bash
# F5, F7 to F11: damaged files, disks that fail, standstills, bad networks, clocks that jump, groups in turmoil.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
python_packages python confluent-kafka==2.16.1
export PYTHONPATH=$folder/..
exec "$cache/python/bin/python" check.py "$@"
