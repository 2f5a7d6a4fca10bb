"""kafka-python: its own protocol code, so a second opinion on every byte."""

import os
import threading

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewPartitions, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError

from harness.checks import Checks, exit_with

BOOTSTRAP = os.environ["BOOTSTRAP"]
checks = Checks()
# 2.0.2 takes a broker for an older one when it does not say its versions within two seconds.
BROKER = {"bootstrap_servers": BOOTSTRAP} | ({"api_version_auto_timeout_ms": 60000}
                                             if "api_version_auto_timeout_ms" in KafkaConsumer.DEFAULT_CONFIG else {})


def consume(topic, count, **options):
    """The first `count` records of partition 0, in the order they came."""
    consumer = KafkaConsumer(**BROKER, auto_offset_reset="earliest",
                             consumer_timeout_ms=120000, **options)
    consumer.assign([TopicPartition(topic, 0)])
    read = []
    for record in consumer:
        read.append(record)
        if len(read) == count:
            break
    consumer.close()
    return read


def round_trip(codec):
    topic = f"kafka-python-{codec}"
    producer = KafkaProducer(**BROKER, compression_type=codec, acks="all", linger_ms=5)
    sent = [(b"key-%d" % n, b"value %d " % n + b"x" * (n % 100)) for n in range(1000)]
    futures = [producer.send(topic, key=key, value=value, partition=0) for key, value in sent]
    offsets = [future.get(120).offset for future in futures]
    producer.close()
    read = consume(topic, len(sent))
    checks.equal(offsets, list(range(1000)), f"{codec}: acknowledged offsets are contiguous")
    checks.equal([(record.key, record.value) for record in read], sent, f"{codec}: all back, in order")
    checks.equal([record.offset for record in read], offsets, f"{codec}: at the offsets acknowledged")


def acks():
    for level in (0, 1):
        topic = f"kafka-python-acks{level}"
        producer = KafkaProducer(**BROKER, acks=level)
        producer.partitions_for(topic)
        for n in range(100):
            producer.send(topic, b"%d" % n, partition=0)
        producer.flush(120)
        # Before the producer is closed: what nobody acknowledges may still be in its socket.
        checks.equal([record.value for record in consume(topic, 100)], [b"%d" % n for n in range(100)],
                     f"acks={level}: all back, in order")
        producer.close()


def headers_and_time():
    producer = KafkaProducer(**BROKER)
    headers = [("a", b"1"), ("b", b""), ("a", b"again")]
    producer.send("kafka-python-headers", b"v", headers=headers, timestamp_ms=1700000000123, partition=0).get(120)
    producer.send("kafka-python-headers", None, key=b"gone", timestamp_ms=1700000000999, partition=0).get(120)
    producer.close()
    first, second = consume("kafka-python-headers", 2)
    checks.equal(list(first.headers), headers, "headers come back, repeated and empty ones too")
    checks.equal((first.timestamp, first.timestamp_type), (1700000000123, 0), "the timestamp is the producer's")
    checks.equal((second.key, second.value), (b"gone", None), "a null value stays null")
    consumer = KafkaConsumer(**BROKER)
    partition = TopicPartition("kafka-python-headers", 0)
    found = consumer.offsets_for_times({partition: 1700000000124})[partition]
    checks.equal((found.offset, found.timestamp), (1, 1700000000999), "offsets_for_times finds the next record")
    checks.equal(consumer.offsets_for_times({partition: 1700000001000})[partition], None, "and none after the last")
    checks.equal((consumer.beginning_offsets([partition]), consumer.end_offsets([partition])),
                 ({partition: 0}, {partition: 2}), "beginning and end offsets")
    consumer.close()


def admin():
    client = KafkaAdminClient(**BROKER)
    client.create_topics([NewTopic("kafka-python-admin", 3, 1, topic_configs={"retention.ms": "12345"})])
    checks.that("kafka-python-admin" in client.list_topics(), "a created topic is listed")
    try:
        client.create_topics([NewTopic("kafka-python-admin", 3, 1)])
        checks.that(False, "creating it again is refused", "it was not")
    except TopicAlreadyExistsError:
        checks.that(True, "creating it again is refused")
    partitions = NewPartitions(5)
    client.create_partitions({"kafka-python-admin": partitions})
    consumer = KafkaConsumer(**BROKER)
    checks.equal(consumer.partitions_for_topic("kafka-python-admin"), set(range(5)), "partitions are added")
    consumer.close()
    client.delete_topics(["kafka-python-admin"])
    checks.that("kafka-python-admin" not in client.list_topics(), "a deleted topic is gone")
    try:
        client.delete_topics(["kafka-python-admin"])
        checks.that(False, "deleting it again is refused", "it was not")
    except UnknownTopicOrPartitionError:
        checks.that(True, "deleting it again is refused")
    client.close()


class Member(threading.Thread):
    """A consumer of the group that reads until told to stop, and remembers what it saw."""

    def __init__(self, topic, group):
        super().__init__(daemon=True)
        self.consumer = KafkaConsumer(topic, **BROKER, group_id=group, auto_offset_reset="earliest",
                                      enable_auto_commit=False, session_timeout_ms=60000, heartbeat_interval_ms=500)
        self.stopping = threading.Event()
        self.changed = threading.Condition()
        self.seen = []
        self.owned = frozenset()
        self.error = None

    def run(self):
        try:
            while not self.stopping.is_set():
                batches = self.consumer.poll(timeout_ms=200)
                if batches:
                    self.consumer.commit()      # Only what is committed counts as seen.
                with self.changed:
                    self.owned = frozenset(self.consumer.assignment())
                    for records in batches.values():
                        self.seen += [(record.partition, record.offset, record.value) for record in records]
                    self.changed.notify_all()
        except KafkaError as error:
            self.error = error
        finally:
            self.consumer.close()
            with self.changed:
                self.owned = frozenset()
                self.changed.notify_all()

    def wait(self, condition, seconds=120):
        with self.changed:
            return self.changed.wait_for(lambda: condition(self), seconds)

    def stop(self):
        self.stopping.set()
        self.join(120)


def group():
    topic, name = "kafka-python-group", "kafka-python-readers"
    admin_client = KafkaAdminClient(**BROKER)
    admin_client.create_topics([NewTopic(topic, 4, 1)])
    producer = KafkaProducer(**BROKER)
    for n in range(400):
        producer.send(topic, b"%d" % n, partition=n % 4)
    producer.flush(120)
    first = Member(topic, name)
    first.start()
    checks.that(first.wait(lambda member: len(member.seen) == 400), "one member reads everything", str(len(first.seen)))
    second = Member(topic, name)
    second.start()
    shared = second.wait(lambda member: len(member.owned) == 2) and first.wait(lambda member: len(member.owned) == 2)
    checks.that(shared and not first.owned & second.owned, "a second member takes half of the partitions",
                f"{first.owned} and {second.owned}")
    first.stop()
    checks.that(second.wait(lambda member: len(member.owned) == 4), "when one leaves, the other takes all",
                str(second.owned))
    for n in range(400, 500):
        producer.send(topic, b"%d" % n, partition=n % 4)
    producer.flush(120)
    producer.close()
    checks.that(second.wait(lambda member: len(member.seen) >= 100), "it reads on", str(len(second.seen)))
    second.stop()
    checks.equal([str(member.error) for member in (first, second) if member.error], [], "no member failed")
    checks.equal(sorted(int(value) for _, _, value in first.seen + second.seen), list(range(500)),
                 "nothing is lost or read twice over the hand-over")
    if hasattr(admin_client, "list_group_offsets"):      # 3.0
        committed = admin_client.list_group_offsets(name)[name]
    else:
        committed = admin_client.list_consumer_group_offsets(name)
    checks.equal({partition.partition: position.offset for partition, position in committed.items()},
                 {partition: 125 for partition in range(4)}, "the group's committed offsets")
    admin_client.close()


print(f"kafka-python {kafka.__version__}")
for codec in (None, "gzip", "snappy", "lz4", "zstd"):
    checks.run(f"{codec}: round trip", round_trip, codec)
checks.run("acks", acks)
checks.run("headers and timestamps", headers_and_time)
checks.run("admin", admin)
checks.run("group", group)
exit_with(checks)
