#!/bin/bash
# The history checker's own tests: one hand-made history for each name it knows, and one without fault.
set -euo pipefail
cd "$(dirname "$0")"
PYTHONPATH=.. exec python3 check.py
