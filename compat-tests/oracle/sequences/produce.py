"""Produce, InitProducerId, DescribeProducers: what a broker takes, and what it says about producers."""

from harness import wire

import batches
from batches import CODECS, batch, message, message_set
from sequence import sequence

LARGE = 100001      # message.max.bytes of the brokers is 100000


def values(topic, records, partition=0, acks=-1, transactional=None, timeout=60000):
    return {"acks": acks, "timeout_ms": timeout, "transactional_id": transactional, "topic_data": [
        {"name": topic, "partition_data": [{"index": partition, "records": records}]}]}


def produce(kafka, version, topic, records, **more):
    return kafka.call("Produce", version, **values(topic, records, **more))


def stored(kafka, topic, partition=0):
    """Note what the partition holds, as a new consumer sees it."""
    kafka.call("Fetch", 11, replica_id=-1, max_wait_ms=0, min_bytes=0, max_bytes=1 << 24, topics=[
        {"topic": topic, "partitions": [{"partition": partition, "fetch_offset": 0, "partition_max_bytes": 1 << 24}]}])


def right(version, contents=(b"a", b"b"), codec=0):
    """Records in the format that this version's clients send."""
    if version < 3:
        return message_set(contents, magic=0 if version < 2 else 1, codec=codec)
    return batch(contents, codec=codec)


@sequence("Produce")
def every_codec(kafka, version):
    topic = kafka.topic()
    for codec in CODECS.values():
        if version < 3 and codec == batches.ZSTD:
            continue
        produce(kafka, version, topic, right(version, codec=codec))
        produce(kafka, version, topic, right(version, [b"x" * 3000, b"", b"y" * 2000], codec=codec))
    stored(kafka, topic)


@sequence("Produce", versions=(3, 7, 9, 11))
def compressed_anew(kafka, version):
    for codec in ("uncompressed", "gzip", "snappy", "lz4", "zstd"):
        topic = kafka.topic(codec, compression_type=codec)
        for sent in CODECS.values():
            produce(kafka, version, topic, batch([b"value" * 20, b"w"], codec=sent))
        stored(kafka, topic)


@sequence("Produce")
def every_acks(kafka, version):
    topic = kafka.topic()
    for acks in (1, -1, 2, -2, 100):
        produce(kafka, version, topic, right(version), acks=acks)
    kafka.send("Produce", version, **values(topic, right(version), acks=0))
    kafka.call("ListOffsets", 5, replica_id=-1, topics=[{"name": topic, "partitions": [
        {"partition_index": 0, "timestamp": -1}]}])


@sequence("Produce", versions=(0, 3, 11))
def refused_without_answer(kafka, version):
    """What is wrong is told by closing, when no answer is wanted."""
    topic = kafka.topic()
    for name, records in ((topic, right(version)), (topic, right(version)[:-1]), (topic, right(version)[:-1] + b"X"),
                          ("no topic", right(version)), ("absent-" + topic, right(version))):
        kafka.send("Produce", version, **values(name, records, acks=0))
        kafka.call("Heartbeat", 0, group_id="", generation_id=0, member_id="")


@sequence("Produce")
def topics(kafka, version):
    topic = kafka.topic(partitions=2)
    for name, partition in ((topic, 1), (topic, 2), (topic, -1), ("absent-" + topic, 0), ("not valid", 0), ("", 0)):
        produce(kafka, version, name, right(version), partition=partition)
    kafka.call("Produce", version, acks=-1, timeout_ms=60000, topic_data=[])
    kafka.call("Produce", version, acks=-1, timeout_ms=60000, topic_data=[{"name": topic, "partition_data": []}])
    kafka.call("Produce", version, acks=-1, timeout_ms=60000, topic_data=[
        {"name": topic, "partition_data": [{"index": 0, "records": right(version)}, {"index": 1, "records": right(version)},
                                           {"index": 7, "records": right(version)}]},
        {"name": "absent-" + topic, "partition_data": [{"index": 0, "records": right(version)}]}])
    stored(kafka, topic)


@sequence("Produce")
def internal_topics(kafka, version):
    kafka.until(lambda: kafka.ask("FindCoordinator", 3, key="g")["error_code"] == 0)
    produce(kafka, version, "__consumer_offsets", right(version))


@sequence("Produce")
def damaged(kafka, version):
    """Null records are left out: Apache Kafka 3.9.1 never answers them."""
    topic = kafka.topic()
    good = right(version)
    for records in (b"", good[:-1], good[:20], good[:5], good + good[:20], good[:-1] + b"X", b"\0" * 61,
                    b"\xff" * 61):
        produce(kafka, version, topic, records)
    stored(kafka, topic)


@sequence("Produce")
def wrong_format(kafka, version):
    """Formats of other versions than the client's."""
    topic = kafka.topic()
    for records in (message_set(magic=0), message_set(magic=1), batch(), message_set(magic=0, codec=batches.GZIP),
                    message_set(magic=1, codec=batches.LZ4), batch(codec=batches.ZSTD), batch(magic=3), batch(magic=1),
                    message(b"x", magic=5)):
        produce(kafka, version, topic, records)
    stored(kafka, topic)


@sequence("Produce")
def several_batches(kafka, version):
    topic = kafka.topic()
    produce(kafka, version, topic, right(version) + right(version))
    produce(kafka, version, topic, right(version) + right(version, codec=batches.GZIP))
    produce(kafka, version, topic, right(version) + message_set(magic=0) + batch())
    stored(kafka, topic)


@sequence("Produce", versions=(3, 8, 11))
def lying_batches(kafka, version):
    topic = kafka.topic()
    one = wire.record(0, b"v")
    for records in (
            batch([]), batch([], count=-1), batch([b"v"], count=2), batch([b"v", b"w"], count=1), batch([b"v"], crc=1),
            batch([b"v"], last_delta=5), batch([b"v"], last_delta=-1), batch([b"v", b"w"], last_delta=0),
            batch([b"v"], count=0), batch([b"v"], payload=b""), batch([b"v"], payload=one[:-1]),
            batch([b"v"], payload=one + b"\0\0"), batch([b"v"], payload=b"\xff" * 20),
            batch([b"v"], codec=batches.GZIP, payload=b"no gzip"),
            batch([b"v"], codec=5), batch([b"v"], codec=7), batch([b"v"], attributes=0x20), batch([b"v"], attributes=0x10),
            batch([b"v"], attributes=0x08), batch([b"v"], attributes=0x40), batch([b"v"], attributes=0x80),
            batch([b"v", b"w"], codec=batches.GZIP, count=3), batch([b"v", b"w"], codec=batches.SNAPPY, count=1)):
        produce(kafka, version, topic, records)
    stored(kafka, topic)


@sequence("Produce", versions=(3, 8, 11))
def wrong_deltas(kafka, version):
    topic = kafka.topic()
    for records in (batch([b"v", b"w"], payload=wire.record(0, b"v") + wire.record(0, b"w")),
                    batch([b"v"], payload=wire.record(3, b"v"))):
        produce(kafka, version, topic, records)


@sequence("Produce")
def keys_and_headers(kafka, version):
    topic = kafka.topic()
    if version < 3:
        magic = 0 if version < 2 else 1
        sets = [message(b"v", b"k", magic), message(None, b"k", magic), message(b"v", None, magic),
                message(None, None, magic), message(b"", b"", magic)]
    else:
        sets = [batch([b"v"], payload=batches.record(0, value, key, headers=headers)) for value, key, headers in (
            (b"v", b"k", ()), (None, b"k", ()), (None, None, ()), (b"", b"", ()), (b"v", None, [(b"h", b"1"), (b"h", None)]),
            (b"v", None, [(b"", b"")]), (b"v", None, [(None, b"x")]), (b"v", None, [(b"\xff\xfe", b"x")]))]
    for records in sets:
        produce(kafka, version, topic, records)
    stored(kafka, topic)


@sequence("Produce")
def compacted(kafka, version):
    """A topic that is compacted wants keys."""
    topic = kafka.topic(cleanup_policy="compact")
    magic = 0 if version < 2 else 1
    for keys in ([b"k", b"l"], [b"k", None], [None, None], [b"", b"k"]):
        if version < 3:
            records = b"".join(message(b"v", key, magic) for key in keys)
        else:
            records = batch([b"v"] * len(keys), keys=keys)
        produce(kafka, version, topic, records)
    if version >= 3:
        produce(kafka, version, topic, batch([b"v"] * 3, codec=batches.GZIP, keys=[b"k", None, None]))
        produce(kafka, version, topic, batch([b"v"], keys=[b"k"]) + batch([b"v"]))
    stored(kafka, topic)


@sequence("Produce")
def sizes(kafka, version):
    topic = kafka.topic(max_message_bytes="2000")
    for size in (1500, 1900, 1950, 2000, 3000, LARGE):
        produce(kafka, version, topic, right(version, [b"v" * size]))
    produce(kafka, version, topic, right(version, [b"v" * 900] * 3))
    produce(kafka, version, topic, right(version, [b"v" * 5000], codec=batches.GZIP))
    produce(kafka, version, topic, right(version, [b"v" * 5000], codec=batches.SNAPPY))
    small = kafka.topic("small", segment_bytes="1500")
    produce(kafka, version, small, right(version, [b"v" * 1000]))
    produce(kafka, version, small, right(version, [b"v" * 2000]))
    stored(kafka, topic)


@sequence("Produce", versions=range(2, 12))
def times(kafka, version):
    for at, configs in enumerate(({}, {"message_timestamp_type": "LogAppendTime"},
                                  {"message_timestamp_before_max_ms": "1000"}, {"message_timestamp_after_max_ms": "1000"},
                                  {"message_timestamp_difference_max_ms": "1000"})):
        topic = kafka.topic(f"t{at}", **configs)
        for stamp in (1700000000000, 0, -1, -2, 32503680000000, 1 << 62):
            for codec in (0, batches.GZIP):
                produce(kafka, version, topic, message_set([b"v"], magic=1, codec=codec, stamp=stamp) if version < 3 else
                        batch([b"v"], codec=codec, stamp=stamp))
        stored(kafka, topic)


@sequence("Produce", versions=range(3, 12))
def transactional(kafka, version):
    topic = kafka.topic()
    producer = (kafka.producer_id(), 0, 0)
    produce(kafka, version, topic, batch([b"v"], attributes=0x10, producer=producer))
    produce(kafka, version, topic, batch([b"v"], attributes=0x30, producer=producer))
    # An id without records of a transaction is not looked at; with them there must be a transaction.
    produce(kafka, version, topic, right(version), transactional="t")
    kafka.until(lambda: kafka.ask("FindCoordinator", 3, key="t", key_type=1)["error_code"] == 0)
    produce(kafka, version, topic, batch([b"v"], attributes=0x10, producer=producer), transactional="t")
    stored(kafka, topic)


def idempotent(kafka, version, topic, identity, contents=(b"v",), partition=0, **more):
    return produce(kafka, version, topic, batch(contents, producer=identity, **more), partition=partition)


@sequence("Produce", versions=range(3, 12))
def idempotence(kafka, version):
    topic = kafka.topic(partitions=3)
    one = kafka.producer_id()
    for sequence_number, count in ((0, 1), (1, 2), (3, 1), (3, 1), (1, 2), (0, 1), (1, 1), (2, 2), (9, 1), (4, 1)):
        idempotent(kafka, version, topic, (one, 0, sequence_number), [b"v"] * count)
    for sequence_number in range(5, 10):
        idempotent(kafka, version, topic, (one, 0, sequence_number))
    for sequence_number in (3, 4, 5, 9):        # only the last five batches are known as duplicates
        idempotent(kafka, version, topic, (one, 0, sequence_number))
    # a new epoch begins at 0, and the old one is fenced
    idempotent(kafka, version, topic, (one, 1, 4))
    idempotent(kafka, version, topic, (one, 1, 0))
    idempotent(kafka, version, topic, (one, 0, 10))
    idempotent(kafka, version, topic, (one, 1, 1))
    # a producer that the partition does not know
    for partition, identity in ((1, (one, 0, 7)), (2, (one, 0, 0)), (1, (4711, 0, 0)), (1, (4712, 0, 5)),
                                (1, (4711, 0, 2)), (1, (4711, -1, 1)), (1, (4711, 0, -1)), (1, (-1, 0, 0)),
                                (1, (-2, 0, 0)), (1, (4713, 3, 2147483647)), (1, (4713, 3, 0))):
        idempotent(kafka, version, topic, identity, partition=partition)
    produce(kafka, version, topic, batch([b"v"], producer=(one, 1, 2)) + batch([b"w"], producer=(one, 1, 3)))
    idempotent(kafka, version, topic, (4714, 0, 2147483647), [b"a", b"b"], partition=2)
    idempotent(kafka, version, topic, (4714, 0, 0), partition=2)
    for partition in range(3):
        stored(kafka, topic, partition)
    kafka.call("DescribeProducers", 0, topics=[{"name": topic, "partition_indexes": [0, 1, 2]}])


@sequence("InitProducerId")
def producer_ids(kafka, version):
    kafka.producer_id()
    answer = kafka.call("InitProducerId", version, transactional_id=None, transaction_timeout_ms=60000)
    kafka.call("InitProducerId", version, transactional_id=None, transaction_timeout_ms=0)
    kafka.call("InitProducerId", version, transactional_id=None, transaction_timeout_ms=-1)
    for producer, epoch in ((answer["producer_id"], 0), (answer["producer_id"], 5), (4711, 3), (4711, -1), (-1, 3)):
        kafka.call("InitProducerId", version, transactional_id=None, transaction_timeout_ms=60000,
                   producer_id=producer, producer_epoch=epoch)
    kafka.call("InitProducerId", version, transactional_id="", transaction_timeout_ms=60000)


@sequence("InitProducerId")
def transactional_id(kafka, version):
    name = kafka.name("t")
    kafka.until(lambda: kafka.ask("FindCoordinator", 3, key=name, key_type=1)["error_code"] == 0)
    kafka.until(lambda: kafka.ask("InitProducerId", 0, transactional_id=name, transaction_timeout_ms=60000)
                ["error_code"] in (0, 53))
    kafka.call("InitProducerId", version, transactional_id=name, transaction_timeout_ms=60000)


@sequence("DescribeProducers")
def producers(kafka, version):
    topic = kafka.topic(partitions=2)
    kafka.produce(topic, batch([b"v"]))
    one = kafka.producer_id()
    kafka.produce(topic, batch([b"v", b"w"], producer=(one, 0, 0)))
    for name, indexes in ((topic, [0]), (topic, [0, 1]), (topic, []), (topic, [7]), (topic, [-1]), (topic, [0, 0]),
                          ("absent", [0]), ("not valid", [0])):
        kafka.call("DescribeProducers", version, topics=[{"name": name, "partition_indexes": indexes}])
    kafka.call("DescribeProducers", version, topics=[])


@sequence("Produce", versions=(0, 3, 9))
def null_strings(kafka, version):
    topic = kafka.topic()
    kafka.call("Produce", version, **values(None, right(version)))
    kafka.call("Produce", version, acks=-1, timeout_ms=60000, topic_data=None)
    kafka.call("Produce", version, acks=-1, timeout_ms=60000, topic_data=[{"name": topic, "partition_data": None}])
    kafka.call("Produce", version, **values(topic, right(version), timeout=-1))
