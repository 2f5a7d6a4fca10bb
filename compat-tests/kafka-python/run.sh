#!/bin/bash
# kafka-python, pure Python: 2.0.2 probes versions as most programs in production still do, 3.0 is the newest.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
codecs='python-snappy==0.7.3 lz4==4.4.4 zstandard==0.23.0'
for version in 2.0.2 3.0.12; do
    python_packages "$version" kafka-python==$version $codecs
    counted with_broker "$@" -- "$cache/$version/bin/python" check.py
done
finish
