#!/bin/bash
# ZooKeeper's clients on the metadata port: kazoo, Apache ZooKeeper's own shell, and beside Apache ZooKeeper random requests and hostile ones.
set -euo pipefail
cd "$(dirname "$0")" && . ../harness/prepare.sh
python_packages kazoo kazoo==2.10.0
timed "kafka 3.9.1" env PYTHONPATH="$folder/.." python3 -c "from harness import kafka; kafka.home('3.9.1')"
counted env PYTHONPATH="$folder/.." "$cache/kazoo/bin/python" check.py "$@"
if [[ " $* " != *" --against "* ]]; then
    counted env PYTHONPATH="$folder/.." "$cache/kazoo/bin/python" alone.py
    counted env PYTHONPATH="$folder/.." "$cache/kazoo/bin/python" inside.py
    counted env PYTHONPATH="$folder/.." python3 model.py --seeds 1-12
    counted env PYTHONPATH="$folder/.." python3 hostile.py
    counted env PYTHONPATH="$folder/.." python3 monitor.py
    counted env PYTHONPATH="$folder/.." python3 idle.py
fi
finish
