#!/bin/bash
# The same requests go to Milena and to Apache Kafka; the decoded answers agree, field by field.
set -euo pipefail
cd "$(dirname "$0")"
PYTHONPATH=..:. exec python3 check.py "$@"
