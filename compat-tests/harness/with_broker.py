"""Run a test program against a fresh broker, and count what it says.

    with_broker.py [--against kafka39] [--metadata] [--set KEY=VALUE]... [--seconds N] -- COMMAND...

The command finds the broker's address in BOOTSTRAP and, with --metadata, the address of its
metadata for ZooKeeper's clients in ZOOKEEPER. It prints `ok NAME` and `FAILED NAME: why`
lines; afterwards the broker must still be alive, and end cleanly when asked to.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import brokers, checks  # noqa: E402


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", default="milena", choices=brokers.KINDS)
    parser.add_argument("--metadata", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    seen = checks.Checks()
    settings = dict(pair.split("=", 1) for pair in arguments.set)
    if arguments.metadata and arguments.against == "milena":
        settings["milena.metadata.port"] = str(brokers.free_port())
    with brokers.make(arguments.against, settings) as broker:
        run(arguments.command, broker, arguments.seconds, seen)
        if seen.that(broker.alive(), "the broker is alive", f"exit code {broker.process.child.returncode}"):
            code = broker.stop()
            # A JVM that SIGTERM ends says 143 after its clean shutdown.
            seen.that(code in (0, 143), "the broker ends cleanly", f"exit code {code}")
        if seen.failed:
            print(f"--- the broker's last lines\n{broker.log_tail()}---")
    return seen.finish()


def run(words, broker, seconds, seen):
    environment = {**os.environ, "BOOTSTRAP": broker.bootstrap, "ZOOKEEPER": broker.metadata or "", "PYTHONPATH": str(brokers.ROOT / "compat-tests")}
    with subprocess.Popen(words, env=environment, text=True, errors="replace", stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0,
                          preexec_fn=brokers.end_with_parent) as child:
        overdue = threading.Timer(seconds, lambda: os.killpg(child.pid, 9))
        overdue.start()
        for line in child.stdout:
            seen.take(line)
        code = child.wait()
        in_time = overdue.is_alive()
        overdue.cancel()
    seen.that(in_time, "the program ends in time", f"stopped after {seconds:.0f} s")
    if in_time and not seen.failed:
        seen.that(code == 0, "the program ends well", f"exit code {code}")


if __name__ == "__main__":
    sys.exit(main())
