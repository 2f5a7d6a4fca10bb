"""Two brokers of Apache Kafka 3.9.1 and one of ours are one cluster; a Kafka is its controller.

Records are written with acks=all by idempotent producers, while leaders move to ours and away from
it and brokers are killed. At the end every replica of every partition is the same, byte for byte.
"""

import argparse
import contextlib
import json
import sys

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from harness import brokers
from harness.checks import Checks, exit_with
from harness.cluster import agreed_controller, elect, in_sync, led_by, readable_directory, stop_the_same, wait_until
from harness.load import Load

TOPIC = "shared"
ASSIGNMENT = [[1, 2, 3], [2, 3, 1], [3, 1, 2]]      # The last one is led by ours.
OURS = 3

SETTINGS = {
    "auto.create.topics.enable": "false", "auto.leader.rebalance.enable": "false",
    "default.replication.factor": "3", "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3", "offsets.topic.num.partitions": "3",
    "zookeeper.session.timeout.ms": "6000", "replica.lag.time.max.ms": "6000",
    "controlled.shutdown.retry.backoff.ms": "500", "log.flush.start.offset.checkpoint.interval.ms": "1000",
    "replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector",
}

checks = Checks()


def settings_of(number):
    return {**SETTINGS, "broker.id": str(number), "broker.rack": f"rack-{number}"}


class Kafka(brokers.ApacheKafka39):
    """One more broker on a ZooKeeper that is somebody else's."""

    def __init__(self, zookeeper, number):
        super().__init__(settings_of(number))
        self.zookeeper, self.zookeeper_port = zookeeper, zookeeper.port

    def __exit__(self, *arguments):
        brokers.Broker.__exit__(self, *arguments)


class Ours(brokers.Milena):
    def __init__(self, zookeeper, number):
        super().__init__({**settings_of(number), "zookeeper.connect": f"127.0.0.1:{zookeeper.port}"})


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


def reads_from_followers(cluster):
    """A consumer reads from the replica in its rack: ours where a Kafka leads, a Kafka's where ours does."""
    for partition, near in ((0, OURS), (2, 1)):
        seen = {}
        def note(text):
            found = json.loads(text)["topics"].get(TOPIC, {}).get("partitions", {}).get(str(partition), {})
            seen["broker"] = found.get("broker")
        consumer = Consumer({"bootstrap.servers": cluster[0].bootstrap, "group.id": "near", "client.rack": f"rack-{near}",
                             "enable.auto.commit": False, "statistics.interval.ms": 100, "stats_cb": note, "log_level": 0})
        consumer.assign([TopicPartition(TOPIC, partition, 0)])
        offsets = []
        def look():
            message = consumer.poll(1)
            if message and not message.error():
                offsets.append(message.offset())
            return seen.get("broker") == near and len(offsets) >= 20 or (seen, len(offsets))
        wait_until(look, f"partition {partition} is read from broker {near}")
        consumer.close()
        checks.equal(offsets, list(range(len(offsets))), f"a consumer in rack {near} reads partition {partition} there")


def deletes_records(cluster, client):
    """Where records are deleted, followers of either kind have deleted them too."""
    topic = "short"
    client.create_topics([NewTopic(topic, len(ASSIGNMENT), replica_assignment=ASSIGNMENT)])[topic].result(60)
    led_by(cluster[0].bootstrap, topic, {0: 1, 1: 2, 2: OURS})
    producer = Producer({"bootstrap.servers": cluster[0].bootstrap, "log_level": 0})
    for number in range(30):
        producer.produce(topic, f"{number}", partition=number % len(ASSIGNMENT))
    checks.equal(producer.flush(120), 0, "records are sent that are to be deleted")
    wanted = [TopicPartition(topic, partition, 4) for partition in range(len(ASSIGNMENT))]
    for at, done in client.delete_records(wanted, request_timeout=60).items():
        checks.equal(done.result(60).low_watermark, 4, f"records of the partition that broker {at.partition + 1} leads are deleted")
        for broker in cluster:
            note = broker.data / "log-start-offset-checkpoint"
            def look():     # It is written from time to time.
                lines = note.read_text().splitlines() if note.exists() else []
                return f"{topic} {at.partition} 4" in lines or lines
            wait_until(look, f"{broker.name} {broker.settings['broker.id']} begins {topic}-{at.partition} at 4")


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
    load = Load(checks, cluster, TOPIC, len(ASSIGNMENT))

    with load.during("three leaders"):
        pass
    load.compare("three leaders")
    offsets_of_groups(cluster)
    reads_from_followers(cluster)
    deletes_records(cluster, client)

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
    load.compare("after two kills")
    offsets_of_groups(cluster)

    with load.during("ours stops"):
        code = ours.stop()
        checks.equal(code, 0, "ours ends cleanly")
        in_sync(one.bootstrap, TOPIC, 1, 2)
    with load.during("ours starts again"):
        ours.start()
        in_sync(one.bootstrap, TOPIC, *everybody)
    in_sync(one.bootstrap, "__consumer_offsets", *everybody)
    load.compare("at the end")


def main():
    argparse.ArgumentParser().parse_args()
    with contextlib.ExitStack() as stack:
        first = brokers.ApacheKafka39(settings_of(1))
        stack.enter_context(first)
        cluster = [first]
        for broker in (Kafka(first.zookeeper, 2), Ours(first.zookeeper, OURS)):
            agreed_controller(cluster)      # Before another could be.
            cluster.append(stack.enter_context(broker))
        checks.run("two Kafkas and ours", happen, cluster)
        stop_the_same(checks, cluster, TOPIC)      # ZooKeeper and the controller go last.
        if checks.failed == 0:
            checks.run("our directory", readable_directory, checks, cluster[-1], TOPIC)
        if checks.failed:
            for broker in cluster:
                print(f"--- the last lines of broker {broker.settings['broker.id']}\n{broker.log_tail()}---")
    exit_with(checks)


if __name__ == "__main__":
    sys.exit(main())
