"""Load: producers that write to a cluster while something happens to it, and what came of their records.

Threads: the test's; while the body of during() runs, two more.
"""

import contextlib
import itertools
import threading

from . import history, workload


class Load:
    """Idempotent producers, one after the other; what they wrote is held against what is read."""

    def __init__(self, checks, cluster, topic, partitions):
        self.checks, self.cluster, self.topic, self.partitions = checks, cluster, topic, partitions
        self.bootstrap = ",".join(broker.bootstrap for broker in cluster)
        self.numbers, self.operations, self.count = workload.Numbers(), [], itertools.count(1)

    @contextlib.contextmanager
    def during(self, what, records=200):
        """Write while the body happens, about a hundred records a second, and so many more after it. Gives the writer."""
        writer = workload.Writer(self.bootstrap, self.topic, self.partitions, f"writer-{next(self.count)}", self.numbers,
                                 {"linger.ms": 2, "topic.metadata.refresh.interval.ms": 1000})
        writer.start()
        over = threading.Event()
        def feed():
            while not over.wait(0.02):
                writer.allow(2)
        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        try:
            yield writer
        finally:
            over.set()
            feeder.join()
        writer.allow(records)
        enough = writer.wait_for_acknowledged(writer.allowed, 120)
        writer.stop()
        self.operations += writer.operations
        self.checks.that(enough and not writer.fatal, f"{what}: records are acknowledged", writer.fatal)
        lost = sum(operation.outcome != "ok" for operation in writer.operations)
        self.checks.equal(lost, 0, f"{what}: every record was acknowledged in the end")

    def compare(self, what):
        for broker in self.cluster:
            polls = workload.read_everything(broker.bootstrap, self.topic, self.partitions, operations=self.operations)
            self.checks.equal(history.verdict(self.operations + polls), "valid",
                         f"{what}: {len(self.operations)} records, read by way of {broker.name} {broker.settings['broker.id']}")
            self.checks.that(workload.offsets_contiguous(polls), f"{what}: offsets are contiguous")
