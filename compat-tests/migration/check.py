"""A cluster of three Apache Kafka 3.9.1 becomes one of ours, broker by broker on the same directories, and returns.

What docs/migration.md says, done under a load of idempotent producers with acks=all: a broker is stopped, the other
product is started on its directories, its address and its settings, and the next one is not touched before everything is
in sync again. The tree is an Apache ZooKeeper all the time.
"""

import contextlib
import shutil
import sys

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from harness import brokers
from harness.checks import Checks, exit_with
from harness.cluster import agreed_controller, in_sync, readable_directory, stop_the_same, wait_until
from harness.load import Load

TOPIC = "moving"
IDS = (1, 2, 3)
ASSIGNMENT = [[1, 2, 3], [2, 3, 1], [3, 1, 2]]
GROUP_OFFSETS = {partition: 10 + partition for partition in range(len(ASSIGNMENT))}
SETTINGS = {
    "auto.create.topics.enable": "false", "default.replication.factor": "3", "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3", "offsets.topic.num.partitions": "3",
    "zookeeper.session.timeout.ms": "6000", "replica.lag.time.max.ms": "6000", "controlled.shutdown.retry.backoff.ms": "500",
}
checks = Checks()


class Place:
    """A broker's number, address and directories, and which of the two products runs there."""

    def __init__(self, number, zookeeper=None):
        self.theirs = brokers.ApacheKafka39({**SETTINGS, "broker.id": str(number)})
        if zookeeper is not None:
            self.theirs.zookeeper, self.theirs.zookeeper_port = zookeeper, zookeeper.port
        self.ours = brokers.Milena({**SETTINGS, "broker.id": str(number), "log.dirs": str(self.theirs.data),
                                    "zookeeper.connect": f"127.0.0.1:{self.theirs.zookeeper_port}"})
        self.ours.port = self.theirs.port
        self.number, self.running = number, self.theirs

    def __getattr__(self, name):        # What every broker can do, the running one does.
        return getattr(self.running, name)

    @property
    def data(self):
        return self.theirs.data

    def change(self):
        """Stop the one and start the other."""
        before, after = (self.theirs, self.ours) if self.running is self.theirs else (self.ours, self.theirs)
        code = before.stop()
        checks.that(code in (0, 143), f"broker {self.number} ({before.name}) ends cleanly", f"exit code {code}")
        self.running = after
        after.start()

    def close(self):
        for broker in (self.ours, self.theirs):
            if broker.process is not None and broker.alive():
                broker.kill()
            shutil.rmtree(broker.folder, ignore_errors=True)


def commit(bootstrap):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "travellers", "enable.auto.commit": False, "log_level": 0})
    def stored():
        consumer.commit(offsets=[TopicPartition(TOPIC, *each) for each in GROUP_OFFSETS.items()], asynchronous=False)
        return True
    wait_until(stored, "offsets are committed")
    consumer.close()


def committed(bootstrap):
    consumer, found = Consumer({"bootstrap.servers": bootstrap, "group.id": "travellers", "log_level": 0}), []
    def look():     # The coordinator may still be loading.
        found[:] = consumer.committed([TopicPartition(TOPIC, partition) for partition in GROUP_OFFSETS], timeout=30)
        return True
    wait_until(look, "offsets are asked for")
    consumer.close()
    return {each.partition: each.offset for each in found}


def change_all(places, load, to):
    for place in places:
        with load.during(f"broker {place.number} becomes {to}", 100):
            place.change()
            for each in places:
                in_sync(each.bootstrap, TOPIC, *IDS)
                in_sync(each.bootstrap, "__consumer_offsets", *IDS)
    load.compare(f"all are {to}")
    for place in places:
        checks.equal(committed(place.bootstrap), GROUP_OFFSETS, f"all are {to}: a group's offsets by way of broker {place.number}")
    agreed_controller(places)
    checks.that(all(place.alive() for place in places), f"all are {to}: and all are alive")


def migrate(places):
    client = AdminClient({"bootstrap.servers": places[0].bootstrap, "log_level": 0})
    wait_until(lambda: sorted(client.list_topics(timeout=10).brokers) == [*IDS], "three Kafkas are one cluster")
    client.create_topics([NewTopic(TOPIC, len(ASSIGNMENT), replica_assignment=ASSIGNMENT)])[TOPIC].result(60)
    in_sync(places[0].bootstrap, TOPIC, *IDS)
    load = Load(checks, places, TOPIC, len(ASSIGNMENT))
    with load.during("only Kafkas"):
        commit(places[0].bootstrap)
    change_all(places, load, "Milena")
    late = AdminClient({"bootstrap.servers": places[0].bootstrap, "log_level": 0})
    late.create_topics([NewTopic("late", 1, 3)])["late"].result(60)
    in_sync(places[1].bootstrap, "late", *IDS)
    checks.that(True, "a cluster of ours makes topics")
    change_all(places, load, "Kafka again")
    in_sync(places[0].bootstrap, "late", *IDS)
    checks.that(True, "which are there when Kafka is back")


def main():
    with contextlib.ExitStack() as stack:
        first = Place(1)
        places = [first, *(Place(number, first.theirs.zookeeper) for number in IDS[1:])]
        stack.callback(first.theirs.zookeeper.stop)
        for place in places:
            stack.callback(place.close)
        for place in places:
            place.start()
        checks.run("there and back", migrate, places)
        stop_the_same(checks, places, TOPIC)
        if checks.failed == 0:
            checks.run("for kafka-dump-log", readable_directory, checks, first, TOPIC)
        if checks.failed:
            for place in places:
                for broker in (place.theirs, place.ours):
                    print(f"--- the last lines of broker {place.number}, {broker.name}\n{broker.log_tail()}---")
    exit_with(checks)


if __name__ == "__main__":
    sys.exit(main())
