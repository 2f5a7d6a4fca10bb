"""A rolling restart of three brokers, which Kafka's Java clients with default settings do not notice.

The producer's sends all succeed, and poll() never throws, although each broker in turn stops, hands over what it leads,
and comes back. Run with the class path of the clients: rolling.py CLASSPATH
"""

import re
import subprocess
import sys

from harness import brokers
from harness.checks import Checks, exit_with
from harness.cluster import elect, in_sync, led_by
from members import EVERYBODY, Member, create_topic, metadata_service, one_cluster

TOPIC = "shared"
checks = Checks()


class Clients:
    """Defaults.java, from its first record until what() it did is asked."""

    def __init__(self, bootstrap, class_path, log):
        words = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
                 "-cp", class_path, "Defaults", bootstrap, TOPIC]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                                        preexec_fn=brokers.end_with_parent)
        self.process.stdout.readline()      # It sends.

    def what(self):
        said, _ = self.process.communicate("enough\n", timeout=180)
        return said

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def roll(cluster, class_path):
    one_cluster(checks, cluster)
    bootstrap = ",".join(broker.bootstrap for broker in cluster)
    create_topic(checks, cluster, TOPIC, configs=())
    with open(cluster[0].folder / "clients", "w") as log, Clients(bootstrap, class_path, log) as clients:
        # Made while a broker is away, it has fewer replicas.
        in_sync(bootstrap, "__consumer_offsets", *EVERYBODY)
        for broker in cluster:
            rest = [number for number in EVERYBODY if number != broker.number]
            other = next(each for each in cluster if each is not broker)
            checks.equal(broker.stop(), 0, f"broker {broker.number} ends cleanly")
            in_sync(other.bootstrap, TOPIC, *rest)
            broker.start()
            in_sync(other.bootstrap, TOPIC, *EVERYBODY)
            in_sync(other.bootstrap, "__consumer_offsets", *EVERYBODY)
            done, said = elect(other.bootstrap)
            checks.that(done, f"broker {broker.number} gets back what it leads", said)
        led_by(bootstrap, TOPIC, {0: 1, 1: 2, 2: 3})
        said = clients.what()
    counts = re.search(r"sent (\d+) acknowledged (\d+) read (\d+)", said)
    checks.that(counts is not None, "the clients tell what they did", said[-500:])
    sent, acknowledged, read = map(int, counts.groups())
    checks.that(sent > 0 and acknowledged == sent, "every send is acknowledged", said[-500:])
    checks.equal(read, acknowledged, "and read")
    checks.equal([line for line in said.splitlines() if line.startswith("trouble")][:3], [], "no send failed, and no poll threw")


def main():
    with metadata_service() as (stack, service):
        cluster = [stack.enter_context(Member(number, service.port)) for number in EVERYBODY]
        checks.run("a rolling restart under clients with default settings", roll, cluster, sys.argv[1])
        if checks.failed:
            for broker in cluster:
                print(f"--- the last lines of broker {broker.number}\n{broker.log_tail()}---")
    exit_with(checks)


if __name__ == "__main__":
    sys.exit(main())
