"""pykafka: Kafka of 0.8.2 as it still runs in production: fixed old versions, offsets without a group protocol.

Its lz4 cannot read what it wrote itself with any lz4 package of today, so that codec is left out.
"""

import os

from pykafka import KafkaClient
from pykafka.common import CompressionType, OffsetType

from harness.checks import Checks, exit_with

BOOTSTRAP = os.environ["BOOTSTRAP"]
checks = Checks()
COUNT = 500


def consume(topic, count, **options):
    """Up to `count` records of partition 0, from the beginning."""
    consumer = topic.get_simple_consumer(auto_offset_reset=OffsetType.EARLIEST, consumer_timeout_ms=120000,
                                         partitions=[topic.partitions[0]], **options)
    read = []
    for message in consumer:
        read.append(message)
        if len(read) == count:
            break
    consumer.stop()
    return read


def to_partition_0(partitions, _key):
    return partitions[0]


def round_trip(name, codec, version):
    client = KafkaClient(hosts=BOOTSTRAP, broker_version=version)
    topic = client.topics[f"pykafka-{name}-{version}".encode()]
    sent = [(b"key-%d" % n, b"value %d " % n + b"x" * (n % 100)) for n in range(COUNT)]
    with topic.get_producer(compression=codec, partitioner=to_partition_0, linger_ms=5, required_acks=-1,
                            delivery_reports=True) as producer:
        for key, value in sent:
            producer.produce(value, partition_key=key)
        reports = [producer.get_delivery_report(timeout=120) for _ in sent]
    checks.equal([error for _, error in reports if error], [], f"{version} {name}: everything is acknowledged")
    read = consume(topic, COUNT)
    checks.equal([(message.partition_key, message.value) for message in read], sent,
                 f"{version} {name}: all back, in order")
    checks.equal([message.offset for message in read], list(range(COUNT)), f"{version} {name}: offsets are contiguous")


def sync_producer():
    client = KafkaClient(hosts=BOOTSTRAP)
    topic = client.topics[b"pykafka-sync"]
    with topic.get_sync_producer(partitioner=to_partition_0) as producer:
        for n in range(20):
            producer.produce(b"%d" % n)
    checks.equal([message.value for message in consume(topic, 20)], [b"%d" % n for n in range(20)],
                 "the synchronous producer's records come back")
    earliest = topic.earliest_available_offsets()
    latest = topic.latest_available_offsets()
    checks.equal((earliest[0].offset[0], latest[0].offset[0]), (0, 20), "earliest and latest offsets")


def committed_offsets():
    client = KafkaClient(hosts=BOOTSTRAP)
    topic = client.topics[b"pykafka-commit"]
    with topic.get_sync_producer(partitioner=to_partition_0) as producer:
        for n in range(40):
            producer.produce(b"%d" % n)
    options = {"consumer_group": b"pykafka-simple", "auto_offset_reset": OffsetType.EARLIEST,
               "consumer_timeout_ms": 120000, "partitions": [topic.partitions[0]]}
    first = topic.get_simple_consumer(**options)
    read = [first.consume().value for _ in range(15)]
    first.commit_offsets()
    first.stop()
    second = topic.get_simple_consumer(**options)
    read += [second.consume().value for _ in range(25)]
    second.stop()
    checks.equal(read, [b"%d" % n for n in range(40)], "a simple consumer resumes at its committed offset")


def managed_group():
    client = KafkaClient(hosts=BOOTSTRAP, broker_version="0.9.0")
    topic = client.topics[b"pykafka-group"]
    with topic.get_sync_producer() as producer:
        for n in range(100):
            producer.produce(b"%d" % n)
    consumer = topic.get_balanced_consumer(b"pykafka-managed", managed=True, auto_offset_reset=OffsetType.EARLIEST,
                                           consumer_timeout_ms=120000, auto_commit_enable=False)
    read = [consumer.consume() for _ in range(100)]
    checks.equal(sorted(int(message.value) for message in read if message), list(range(100)),
                 "a managed balanced consumer reads every partition")
    checks.equal(len(consumer.partitions), 4, "and owns them all")
    consumer.commit_offsets()
    consumer.stop()


for version in ("0.9.0", "0.10.2"):
    for name, codec in (("none", CompressionType.NONE), ("gzip", CompressionType.GZIP),
                        ("snappy", CompressionType.SNAPPY)):
        checks.run(f"{version} {name}: round trip", round_trip, name, codec, version)
for name, body in (("sync producer", sync_producer), ("committed offsets", committed_offsets),
                   ("managed group", managed_group)):
    checks.run(name, body)
exit_with(checks)
