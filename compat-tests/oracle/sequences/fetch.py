"""Fetch, ListOffsets, OffsetForLeaderEpoch: what a consumer reads."""

import batches
from batches import CODECS, batch
from peer import some_uuid
from sequence import sequence

LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED = -1, -2, -3, -4, -5


def fetch(kafka, version, *parts, wait=0, least=0, most=1 << 24, **more):
    """Parts are (topic, partition, offset, values); a topic that is bytes is an id."""
    topics = []
    for topic, partition, offset, *rest in parts:
        known = topic if isinstance(topic, bytes) else kafka.known_id(topic) if version >= 13 else bytes(16)
        if not topics or topics[-1]["topic"] != topic:
            topics.append({"topic": topic, "topic_id": known, "partitions": []})
        topics[-1]["partitions"].append({"partition": partition, "fetch_offset": offset,
                                         "partition_max_bytes": 1 << 24, **(rest[0] if rest else {})})
    for topic in topics:
        topic["topic"] = "" if isinstance(topic["topic"], bytes) else topic["topic"]
    return kafka.call("Fetch", version, replica_id=-1, max_wait_ms=wait, min_bytes=least, max_bytes=most,
                      topics=topics, **more)


def library(kafka):
    """Topics to read from, the same for all sequences: plain records, every codec, and one whose start moved."""
    plain, fresh = kafka.shared_topic("fetch-plain", partitions=3)
    if fresh:
        for at in range(5):
            kafka.produce(plain, batch([b"value %d" % at, b"x" * 100]))
        kafka.produce(plain, batch([b"other"]), partition=1)
    coded, fresh = kafka.shared_topic("fetch-coded", partitions=5)
    if fresh:
        for at, codec in enumerate(CODECS.values()):
            for _ in range(2):
                kafka.produce(coded, batch([b"first" * 9, b"second" * 9], codec=codec, stamp=batches.STAMP + at),
                              partition=at)
    moved, fresh = kafka.shared_topic("fetch-moved")
    if fresh:
        for _ in range(3):
            kafka.produce(moved, batch([b"a", b"b"]))
        kafka.ask("DeleteRecords", 1, timeout_ms=60000, topics=[{"name": moved, "partitions": [
            {"partition_index": 0, "offset": 3}]}])
    return plain, coded, moved


@sequence("Fetch")
def everything(kafka, version):
    plain, coded, moved = library(kafka)
    fetch(kafka, version, (plain, 0, 0))
    fetch(kafka, version, (plain, 0, 0), (plain, 1, 0), (plain, 2, 0))
    fetch(kafka, version, (moved, 0, 3), (plain, 1, 0))
    fetch(kafka, version, (moved, 0, 4), (plain, 0, 3))
    # version 3 and below cannot read zstd, nor anything below 10
    for at in range(4):
        fetch(kafka, version, (coded, at, 0))
    fetch(kafka, version, (coded, 4, 0))
    fetch(kafka, version, (coded, 1, 1))
    fetch(kafka, version)


@sequence("Fetch")
def out_of_range(kafka, version):
    plain, _, moved = library(kafka)
    for offset in (10, 11, -1, -2, 1 << 40):
        fetch(kafka, version, (plain, 0, offset))
    for offset in (0, 2, 6, 7):
        fetch(kafka, version, (moved, 0, offset))


@sequence("Fetch")
def unknown(kafka, version):
    plain, _, _ = library(kafka)
    for parts in ([(plain, 7, 0)], [(plain, -1, 0)], [(plain, 0, 0), (plain, 7, 0), (plain, 1, 0)]):
        fetch(kafka, version, *parts)
    if version < 13:
        for name in ("absent", "not valid", ""):
            fetch(kafka, version, (name, 0, 0), (plain, 1, 0))
    else:
        for known in (some_uuid("absent"), bytes(16)):
            fetch(kafka, version, (known, 0, 0), (plain, 1, 0))


@sequence("Fetch")
def limits(kafka, version):
    plain, coded, _ = library(kafka)
    for size in (0, 1, 100, 181, 182, 400, 1000):     # less than 0: Kafka fails inside
        fetch(kafka, version, (plain, 0, 0, {"partition_max_bytes": size}))
        fetch(kafka, version, (plain, 0, 0), (plain, 1, 0), most=size)
    fetch(kafka, version, (plain, 0, 0, {"partition_max_bytes": 1}), (plain, 1, 0, {"partition_max_bytes": 1}))
    fetch(kafka, version, (plain, 2, 0), (plain, 0, 0, {"partition_max_bytes": 1}), (plain, 1, 0))
    fetch(kafka, version, (plain, 2, 0), wait=30, least=1)
    fetch(kafka, version, (plain, 0, 0), wait=30, least=1 << 20)


@sequence("Fetch", versions=range(4, 18))
def isolation(kafka, version):
    plain, _, _ = library(kafka)
    for level in (0, 1):     # others: Kafka fails inside
        fetch(kafka, version, (plain, 0, 0, {"partition_max_bytes": 200}), isolation_level=level)


@sequence("Fetch", versions=range(9, 18))
def epochs(kafka, version):
    plain, _, _ = library(kafka)
    for epoch in (0, 1, 7, -1, -2):
        fetch(kafka, version, (plain, 1, 0, {"current_leader_epoch": epoch}))
    if version >= 12:
        for last, offset in ((0, 0), (0, 1), (1, 1), (5, 1), (-1, 1), (0, 9)):
            fetch(kafka, version, (plain, 1, offset, {"last_fetched_epoch": last, "current_leader_epoch": 0}))


@sequence("Fetch")
def old_formats(kafka, version):
    """Records with keys, without values, with headers: what of them the older formats can say."""
    topic, fresh = kafka.shared_topic("fetch-rich", partitions=2)
    if fresh:
        rich = (batches.record(0, b"v", b"k") + batches.record(1, None, b"k", stamp=5) +
                batches.record(2, b"", None, headers=[(b"h", b"1")]))
        kafka.produce(topic, batch([b""] * 3, payload=rich))
        kafka.produce(topic, batch([b""] * 3, codec=batches.GZIP, payload=batches.deflate(batches.GZIP, rich)))
        one = kafka.producer_id()
        kafka.produce(topic, batch([b"v"], producer=(one, 0, 0)), partition=1)
        kafka.old_producer = one
    kafka.producers.setdefault(kafka.old_producer, 1)
    for offset in range(7):
        fetch(kafka, version, (topic, 0, offset))
    fetch(kafka, version, (topic, 1, 0))


@sequence("Fetch", versions=(3, 4, 11))
def without_conversion(kafka, version):
    topic = kafka.topic(message_downconversion_enable="false")
    kafka.produce(topic, batch([b"v"]))
    fetch(kafka, version, (topic, 0, 0))


@sequence("Fetch", versions=(0, 4, 12, 15, 17))
def as_a_replica(kafka, version):
    """A client that says it is broker 0, or one that is not a replica."""
    plain, _, _ = library(kafka)
    for replica in (-2, 0, 5):
        more = {"replica_state": {"replica_id": replica, "replica_epoch": -1}} if version >= 15 else {}
        topics = [{"topic": plain, "topic_id": kafka.known_id(plain), "partitions": [
            {"partition": 1, "fetch_offset": 0, "partition_max_bytes": 1000}]}]
        kafka.call("Fetch", version, replica_id=replica, max_wait_ms=0, min_bytes=0, max_bytes=1000, topics=topics,
                   **more)


@sequence("Fetch", versions=range(7, 18))
def sessions(kafka, version):
    plain, coded, _ = library(kafka)
    first = fetch(kafka, version, (plain, 1, 0), (plain, 2, 0), session_id=0, session_epoch=0)
    session = first["session_id"]
    fetch(kafka, version, session_id=session, session_epoch=1)
    fetch(kafka, version, (plain, 1, 1), session_id=session, session_epoch=2)
    fetch(kafka, version, (coded, 0, 0), session_id=session, session_epoch=3)
    fetch(kafka, version, session_id=session, session_epoch=4, forgotten_topics_data=[
        {"topic": coded, "topic_id": kafka.known_id(coded), "partitions": [0]}])
    fetch(kafka, version, session_id=session, session_epoch=9)
    fetch(kafka, version, session_id=session + 1, session_epoch=5)
    fetch(kafka, version, session_id=0, session_epoch=5)
    fetch(kafka, version, (plain, 1, 0), session_id=session, session_epoch=0)
    fetch(kafka, version, (plain, 1, 0), session_id=session, session_epoch=-1)
    fetch(kafka, version, session_id=session, session_epoch=5)


def offsets(kafka, version, *parts, **more):
    topics = {}
    for topic, partition, stamp, *rest in parts:
        topics.setdefault(topic, []).append({"partition_index": partition, "timestamp": stamp,
                                             **(rest[0] if rest else {})})
    return kafka.call("ListOffsets", version, replica_id=more.pop("replica", -1), topics=[
        {"name": name, "partitions": partitions} for name, partitions in topics.items()], **more)


@sequence("ListOffsets")
def by_time(kafka, version):
    plain, coded, moved = library(kafka)
    timed, fresh = kafka.shared_topic("list-timed")
    if fresh:
        for stamp in (1000, 3000, 2000, 5000):
            kafka.produce(timed, batch([b"a", b"b"], stamp=stamp))
        kafka.produce(timed, batch([b"a", b"b", b"c"], codec=batches.GZIP, stamp=4000))
    many = {"max_num_offsets": 10}
    for topic in (timed, moved, plain):
        for stamp in (LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED, -6, -100, 0, 999, 1000, 1001, 2500,
                      4000, 4500, 5000, 5001, 1 << 50):
            offsets(kafka, version, (topic, 0, stamp, many))
    for stamp in (LATEST, EARLIEST, MAX_TIMESTAMP, 0):
        offsets(kafka, version, (plain, 2, stamp, many))
    for count in (0, 1):
        offsets(kafka, version, (timed, 0, LATEST, {"max_num_offsets": count}))


@sequence("ListOffsets")
def bad_questions(kafka, version):
    plain, _, _ = library(kafka)
    offsets(kafka, version, (plain, 7, LATEST), ("absent", 0, LATEST), (plain, 1, LATEST), (plain, -1, EARLIEST))
    offsets(kafka, version, ("not valid", 0, LATEST), ("", 0, LATEST))
    offsets(kafka, version, (plain, 0, LATEST), (plain, 0, EARLIEST))
    offsets(kafka, version)
    offsets(kafka, version, (plain, 0, LATEST), isolation_level=1)
    for epoch in (0, 1, -1, -5):
        offsets(kafka, version, (plain, 0, LATEST, {"current_leader_epoch": epoch}))
    for replica in (-2, 0, 5):
        offsets(kafka, version, (plain, 0, LATEST), replica=replica)


@sequence("OffsetForLeaderEpoch")
def epoch_ends(kafka, version):
    plain, _, moved = library(kafka)

    def ask(*parts, **more):
        kafka.call("OffsetForLeaderEpoch", version, topics=[
            {"topic": topic, "partitions": [{"partition": at, "leader_epoch": epoch, "current_leader_epoch": current}]}
            for topic, at, epoch, current in parts], **more)
    for topic in (plain, moved):
        for epoch in (0, 1, 7, -1):
            ask((topic, 0, epoch, -1))
    for current in (0, 1, -2):
        ask((plain, 0, 0, current))
    ask((plain, 2, 0, -1))
    ask((plain, 7, 0, -1), ("absent", 0, 0, -1), ("not valid", 0, 0, -1))
    ask()
    for replica in (-2, -1, 0, 5):
        ask((plain, 0, 0, -1), replica_id=replica)
