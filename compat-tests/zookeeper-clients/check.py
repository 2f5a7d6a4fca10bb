"""ZooKeeper's clients of other languages, each a program of its own that says what it sees.

    check.py [--only WORD] [--against kafka39]     # Apache ZooKeeper, when in doubt

A program prints the lines of checks.py. When it prints RESTART, the server is killed with SIGKILL and started again,
and the program goes on when it is connected again.
"""

import argparse
import os
import pathlib
import subprocess
import sys

from harness import brokers, kafka
from harness.checks import Checks

HERE = pathlib.Path(__file__).resolve().parent
CACHE = kafka.CACHE / HERE.name
SECONDS = 400
checks = Checks()


def java():
    jars, classes = f"{kafka.home('3.9.1')}/libs/*", CACHE / "classes"
    subprocess.run(["javac", "-d", classes, "-cp", jars, HERE / "java/Check.java"], check=True)
    return ["java", "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{classes}:{jars}",
            f"-Dlog4j.configuration=file:{HERE.parent}/harness/log4j-tools.properties", "-Dlog4j.rootLogger=OFF", "Check"]


PROGRAMS = {"c": lambda: [CACHE / "c"], "go": lambda: [CACHE / "go"], "node": lambda: ["node", HERE / "node/check.js"],
            "java": java}


def restart(broker):
    if isinstance(broker, brokers.Milena):
        broker.kill()
        broker.start()
    else:
        broker.zookeeper.kill()
        broker.zookeeper.start()


def run(name, words, broker, address):
    """One program. What it did not come to say in time is a failed check."""
    child = subprocess.Popen(["timeout", str(SECONDS), *words, address], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True, errors="replace",
                             env={**os.environ, "NODE_PATH": str(CACHE / "node_modules")})
    ended = False
    for line in child.stdout:
        if line == "RESTART\n":
            restart(broker)
        elif line == "END\n":
            ended = True
        elif line.startswith(("ok ", "FAILED ")):
            word, rest = line.split(" ", 1)
            checks.take(f"{word} {name}: {rest}")
    code = child.wait()
    checks.equal((ended, code), (True, 0), f"{name}: it comes to its end")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=PROGRAMS)
    parser.add_argument("--against", default="milena", choices=["milena", "kafka39"])
    options = parser.parse_args()
    port = brokers.free_port()
    ours = options.against == "milena"
    broker = brokers.make(options.against, {"milena.metadata.port": str(port)} if ours else {})
    try:
        if ours:
            broker.start()
        else:
            broker.start_zookeeper()
            port = broker.zookeeper_port
        for name, words in PROGRAMS.items():
            if options.only in (None, name):
                checks.run(name, run, name, [str(word) for word in words()], broker, f"127.0.0.1:{port}")
        if ours:
            checks.equal(broker.stop(), 0, "the server ends cleanly")
        if checks.failed:
            print(f"--- the server's last lines\n{broker.log_tail()}---")
    finally:
        broker.__exit__(None, None, None)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
