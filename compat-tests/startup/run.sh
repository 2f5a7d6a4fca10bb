#!/bin/bash
# How the process starts and ends: configuration from everywhere, what it says of mistakes, signals, the service manager.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
export PYTHONPATH=$folder/..
exec python3 check.py "$@"
