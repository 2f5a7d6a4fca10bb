#!/bin/bash
# kcat 1.7.1 of Debian, on librdkafka 2.0.2.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
with_broker "$@" -- python3 check.py
