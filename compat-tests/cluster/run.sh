#!/bin/bash
# Three brokers of ours are a cluster: as scripts/cluster makes it, with a metadata service beside them, and in one of them;
# restarted one after the other under clients with default settings; used wrongly; beside an Apache Kafka, told of another
# topic under the same name; and with a log directory that goes away.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
python_packages python confluent-kafka==2.16.1
timed "kafka 3.9.1" env PYTHONPATH="$folder/.." python3 -c "from harness import kafka; kafka.home('3.9.1')"
jars=$(env PYTHONPATH="$folder/.." python3 -c "from harness import kafka; print(kafka.home('3.9.1'))")/libs
timed "javac" javac -d "$cache/classes" -cp "$jars/*" Defaults.java
python() { env PYTHONPATH="$folder/.." "$cache/python/bin/python" "$@"; }
counted env PYTHONPATH="$folder/.." python3 script.py
counted python check.py "$@"
counted python rolling.py "$cache/classes:$jars/*"
counted python mistakes.py
counted python ids.py
counted python failed_directory.py ours kafka
finish
