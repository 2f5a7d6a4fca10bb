#!/bin/bash
# kafka-python's record classes, 2.0.2 and 2.2.15: batches and message sets of ours read there, theirs read here.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
codecs='python-snappy==0.7.3 lz4==4.4.4 zstandard==0.23.0 crc32c==2.7.1 xxhash==3.5.0'
export RECORDS_PROBE=${RECORDS_PROBE:-$(dirname "${MILENA_BINARY:-$(cd ../.. && pwd)/build/milena}")/protocol/records/records_probe}
export PYTHONPATH=$(dirname "$harness")
for version in 2.0.2 2.2.15; do
    python_packages "$version" kafka-python==$version $codecs
    counted "$cache/$version/bin/python" check.py
done
finish
