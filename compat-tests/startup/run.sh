#!/bin/bash
# How the process starts and ends: configuration from everywhere, what it says of mistakes, signals, the service manager;
# and log directories that somebody has been in.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
export PYTHONPATH=$folder/..
counted python3 check.py
counted python3 directories.py
finish
