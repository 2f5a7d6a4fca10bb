"""Two brokers of Apache Kafka 3.9.1 and one of ours are one cluster; a Kafka is its controller.

Records are written with acks=all by idempotent producers, while leaders move to ours and away from
it and brokers are killed. At the end every replica of every partition is the same, byte for byte.
"""

import argparse
import contextlib
import itertools
import sys
import threading

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from harness import brokers, history, workload
from harness.checks import Checks, exit_with
from harness.cluster import elect, in_sync, led_by, readable_directory, same_directories, wait_until

TOPIC = "shared"
ASSIGNMENT = [[1, 2, 3], [2, 3, 1], [3, 1, 2]]      # The last one is led by ours.
OURS = 3

SETTINGS = {
    "auto.create.topics.enable": "false", "auto.leader.rebalance.enable": "false",
    "default.replication.factor": "3", "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3", "offsets.topic.num.partitions": "3",
    "zookeeper.session.timeout.ms": "6000", "replica.lag.time.max.ms": "6000",
    "controlled.shutdown.retry.backoff.ms": "500",
}

checks = Checks()


class Kafka(brokers.ApacheKafka39):
    """One more broker on a ZooKeeper that is somebody else's."""

    def __init__(self, zookeeper, number):
        super().__init__({**SETTINGS, "broker.id": str(number)})
        self.zookeeper, self.zookeeper_port = zookeeper, zookeeper.port

    def __exit__(self, *arguments):
        brokers.Broker.__exit__(self, *arguments)


class Ours(brokers.Milena):
    def __init__(self, zookeeper, number):
        super().__init__({**SETTINGS, "broker.id": str(number), "zookeeper.connect": f"127.0.0.1:{zookeeper.port}"})


class Load:
    """Idempotent producers, one after the other; what they wrote is held against what is read."""

    def __init__(self, bootstrap):
        self.bootstrap, self.numbers, self.operations, self.count = bootstrap, workload.Numbers(), [], itertools.count(1)

    @contextlib.contextmanager
    def during(self, what, records=200):
        """Write while the body happens, about a hundred records a second, and so many more after it."""
        writer = workload.Writer(self.bootstrap, TOPIC, len(ASSIGNMENT), f"writer-{next(self.count)}", self.numbers,
                                 {"linger.ms": 2, "topic.metadata.refresh.interval.ms": 1000})
        writer.start()
        over = threading.Event()
        def feed():
            while not over.wait(0.02):
                writer.allow(2)
        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        try:
            yield
        finally:
            over.set()
            feeder.join()
        writer.allow(records)
        enough = writer.wait_for_acknowledged(writer.allowed, 120)
        writer.stop()
        self.operations += writer.operations
        checks.that(enough and not writer.fatal, f"{what}: records are acknowledged", writer.fatal)
        lost = sum(operation.outcome != "ok" for operation in writer.operations)
        checks.equal(lost, 0, f"{what}: every record was acknowledged in the end")

    def compare(self, cluster, what):
        for broker in cluster:
            polls = workload.read_everything(broker.bootstrap, TOPIC, len(ASSIGNMENT))
            checks.equal(history.verdict(self.operations + polls), "valid",
                         f"{what}: {len(self.operations)} records, read by way of {broker.name} {broker.settings['broker.id']}")
            checks.that(workload.offsets_contiguous(polls), f"{what}: offsets are contiguous")


def offsets_of_groups(cluster):
    """A group for each partition of __consumer_offsets, so that one of them is ours to coordinate."""
    for number in range(6):
        at = [TopicPartition(TOPIC, partition, number * 10 + partition) for partition in range(len(ASSIGNMENT))]
        def consumer(broker):
            return Consumer({"bootstrap.servers": broker.bootstrap, "group.id": f"group-{number}",
                             "enable.auto.commit": False, "log_level": 0})
        one = consumer(cluster[number % 3])
        def commit():
            one.commit(offsets=at, asynchronous=False)
            return True
        wait_until(commit, f"group-{number} commits")
        one.close()
        for broker in cluster:
            other, found = consumer(broker), []
            def look():     # The coordinator may still be loading what it leads now.
                found[:] = other.committed([TopicPartition(TOPIC, each.partition) for each in at], timeout=30)
                return True
            wait_until(look, f"group-{number} is asked for its offsets")
            other.close()
            checks.equal([each.offset for each in found], [each.offset for each in at],
                         f"group-{number}: offsets are there by way of {broker.name} {broker.settings['broker.id']}")


def joins(cluster):
    for broker in cluster:
        def look():
            found = AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0}).list_topics(timeout=10)
            return sorted(found.brokers) == [1, 2, OURS] and found.controller_id in (1, 2) or sorted(found.brokers)
        wait_until(look, "all three are one cluster")
        checks.that(True, f"{broker.name} {broker.settings['broker.id']} knows all three and the controller")


def happen(cluster):
    one, two, ours = cluster
    everybody = (1, 2, OURS)
    joins(cluster)
    client = AdminClient({"bootstrap.servers": ours.bootstrap, "log_level": 0})
    client.create_topics([NewTopic(TOPIC, len(ASSIGNMENT), replica_assignment=ASSIGNMENT)])[TOPIC].result(60)
    in_sync(ours.bootstrap, TOPIC, *everybody)
    led_by(one.bootstrap, TOPIC, {0: 1, 1: 2, 2: OURS})
    load = Load(",".join(broker.bootstrap for broker in cluster))

    with load.during("three leaders"):
        pass
    load.compare(cluster, "three leaders")
    offsets_of_groups(cluster)

    with load.during("ours is killed"):
        ours.kill()
        in_sync(one.bootstrap, TOPIC, 1, 2)
    with load.during("ours comes back"):
        ours.start()
        in_sync(one.bootstrap, TOPIC, *everybody)
    with load.during("ours leads again"):
        done, said = elect(one.bootstrap)
        checks.that(done, "kafka-leader-election gives ours its partition", said)
        led_by(one.bootstrap, TOPIC, {0: 1, 1: 2, 2: OURS})

    with load.during("a Kafka is killed"):
        two.kill()
        in_sync(ours.bootstrap, TOPIC, 1, OURS)
    with load.during("it comes back"):
        two.start()
        in_sync(ours.bootstrap, TOPIC, *everybody)
    load.compare(cluster, "after two kills")
    offsets_of_groups(cluster)

    with load.during("ours stops"):
        code = ours.stop()
        checks.equal(code, 0, "ours ends cleanly")
        in_sync(one.bootstrap, TOPIC, 1, 2)
    with load.during("ours starts again"):
        ours.start()
        in_sync(one.bootstrap, TOPIC, *everybody)
    in_sync(one.bootstrap, "__consumer_offsets", *everybody)
    load.compare(cluster, "at the end")


def main():
    argparse.ArgumentParser().parse_args()
    with contextlib.ExitStack() as stack:
        first = brokers.ApacheKafka39({**SETTINGS, "broker.id": "1"})
        stack.enter_context(first)
        cluster = [first]
        for broker in (Kafka(first.zookeeper, 2), Ours(first.zookeeper, OURS)):
            cluster.append(stack.enter_context(broker))
        checks.run("two Kafkas and ours", happen, cluster)
        # ZooKeeper and the controller go last.
        for broker in reversed(cluster):
            broker.stop()
        if checks.failed == 0:
            checks.run("the directories", same_directories, checks, cluster, TOPIC)
            checks.run("our directory", readable_directory, checks, cluster[-1], TOPIC)
        if checks.failed:
            for broker in cluster:
                print(f"--- the last lines of broker {broker.settings['broker.id']}\n{broker.log_tail()}---")
    exit_with(checks)


if __name__ == "__main__":
    sys.exit(main())
