#!/bin/bash
# Incremental fetch sessions over a raw socket: what Apache Kafka answers, step by step.
set -euo pipefail
cd "$(dirname "$0")"
PYTHONPATH=.. exec python3 check.py "$@"
