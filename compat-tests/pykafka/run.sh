#!/bin/bash
# pykafka 2.8.0, the last: requests of 2013 to 2016, no version negotiation.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
python_packages python pykafka==2.8.0 python-snappy==0.7.3
counted with_broker "$@" -- "$cache/python/bin/python" check.py
counted with_broker --metadata --set num.partitions=4 "$@" -- "$cache/python/bin/python" balanced.py
finish
