"""F13, offsets: many commits of few keys. The log of the offsets is compacted, and after a kill they are all served."""

import contextlib
import time

from harness import brokers, wire

GROUPS = ("few", "keys")
PARTITIONS = 3
COMMITS = 4000


def commit(connection, group, offset):
    answer = connection.call("OffsetCommit", 2, group_id=group, generation_id_or_member_epoch=-1, member_id="",
                             retention_time_ms=-1, topics=[{"name": "read", "partitions": [
                                 {"partition_index": partition, "committed_offset": offset + partition,
                                  "committed_metadata": "m" * 40} for partition in range(PARTITIONS)]}])
    return {one["error_code"] for topic in answer["topics"] for one in topic["partitions"]}


def committed(broker, group):
    with wire.Connection(broker.port) as connection:
        def fetched():
            answer = connection.call("OffsetFetch", 2, group_id=group, topics=[
                {"name": "read", "partition_indexes": list(range(PARTITIONS))}])
            return answer["error_code"], [one["committed_offset"] for topic in answer["topics"]
                                          for one in topic["partitions"]]
        return until(lambda: (seen := fetched())[0] == 0 and seen[1])


def until(holds, seconds=120):
    """What a condition gave when it held, or in the end."""
    deadline = time.monotonic() + seconds
    while not (seen := holds()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return seen


def log_bytes(broker):
    total = 0
    for file in broker.data.glob("__consumer_offsets-*/*.log"):
        with contextlib.suppress(FileNotFoundError):    # Compacted away since.
            total += file.stat().st_size
    return total


def run(checks, kind):
    settings = {"offsets.topic.num.partitions": "1", "offsets.topic.segment.bytes": "65536", "log.cleaner.backoff.ms": "50",
                "log.cleaner.min.cleanable.ratio": "0.01"}
    with brokers.make(kind, settings) as broker, wire.Connection(broker.port) as connection:
        topic = {"name": "read", "num_partitions": PARTITIONS, "replication_factor": 1}
        connection.call("CreateTopics", 1, topics=[topic], timeout_ms=10000)
        for group in GROUPS:
            connection.call("FindCoordinator", 1, key=group, key_type=0)
            until(lambda group=group: commit(connection, group, 0) == {0})
        errors = set()
        for number in range(1, COMMITS + 1):
            errors |= commit(connection, GROUPS[number % 2], number)
        checks.equal(errors, {0}, f"offsets: {COMMITS} commits of {len(GROUPS) * PARTITIONS} keys")
        expected = {GROUPS[0]: [COMMITS + partition for partition in range(PARTITIONS)],
                    GROUPS[1]: [COMMITS - 1 + partition for partition in range(PARTITIONS)]}
        # Each is some 100 bytes; what is left is the segment that grows, and the keys.
        small = until(lambda: log_bytes(broker) < 200_000)
        checks.that(small, "offsets: compaction makes their log small", f"{log_bytes(broker)} bytes")
        before = log_bytes(broker)
        broker.kill()
        broker.start()
        for group, offsets in expected.items():
            checks.equal(committed(broker, group), offsets, f"offsets: of {group}, after compaction and a kill")
        print(f"offsets: {COMMITS * PARTITIONS} records, {before} bytes left")
