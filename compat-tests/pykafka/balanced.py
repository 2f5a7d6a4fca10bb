"""pykafka's BalancedConsumer of the ZooKeeper years: members and owners below /consumers, offsets at the broker.

Two of them share a topic, one leaves, the other takes over; beside them a group of the later protocol reads the same topic.
"""

import os
import time

from kazoo.client import KazooClient
from pykafka import KafkaClient
from pykafka.common import OffsetType

from harness.checks import Checks, exit_with

BOOTSTRAP, ZOOKEEPER = os.environ["BOOTSTRAP"], os.environ["ZOOKEEPER"]
TOPIC, GROUP = b"pykafka-balanced", b"pykafka-zookeeper"
ROUND = 40
WAIT = 120
checks = Checks()


class Member:
    """A consumer with a client of its own, which has to be kept: pykafka holds it weakly."""

    def __init__(self, group, **more):
        self.client = KafkaClient(hosts=BOOTSTRAP, broker_version="0.9.0")
        self.consumer = self.client.topics[TOPIC].get_balanced_consumer(
            group, auto_offset_reset=OffsetType.EARLIEST, consumer_timeout_ms=200, rebalance_max_retries=20, **more)
        self.read = []

    def consume(self):
        message = self.consumer.consume()
        if message is not None:
            self.read.append(int(message.value))

    def partitions(self):
        return sorted(self.consumer.partitions)


def until(members, holds):
    """Have the members consume until something holds. Returns whether it came to that."""
    deadline = time.monotonic() + WAIT
    while not holds() and time.monotonic() < deadline:
        for member in members:
            member.consume()
    return holds()


def produce(producer, first):
    for number in range(first, first + ROUND):
        producer.produce(b"%d" % number)


def balanced():
    client = KafkaClient(hosts=BOOTSTRAP)
    producer = client.topics[TOPIC].get_sync_producer()
    zookeeper = KazooClient(ZOOKEEPER)
    zookeeper.start(WAIT)
    folder = f"/consumers/{GROUP.decode()}"

    produce(producer, 0)
    later = Member(b"pykafka-beside", managed=True)
    one = Member(GROUP, managed=False, zookeeper_connect=ZOOKEEPER)
    checks.that(until([one], lambda: len(one.read) == ROUND), "one member reads all partitions", one.read)
    one.consumer.commit_offsets()

    other = Member(GROUP, managed=False, zookeeper_connect=ZOOKEEPER)
    checks.that(until([one, other], lambda: len(one.partitions()) == len(other.partitions()) == 2),
                "a second one gets half of them", (one.partitions(), other.partitions()))
    checks.equal(sorted(one.partitions() + other.partitions()), [0, 1, 2, 3], "and no partition has two owners")
    checks.equal(len(zookeeper.get_children(f"{folder}/ids")), 2, "both are below /consumers/GROUP/ids")
    # The topic's name stands there as Python shows bytes: b'pykafka-balanced'.
    topics = zookeeper.get_children(f"{folder}/owners")
    checks.equal([len(zookeeper.get_children(f"{folder}/owners/{topic}")) for topic in topics], [4],
                 "and four partitions are owned below /consumers/GROUP/owners")

    produce(producer, ROUND)
    checks.that(until([one, other], lambda: len(one.read) + len(other.read) == 2 * ROUND), "together they read what comes",
                (one.read, other.read))
    checks.that(len(one.read) > ROUND and other.read, "each its share", (one.read, other.read))
    one.consumer.commit_offsets()
    other.consumer.commit_offsets()
    one.consumer.stop()
    checks.that(until([other], lambda: other.partitions() == [0, 1, 2, 3]), "when one leaves, the other takes over",
                other.partitions())
    produce(producer, 2 * ROUND)
    checks.that(until([other], lambda: len(one.read) + len(other.read) == 3 * ROUND), "and reads what was the first one's",
                (one.read, other.read))
    checks.equal(sorted(one.read + other.read), list(range(3 * ROUND)), "nothing is read twice, nothing is left out")
    other.consumer.stop()

    checks.that(until([later], lambda: len(later.read) == 3 * ROUND), "a group of the later protocol reads all of it, too",
                later.read)
    checks.equal(sorted(later.read), list(range(3 * ROUND)), "and once")
    later.consumer.stop()
    producer.stop()
    zookeeper.stop()
    zookeeper.close()


checks.run("balanced", balanced)
exit_with(checks)
