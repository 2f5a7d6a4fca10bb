#!/bin/bash
# ZooKeeper's clients of other languages on the metadata port, with a kill -9 of the server in the middle:
# libzookeeper_mt (Debian's), go-zookeeper/zk 1.0.4, node-zookeeper-client 1.1.3, Apache ZooKeeper's Java client 3.8.4.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
timed "cc" cc -std=c17 -D_GNU_SOURCE -DTHREADED -Wall -Wextra -Werror -o "$cache/c" c/check.c -lzookeeper_mt -lpthread
export GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
timed "go modules" fetched go list -C go -deps .
timed "go build" go build -C go -o "$cache/go" .
node_packages node-zookeeper-client@1.1.3
timed "kafka 3.9.1" env PYTHONPATH="$folder/.." python3 -c "from harness import kafka; kafka.home('3.9.1')"
counted env PYTHONPATH="$folder/.." python3 check.py "$@"
finish
