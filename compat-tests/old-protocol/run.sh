#!/bin/bash
# Clients of 2013 to 2016, by their protocol: librdkafka told not to ask for versions.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
with_broker "$@" -- python3 check.py
