#!/bin/bash
# kafka-go 0.4.51: pure Go, with very old request versions.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
go_program
with_broker "$@" -- "$cache/check"
