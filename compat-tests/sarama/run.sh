#!/bin/bash
# sarama 1.46.0: pure Go, since 2013.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
go_program
with_broker "$@" -- "$cache/check"
