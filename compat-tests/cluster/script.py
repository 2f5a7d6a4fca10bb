"""scripts/cluster: what it starts, kills and stops, with our own tools beside it, as a person would."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from harness import brokers
from harness.checks import Checks, exit_with

SCRIPTS = brokers.ROOT / "scripts"
RECORDS = "".join(f"{number}\n" for number in range(1000))
checks = Checks()


class Place:
    def __init__(self, folder):
        self.port = brokers.free_ports(3)
        self.environment = {**os.environ, "MILENA": brokers.binary(), "MILENA_DATA": str(folder), "CLUSTER_PORT": str(self.port),
                            "CLUSTER_METADATA_PORT": str(brokers.free_port())}

    def run(self, name, *words, text=""):
        """A script's exit code and what it printed."""
        done = subprocess.run([SCRIPTS / name, *words], input=text, capture_output=True, text=True, timeout=300, env=self.environment)
        return done.returncode, done.stdout + done.stderr

    def cluster(self, *words):
        code, said = self.run("cluster", *words)
        checks.equal(code, 0, f"scripts/cluster {' '.join(words)}")
        return said

    @property
    def bootstrap(self):
        return ",".join(f"localhost:{self.port + at}" for at in range(3))


def happen(place):
    said = place.cluster("start", "3")
    checks.that(place.bootstrap in said, "start prints the bootstrap servers", said)
    code, said = place.run("kafka-topics.sh", "--bootstrap-server", place.bootstrap, "--create", "--topic", "t", "--partitions", "12",
                           "--replication-factor", "3", "--config", "min.insync.replicas=2")
    checks.equal((code, said.strip()), (0, "Created topic t."), "a topic with three replicas")
    code, said = place.run("kafka-console-producer.sh", "--bootstrap-server", place.bootstrap, "--topic", "t", "--producer-property",
                           "acks=all", text=RECORDS)
    checks.equal(code, 0, "records are produced")
    place.cluster("kill", "2")
    checks.that("broker-2: not running" in place.cluster("status"), "status knows who was killed")
    code, said = place.run("kafka-console-consumer.sh", "--bootstrap-server", place.bootstrap, "--topic", "t", "--from-beginning",
                           "--max-messages", "1000")
    checks.equal(sorted(int(line) for line in said.splitlines() if line.isdigit()), list(range(1000)),
                 "without one broker all records can be read")
    place.cluster("start-broker", "2")
    checks.that("broker-2: process" in place.cluster("status"), "it is back")
    place.cluster("stop-broker", "1")
    place.cluster("start", "3")
    code, said = place.run("cluster", "kill", "9")
    checks.that(code == 1 and "there is no broker 9" in said, "a broker that is not there: one line", said)
    place.cluster("stop")
    checks.equal(place.cluster("status").count("not running"), 4, "stop ends all of them")


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="milena-test-cluster-"))
    place = Place(folder)
    try:
        checks.run("scripts/cluster", happen, place)
    finally:
        for pid in folder.glob("cluster/*/pid"):
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(pid.read_text()), signal.SIGKILL)
        if checks.failed:
            for log in folder.glob("cluster/*/log"):
                print(f"--- {log.parent.name}\n{log.read_text()[-2000:]}---")
        shutil.rmtree(folder, ignore_errors=True)
    exit_with(checks)


if __name__ == "__main__":
    main()
