#!/bin/bash
# Our codecs against Apache Kafka's own message classes, 3.9.1 and 4.4.0, byte for byte. No broker.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
exec python3 check.py
