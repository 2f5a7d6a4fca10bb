#!/bin/bash
# Apache Kafka's own command-line tools, of 3.9.1 and of 4.3.1: what they say, word for word where scripts grep it.
# And those that move partitions, on a broker with two log directories, ours among them.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
move() {
    local directories=$scratch/$1-a,$scratch/$1-b
    counted with_broker --set "log.dirs=$directories" --seconds 900 "${@:2}" -- env "LOG_DIRS=$directories" python3 moves.py "$1"
}
for release in 3.9.1 4.3.1; do
    timed "kafka $release" env PYTHONPATH="$folder/.." python3 -c "from harness import kafka; kafka.home('$release')"
    counted with_broker --seconds 1800 "$@" -- python3 check.py "$release"
    move "$release" "$@"
done
move ours "$@"
finish
