#!/bin/bash
# What a hostile client can send: after each attack the broker lives, is small, and serves others.
set -euo pipefail
cd "$(dirname "$0")"
PYTHONPATH=.. exec python3 check.py "$@"
