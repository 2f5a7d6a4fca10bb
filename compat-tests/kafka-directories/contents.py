"""Contents: what a broker is filled with, and everything of it that a stock client can see.

    filled = fill(bootstrap)        topics of every kind, with an open transaction left behind
    seen = look(bootstrap)          records, offsets, timestamps, group offsets, as plain values
    append(bootstrap, seen, value)  one more record everywhere, which must come right behind

The same values have to come back from whatever serves the directory next.
"""

import contextlib
import time

from confluent_kafka import (OFFSET_BEGINNING, Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer,
                             TopicPartition)
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, OffsetSpec,
                                   ResourceType)

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
START_MS = 1_700_000_000_000
SEGMENT_BYTES = 1 << 20     # the least that 4.x takes
CONFIGURED = {"retention.ms": "-1", "max.message.bytes": "2000000", "cleanup.policy": "compact,delete"}
KEYS = 10
GROUPS = {"offsets of a group": "readers", "offsets of a group of the new protocol": "new-protocol",
          "offsets that a transaction committed": "in-transaction"}

# Of the broker that is filled.
SETTINGS = {"log.cleaner.backoff.ms": "100", "auto.create.topics.enable": "false",
            "transaction.state.log.num.partitions": "4", "log.retention.ms": "-1",
            # Nobody is taken for dead who did not run for some seconds, and what is open stays so.
            "zookeeper.session.timeout.ms": "18000", "transaction.max.timeout.ms": "7200000"}
OPEN_MS = 7_200_000     # How long the transaction may be open.

quiet = {"log_level": 0}


@contextlib.contextmanager
def admin(bootstrap):
    """A client for as long as its futures are waited for."""
    client = AdminClient({"bootstrap.servers": bootstrap, **quiet})
    yield client


def create(bootstrap, topics):
    """topics: name -> (partitions, configurations)"""
    with admin(bootstrap) as client:
        created = client.create_topics([NewTopic(name, partitions, 1, config=config)
                                        for name, (partitions, config) in topics.items()])
        for future in created.values():
            future.result(120)


def producer(bootstrap, **settings):
    return Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "enable.idempotence": True, **quiet, **settings})


def flush(client):
    left = client.flush(120)
    if left:
        raise RuntimeError(f"{left} records were not taken within two minutes")


def record(number):
    """Key, value, headers and timestamp of a record, by its number."""
    return {"key": None if number % 7 == 0 else f"key-{number}", "value": None if number % 11 == 0 else f"value-{number}" * 20,
            "headers": [("n", str(number)), ("empty", None), ("n", b"\x00\xff")][:number % 4],
            "timestamp": START_MS + number * 1000 - (5000 if number % 5 == 0 else 0)}


def wait_until(holds, otherwise, seconds=120):
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{otherwise}, after {seconds} s")
        time.sleep(0.05)    # between two questions to the broker


def fill(bootstrap, new_groups):
    """Fill a fresh Apache Kafka. Returns a producer whose transaction is open: keep it until the broker has ended."""
    fill_plain(bootstrap)
    if new_groups:
        commit_as_member(bootstrap, "new-protocol", 5, **{"group.protocol": "consumer"})
    create(bootstrap, {"transactions": (2, {})})
    return transactions(bootstrap)


def fill_plain(bootstrap):
    """What any broker can be filled with."""
    create(bootstrap, {
        **{f"codec.{codec}": (2, {}) for codec in CODECS},
        "segments": (1, {"segment.bytes": str(SEGMENT_BYTES), "segment.index.bytes": "1200"}),
        "cut": (1, {}),
        "configured": (3, CONFIGURED),
        "append-time": (1, {"message.timestamp.type": "LogAppendTime"}),
        "gone": (2, {}),
        "compacted": (1, {"cleanup.policy": "compact", "segment.bytes": str(SEGMENT_BYTES), "min.cleanable.dirty.ratio": "0.01"}),
    })
    for codec in CODECS:
        client = producer(bootstrap, **{"compression.type": codec, "batch.num.messages": 20})
        for number in range(100):
            client.produce(f"codec.{codec}", partition=number % 2, **record(number))
        flush(client)
    client = producer(bootstrap, **{"batch.num.messages": 30})
    for number in range(3000):
        client.produce("segments", partition=0, key=f"{number}", value=b"%04d" % number * 250, timestamp=START_MS + number)
    for number in range(60):
        client.produce("cut", partition=0, **record(number))
        client.produce("append-time", partition=0, **record(number))
        client.produce("gone", partition=number % 2, **record(number))
        client.produce("configured", partition=number % 3, key=f"{number}", value=b"v")
    flush(client)
    with admin(bootstrap) as client:
        client.delete_records([TopicPartition("cut", 0, 25)])[TopicPartition("cut", 0)].result(120)
        client.delete_topics(["gone"])["gone"].result(120)
    wait_until(lambda: "gone" not in topics_of(bootstrap), "the topic gone is still there")
    commit_as_member(bootstrap, "readers", 12)
    compacted(bootstrap)


def transactions(bootstrap):
    """Committed and aborted transactions, among them one with a group's offsets, and one that stays open."""
    client = producer(bootstrap, **{"transactional.id": "closed", "transaction.timeout.ms": OPEN_MS})
    client.init_transactions(60)
    for number in range(20):
        client.begin_transaction()
        for partition in 0, 1:
            for at in range(5):
                client.produce("transactions", partition=partition, key=f"{number}-{at}",
                               value="aborted" if number % 3 == 1 else "committed", timestamp=START_MS + number)
        if number == 3:
            with Consumer({"bootstrap.servers": bootstrap, "group.id": "in-transaction", **quiet}) as consumer:
                client.send_offsets_to_transaction([TopicPartition("transactions", 0, 17)],
                                                   consumer.consumer_group_metadata(), 60)
        if number % 3 == 1:
            flush(client)
            client.abort_transaction(60)
        else:
            client.commit_transaction(60)
    other = producer(bootstrap, **{"transactional.id": "open", "transaction.timeout.ms": OPEN_MS})
    other.init_transactions(60)
    other.begin_transaction()
    for at in range(5):
        other.produce("transactions", partition=0, key=f"open-{at}", value="undecided", timestamp=START_MS + 100 + at)
    flush(other)
    client.begin_transaction()
    client.produce("transactions", partition=0, key="behind", value="committed, behind what is open", timestamp=START_MS + 200)
    client.commit_transaction(60)
    # A commit is answered before its markers are written; who takes the id over is told to wait until they are.
    producer(bootstrap, **{"transactional.id": "closed", "transaction.timeout.ms": OPEN_MS}).init_transactions(120)
    return other


def commit_as_member(bootstrap, group, offset, **settings):
    """A consumer that joins, reads, commits and leaves."""
    with Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False,
                   "auto.offset.reset": "earliest", **quiet, **settings}) as consumer:
        consumer.subscribe(["codec.none", "segments"])
        wait_until(lambda: any(not message.error() for message in consumer.consume(10, 1)), "the group reads nothing")
        consumer.commit(offsets=[TopicPartition("codec.none", 0, offset, metadata="a note"),
                                 TopicPartition("codec.none", 1, offset + 1), TopicPartition("segments", 0, 1234)],
                        asynchronous=False)


def compacted(bootstrap):
    """Write few keys often, with deletions, and wait until the cleaner has been there: in all segments but the last, the third.

    The first record stays, so that the first segment is never left empty. Apache Kafka answers for a time from the first
    segment alone that reaches it; an empty one reaches as far as its file was written, and then nothing is found.
    """
    client = producer(bootstrap, **{"batch.num.messages": 100})
    for number in range(2400):
        key = f"key-{number % KEYS}" if number else "stays"
        client.produce("compacted", partition=0, key=key, value=None if number % 1000 == 7 else b"%05d" % number * 200,
                       timestamp=int(time.time() * 1000))
    flush(client)

    def is_clean():
        read = records(bootstrap, ["compacted"], "read_uncommitted")["compacted", 0]
        # The second segment ends behind offset 1800. When it is clean, so are all that ever will be.
        return len([at for at, *_ in read if at < 1800]) <= KEYS + 1
    wait_until(is_clean, "the cleaner has not been there")


def topics_of(bootstrap):
    """name -> partitions, of the topics that are the users'."""
    with admin(bootstrap) as client:
        found = client.list_topics(timeout=60).topics
    return {name: sorted(topic.partitions) for name, topic in found.items() if not name.startswith("__")}


def records(bootstrap, topics, isolation):
    """(topic, partition) -> [(offset, timestamp type, timestamp, key, value, headers)], all that can be read."""
    with Consumer({"bootstrap.servers": bootstrap, "group.id": "looks", "enable.auto.commit": False,
                   "isolation.level": isolation, "enable.partition.eof": True, "check.crcs": True,
                   "auto.offset.reset": "error", **quiet}) as consumer:
        known = topics_of(bootstrap)
        at = [TopicPartition(name, partition, OFFSET_BEGINNING) for name in topics for partition in known[name]]
        consumer.assign(at)
        read = {(one.topic, one.partition): [] for one in at}
        left, deadline = set(read), time.monotonic() + 120
        while left:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no end of {sorted(left)} within two minutes")
            for message in consumer.consume(500, 0.2):
                where = message.topic(), message.partition()
                if message.error():
                    if message.error().name() != "_PARTITION_EOF":
                        raise KafkaException(message.error())
                    left.discard(where)
                    continue
                read[where].append((message.offset(), *message.timestamp(), message.key(), message.value(),
                                    message.headers() or []))
        return read


def offsets(bootstrap, specification):
    known = [TopicPartition(name, partition) for name, partitions in topics_of(bootstrap).items() for partition in partitions]
    with admin(bootstrap) as client:
        asked = client.list_offsets({one: specification for one in known})
        found = {(one.topic, one.partition): future.result(120) for one, future in asked.items()}
    return {where: (one.offset, one.timestamp) for where, one in found.items()}


def group_offsets(bootstrap, group):
    with admin(bootstrap) as client:
        found = client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(120).topic_partitions
    return sorted((one.topic, one.partition, one.offset, one.metadata or "") for one in found)


def answers(bootstrap):
    """Whether all partitions and groups are there for who asks once: after a start, leaders and coordinators come one by one."""
    try:
        offsets(bootstrap, OffsetSpec.latest())
        for group in GROUPS.values():
            group_offsets(bootstrap, group)
    except KafkaException:
        return False
    return True


def overrides(bootstrap):
    """topic -> the configurations that are its own."""
    own = 1     # DYNAMIC_TOPIC_CONFIG
    with admin(bootstrap) as client:
        asked = client.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in topics_of(bootstrap)])
        return {resource.name: {name: entry.value for name, entry in future.result(120).items() if entry.source == own}
                for resource, future in asked.items()}


def look(bootstrap):
    """What can be seen, by what it is."""
    topics = sorted(topics_of(bootstrap))
    return {
        "partitions": topics_of(bootstrap),
        "records": records(bootstrap, topics, "read_uncommitted"),
        "committed records": records(bootstrap, topics, "read_committed"),
        "first offsets": {where: found[0] for where, found in offsets(bootstrap, OffsetSpec.earliest()).items()},
        "end offsets": {where: found[0] for where, found in offsets(bootstrap, OffsetSpec.latest()).items()},
        "offsets by time": offsets(bootstrap, OffsetSpec.for_timestamp(START_MS + 30_500)),
        **{what: group_offsets(bootstrap, group) for what, group in GROUPS.items()},
    }


def append(bootstrap, seen, value):
    """One more record to each partition, and a step of the group. Returns the offsets that are not right behind."""
    wrong = []

    def delivered(error, message):
        where = message.topic(), message.partition()
        if error or message.offset() != seen["end offsets"][where]:
            wrong.append((where, str(error) if error else message.offset(), seen["end offsets"][where]))

    client = producer(bootstrap)
    for topic, partition in seen["end offsets"]:
        client.produce(topic, partition=partition, key="appended", value=value, on_delivery=delivered)
    flush(client)
    with Consumer({"bootstrap.servers": bootstrap, "group.id": "readers", **quiet}) as consumer:
        before = {(topic, partition): offset for topic, partition, offset, _ in seen["offsets of a group"]}
        consumer.commit(offsets=[TopicPartition("segments", 0, before["segments", 0] + 1)], asynchronous=False)
    return wrong
