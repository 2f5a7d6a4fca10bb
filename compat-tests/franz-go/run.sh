#!/bin/bash
# franz-go 1.18.1: pure Go, the newest requests of its time.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
go_program
with_broker "$@" -- "$cache/check"
