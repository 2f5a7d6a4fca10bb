"""confluent-kafka: librdkafka's producer, groups and admin client from Python."""

import os
import time

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions,
                                   NewTopic, OffsetSpec)

from harness.checks import Checks, exit_with

BOOTSTRAP = os.environ["BOOTSTRAP"]
checks = Checks()


def create(topic, partitions=1, **configs):
    client = AdminClient({"bootstrap.servers": BOOTSTRAP})
    client.create_topics([NewTopic(topic, partitions, 1, config=configs)])[topic].result(120)


def produce(topic, sent, **options):
    """Produce (key, value, headers, partition) and return the delivered messages in order."""
    delivered, errors = [], []

    def on_delivery(error, message):
        if error:
            errors.append(error)
        else:
            delivered.append(message)

    producer = Producer({"bootstrap.servers": BOOTSTRAP, "linger.ms": 5, **options})
    for key, value, headers, partition in sent:
        producer.produce(topic, value, key, partition=partition, headers=headers, on_delivery=on_delivery)
        producer.poll(0)
    producer.flush(120)
    if errors:
        raise KafkaException(errors[0])
    return delivered


def consume(topic, count, **options):
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "unused", "enable.auto.commit": False,
                         "auto.offset.reset": "earliest", **options})
    consumer.assign([TopicPartition(topic, 0, 0)])
    read = take(consumer, count)
    consumer.close()
    return read


def take(consumer, count, seconds=120):
    """Up to `count` messages, fewer when `seconds` are over."""
    read, deadline = [], time.monotonic() + seconds
    while len(read) < count and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is not None:
            if message.error():
                raise KafkaException(message.error())
            read.append(message)
    return read


def round_trip(codec, idempotent):
    topic = f"confluent-{codec}-{'idempotent' if idempotent else 'plain'}"
    create(topic)
    sent = [(b"key-%d" % n, b"value %d " % n + b"x" * (n % 100), None, 0) for n in range(2000)]
    delivered = produce(topic, sent, **{"compression.type": codec, "enable.idempotence": idempotent})
    read = consume(topic, len(sent))
    checks.equal([message.offset() for message in delivered], list(range(2000)), f"{topic}: offsets are contiguous")
    checks.equal([(message.key(), message.value()) for message in read], [row[:2] for row in sent],
                 f"{topic}: all back, in order")


def headers_and_time():
    create("confluent-headers")
    headers = [("a", b"1"), ("b", None), ("a", b"")]
    produce("confluent-headers", [(None, b"v", headers, 0), (b"k", None, None, 0)])
    first, second = consume("confluent-headers", 2)
    checks.equal(first.headers(), headers, "headers come back, null, empty and repeated ones too")
    checks.equal((first.key(), second.value()), (None, None), "null key and null value stay null")
    checks.that(abs(first.timestamp()[1] - time.time() * 1000) < 600000, "the timestamp is the producer's",
                str(first.timestamp()))


def large_values():
    create("confluent-large")
    sent = [(None, os.urandom(900000), None, 0) for _ in range(5)]
    produce("confluent-large", sent)
    read = consume("confluent-large", 5, **{"fetch.message.max.bytes": 100000})
    checks.equal([message.value() for message in read], [row[1] for row in sent],
                 "values larger than the fetch size come back")


def too_large():
    create("confluent-small", **{"max.message.bytes": "1000"})
    try:
        produce("confluent-small", [(None, os.urandom(2000), None, 0)])
        checks.that(False, "a batch over max.message.bytes is refused", "it was not")
    except KafkaException as error:
        checks.equal(error.args[0].name(), "MSG_SIZE_TOO_LARGE", "a batch over max.message.bytes is refused")


def admin():
    client = AdminClient({"bootstrap.servers": BOOTSTRAP})
    client.create_topics([NewTopic("confluent-admin", 2, 1, config={"retention.ms": "12345"})])["confluent-admin"].result(120)
    try:
        client.create_topics([NewTopic("confluent-admin", 2, 1)])["confluent-admin"].result(120)
        checks.that(False, "creating it again is refused", "it was not")
    except KafkaException as error:
        checks.equal(error.args[0].name(), "TOPIC_ALREADY_EXISTS", "creating it again is refused")
    try:
        client.create_topics([NewTopic("confluent-far", 1, 3)])["confluent-far"].result(120)
        checks.that(False, "more replicas than brokers are refused", "they were not")
    except KafkaException as error:
        checks.equal(error.args[0].name(), "INVALID_REPLICATION_FACTOR", "more replicas than brokers are refused")
    client.create_partitions([NewPartitions("confluent-admin", 6)])["confluent-admin"].result(120)
    topics = client.list_topics(timeout=60).topics
    checks.equal(len(topics["confluent-admin"].partitions), 6, "partitions are added")

    resource = ConfigResource(ConfigResource.Type.TOPIC, "confluent-admin")
    configs = next(iter(client.describe_configs([resource]).values())).result(120)
    checks.equal((configs["retention.ms"].value, configs["retention.ms"].is_default), ("12345", False),
                 "a topic's configuration is described")
    checks.equal(configs["cleanup.policy"].value, "delete", "and its defaults")
    change = ConfigResource(ConfigResource.Type.TOPIC, "confluent-admin", incremental_configs=[
        ConfigEntry("retention.ms", "54321", incremental_operation=AlterConfigOpType.SET)])
    next(iter(client.incremental_alter_configs([change]).values())).result(120)
    configs = next(iter(client.describe_configs([resource]).values())).result(120)
    checks.equal(configs["retention.ms"].value, "54321", "a changed configuration is described")

    cluster = client.describe_cluster().result(120)
    checks.equal([node.port for node in cluster.nodes], [int(BOOTSTRAP.split(":")[1])], "describe_cluster: one broker")

    client.delete_topics(["confluent-admin"])["confluent-admin"].result(120)
    checks.that("confluent-admin" not in client.list_topics(timeout=60).topics, "a deleted topic is gone")


def delete_records():
    create("confluent-trim")
    produce("confluent-trim", [(None, b"%d" % n, None, 0) for n in range(100)])
    client = AdminClient({"bootstrap.servers": BOOTSTRAP})
    partition = TopicPartition("confluent-trim", 0, 40)
    result = next(iter(client.delete_records([partition]).values())).result(120)
    checks.equal(result.low_watermark, 40, "delete_records moves the log start")
    earliest = next(iter(client.list_offsets({TopicPartition("confluent-trim", 0): OffsetSpec.earliest()}).values()))
    checks.equal(earliest.result(120).offset, 40, "list_offsets shows it")
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "unused", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition("confluent-trim", 0, 10)])
    checks.equal([message.offset() for message in take(consumer, 60)], list(range(40, 100)),
                 "a reader below it is reset to it")
    consumer.close()


class Reader:
    """A member of a group that keeps what it read. Offsets are committed by and by, at a rebalance and at close."""

    def __init__(self, topic, group, strategy, instance=None):
        settings = {"bootstrap.servers": BOOTSTRAP, "group.id": group, "auto.offset.reset": "earliest",
                    "auto.commit.interval.ms": 100, "partition.assignment.strategy": strategy,
                    "session.timeout.ms": 60000, "heartbeat.interval.ms": 500}
        if instance:
            settings["group.instance.id"] = instance
        self.consumer = Consumer(settings)
        self.seen = []
        self.consumer.subscribe([topic])

    def poll(self):
        message = self.consumer.poll(0.1)
        if message is not None:
            if message.error():
                raise KafkaException(message.error())
            self.seen.append((message.partition(), message.offset(), int(message.value())))

    def owned(self):
        return {partition.partition for partition in self.consumer.assignment()}


def poll_until(readers, condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        for reader in readers:
            reader.poll()
    return condition()


def group(strategy):
    topic, name = f"confluent-group-{strategy}", f"confluent-readers-{strategy}"
    create(topic, 4)
    produce(topic, [(None, b"%d" % n, None, n % 4) for n in range(200)])
    one = Reader(topic, name, strategy)
    checks.that(poll_until([one], lambda: len(one.seen) == 200), f"{strategy}: one member reads everything",
                str(len(one.seen)))
    two = Reader(topic, name, strategy)
    shared = poll_until([one, two], lambda: len(one.owned()) == 2 and len(two.owned()) == 2)
    checks.that(shared and not one.owned() & two.owned(), f"{strategy}: two members share the partitions",
                f"{one.owned()} {two.owned()}")
    produce(topic, [(None, b"%d" % n, None, n % 4) for n in range(200, 300)])
    poll_until([one, two], lambda: len(one.seen) + len(two.seen) >= 300)
    one.consumer.close()
    checks.that(poll_until([two], lambda: len(two.owned()) == 4), f"{strategy}: when one leaves, the other takes all",
                str(two.owned()))
    two.consumer.close()
    checks.equal(sorted(value for _, _, value in one.seen + two.seen), list(range(300)),
                 f"{strategy}: everything is read once")
    client = AdminClient({"bootstrap.servers": BOOTSTRAP})
    offsets = client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)])[name].result(120)
    checks.equal({partition.partition: partition.offset for partition in offsets.topic_partitions},
                 {partition: 75 for partition in range(4)}, f"{strategy}: committed offsets")
    # librdkafka does not wait for long for the answer to its LeaveGroup.
    deadline = time.monotonic() + 120
    while True:
        described = client.describe_consumer_groups([name])[name].result(120)
        if described.state.name == "EMPTY" or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    checks.equal((described.state.name, described.members), ("EMPTY", []), f"{strategy}: the group is empty at the end")
    client.delete_consumer_groups([name])[name].result(120)
    names = [listing.group_id for listing in client.list_consumer_groups().result(120).valid]
    checks.that(name not in names, f"{strategy}: a deleted group is gone", str(names))


def static_members():
    topic = "confluent-static"
    create(topic, 2)
    produce(topic, [(None, b"%d" % n, None, n % 2) for n in range(20)])
    one = Reader(topic, topic, "range", "one")
    two = Reader(topic, topic, "range", "two")
    poll_until([one, two], lambda: len(one.owned()) == 1 and len(two.owned()) == 1)
    before = one.owned()
    one.consumer.close()
    again = Reader(topic, topic, "range", "one")
    checks.that(poll_until([again, two], lambda: len(again.owned()) == 1), "a static member comes back", str(again.owned()))
    checks.equal((again.owned(), len(two.owned())), (before, 1), "to the partitions that it had")
    again.consumer.close()
    two.consumer.close()


for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
    for idempotent in (False, True):
        checks.run(f"{codec}: round trip", round_trip, codec, idempotent)
for name, body in (("headers and time", headers_and_time), ("large values", large_values), ("too large", too_large),
                   ("admin", admin), ("delete records", delete_records), ("static members", static_members)):
    checks.run(name, body)
for strategy in ("range", "roundrobin", "cooperative-sticky"):
    checks.run(f"{strategy}: group", group, strategy)
exit_with(checks)
