"""CreateTopics, DeleteTopics, CreatePartitions, DeleteRecords, DescribeLogDirs: what an administrator does."""

from harness import wire
from harness.brokers import ApacheKafka43

import batches
from peer import some_uuid
from sequence import sequence


def new_topic(name, partitions=1, replication=1, configs=(), assignments=()):
    return {"name": name, "num_partitions": partitions, "replication_factor": replication,
            "configs": [{"name": key, "value": value} for key, value in configs],
            "assignments": [{"partition_index": at, "broker_ids": replicas} for at, replicas in assignments]}


def create(kafka, version, *topics, **more):
    return kafka.call("CreateTopics", version, topics=list(topics), timeout_ms=60000, **more)


@sequence("CreateTopics")
def a_topic(kafka, version):
    name = kafka.name("t")
    create(kafka, version, new_topic(name, 3))
    create(kafka, version, new_topic(name, 3))
    kafka.wait_for_topic(name)
    kafka.call("Metadata", 12, topics=[{"name": name}])
    # names that differ in dots and underscores only
    create(kafka, version, new_topic(kafka.name("x.y")))
    create(kafka, version, new_topic(kafka.name("x_y")))
    create(kafka, version)


@sequence("CreateTopics")
def bad_names(kafka, version):
    for name in ("", ".", "..", "a b", "a/b", "é", "a" * 250, "a\0b", "a:b", "__consumer_offsets "):
        create(kafka, version, new_topic(name))
    create(kafka, version, new_topic("bad name"), new_topic(kafka.name("good")))
    create(kafka, version, new_topic(kafka.name("a" * (249 - len(kafka.name(""))))))


@sequence("CreateTopics")
def counts(kafka, version):
    create(kafka, version, *(new_topic(kafka.name(f"t{at}"), partitions, replication)
                             for at, (partitions, replication) in enumerate((
                                 (0, 1), (-1, 1), (-2, 1), (1, 0), (1, -1), (1, -2), (1, 2), (-1, -1), (2, 3),
                                 (0, 0)))))


@sequence("CreateTopics")
def assignments(kafka, version):
    for at, given in enumerate((
            [(0, [0])], [(0, [0]), (1, [0])], [(1, [0]), (0, [0])], [(1, [0])], [(0, [0]), (2, [0])],
            [(0, [0, 0])], [(0, [0]), (1, [0, 1])])):
        create(kafka, version, new_topic(kafka.name(f"t{at}"), -1, -1, assignments=given))
    create(kafka, version, new_topic(kafka.name("both"), 1, 1, assignments=[(0, [0])]))
    create(kafka, version, new_topic(kafka.name("some"), -1, 1, assignments=[(0, [0])]))
    create(kafka, version, new_topic(kafka.name("none"), -1, -1, assignments=[]))


@sequence("CreateTopics", versions=range(2, 8), against=ApacheKafka43.name)
def bad_assignments(kafka, version):
    """With ZooKeeper, Apache Kafka takes brokers that do not exist, and waits for a leader that never comes."""
    for at, given in enumerate(([(0, [])], [(0, [1])], [(0, [0, 1])], [(0, [-1])], [(0, [0]), (0, [0])], [(-1, [0])])):
        create(kafka, version, new_topic(kafka.name(f"t{at}"), -1, -1, assignments=given))


@sequence("CreateTopics")
def configs(kafka, version):
    create(kafka, version, *(new_topic(kafka.name(f"t{at}"), configs=given) for at, given in enumerate((
            [("retention.ms", "1000")], [("retention.ms", "x")], [("retention.ms", "-2")], [("retention.ms", None)],
            [("no.such", "1")], [("", "1")], [("cleanup.policy", "compact,delete")], [("cleanup.policy", "shred")],
            [("cleanup.policy", "")], [("cleanup.policy", " compact ")],
            [("retention.ms", "1"), ("retention.ms", "2")], [("compression.type", "zstd")],
            [("compression.type", "brotli")], [("max.message.bytes", "0")], [("max.message.bytes", "-1")],
            [("segment.bytes", "13")], [("segment.bytes", "14")], [("min.cleanable.dirty.ratio", "0.5")],
            [("min.cleanable.dirty.ratio", "1.5")], [("preallocate", "yes")], [("preallocate", "TRUE")],
            [("message.timestamp.type", "LogAppendTime")], [("message.timestamp.type", "Never")],
            [("min.insync.replicas", "0")], [("min.insync.replicas", "2")], [("retention.bytes", "1 ")],
            [("message.format.version", "0.10.0")], [("message.format.version", "9.9")],
            [("remote.storage.enable", "true")], [("remote.storage.enable", "false")],
            [("local.retention.ms", "5"), ("retention.ms", "1")], [("leader.replication.throttled.replicas", "*")],
            [("leader.replication.throttled.replicas", "0:0,1:1")], [("leader.replication.throttled.replicas", "x")],
            [("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")],
            [("message.downconversion.enable", "false")], [("segment.ms", "0")],
            [("unclean.leader.election.enable", "true")]))))


@sequence("CreateTopics", versions=range(1, 8))
def only_asked(kafka, version):
    """Validate only: the same judgement, and no topic."""
    name = kafka.name("t")
    create(kafka, version, new_topic(name, 2), validate_only=True)
    kafka.call("Metadata", 12, topics=[{"name": name}], allow_auto_topic_creation=False)
    create(kafka, version, new_topic("bad name"), new_topic(name, 0), new_topic(kafka.name("u"), 1, 2),
           validate_only=True)
    create(kafka, version, new_topic(kafka.name("c"), configs=[("no.such", "1")]), validate_only=True)
    create(kafka, version, new_topic(kafka.name("d"), -1, -1), validate_only=True)


@sequence("CreateTopics")
def twice_in_one(kafka, version):
    name = kafka.name("t")
    create(kafka, version, new_topic(name), new_topic(name))
    create(kafka, version, new_topic(name), new_topic(name, 0), new_topic(kafka.name("u")))
    kafka.call("Metadata", 12, topics=[{"name": name}, {"name": kafka.name("u")}], allow_auto_topic_creation=False)


@sequence("CreateTopics")
def nulls(kafka, version):
    create(kafka, version, {**new_topic("x"), "name": None})
    create(kafka, version, {**new_topic(kafka.name("t")), "assignments": None})
    create(kafka, version, {**new_topic(kafka.name("u")), "configs": None})
    create(kafka, version, new_topic(kafka.name("v"), configs=[(None, "1")]))
    kafka.call("CreateTopics", version, topics=None)


def gone(kafka, *names):
    """Wait until topics are not there any more."""
    kafka.until(lambda: all(topic["error_code"] == 3 for topic in kafka.ask(
        "Metadata", 12, topics=[{"name": name} for name in names], allow_auto_topic_creation=False)["topics"]))


def remove(kafka, version, *names):
    return kafka.call("DeleteTopics", version, topic_names=list(names), topics=[{"name": name} for name in names],
                      timeout_ms=60000)


def topics(kafka, version):
    one, two = kafka.topic("one"), kafka.topic("two")
    remove(kafka, version, one)
    gone(kafka, one)
    remove(kafka, version, one)
    remove(kafka, version, "absent", two, "bad name")
    remove(kafka, version)
    remove(kafka, version, "")


# With ZooKeeper, Apache Kafka gives neither the reasons nor the ids that the newer versions have room for.
sequence("DeleteTopics", versions=range(5))(topics)
sequence("DeleteTopics", versions=(5, 6), against=ApacheKafka43.name)(topics)


@sequence("DeleteTopics", versions=range(1, 7), against=ApacheKafka43.name)
def twice(kafka, version):
    one, two = kafka.topic("one"), kafka.topic("two")
    remove(kafka, version, one, one)
    remove(kafka, version, one, two, one, "absent")


@sequence("DeleteTopics", versions=(6,), against=ApacheKafka43.name)
def by_id(kafka, version):
    def by(*topics):
        kafka.call("DeleteTopics", version, timeout_ms=60000,
                   topics=[{"name": name, "topic_id": known} for name, known in topics])
    one, two = kafka.topic("one"), kafka.topic("two")
    first, second = kafka.id_of(one), kafka.id_of(two)
    none = bytes(16)
    by((None, none))
    by((one, first))
    by((one, second))
    by((None, some_uuid("absent")))
    by((None, first), (one, none))
    by((None, first), (None, first))
    by((None, second), (None, none))
    by((None, second), ("absent", none))
    gone(kafka, two)
    by((None, second))


@sequence("DeleteTopics", versions=(1, 6), against=ApacheKafka43.name)
def then_use(kafka, version):
    """What is left of a topic for those who still know it."""
    name = kafka.topic("t")
    known = kafka.id_of(name)
    kafka.produce(name, batches.batch())
    remove(kafka, version, name)
    gone(kafka, name)
    kafka.call("Metadata", 12, topics=[{"name": None, "topic_id": known}])
    kafka.call("Produce", 8, **wire.produce(name, batches.batch()))


@sequence("CreatePartitions")
def partitions(kafka, version):
    name, other = kafka.topic("t", partitions=2), kafka.topic("u")
    known = kafka.id_of(name)

    def add(*topics, check=False):
        kafka.call("CreatePartitions", version, timeout_ms=60000, validate_only=check, topics=[
            {"name": topic, "count": count, "assignments": given and [{"broker_ids": ids} for ids in given]}
            for topic, count, given in topics])

    for count in (2, 1, 0, -1):
        add((name, count, None))
    add((name, 3, None), check=True)
    add((name, 3, None), (other, 2, None), ("absent", 5, None), ("bad name", 5, None))
    add((name, 4, [[0]]))
    for at, given in enumerate(([], [[0], [0]], [[1]], [[0, 0]], [[]], [[0, 1]], [[-1]])):
        add((name, 5, given))
        add((name, 5, given), check=True)
    add((name, 6, None), (name, 7, None))
    add((name, 6, None), (name, 6, None))
    add()
    kafka.until(lambda: all(len(topic["partitions"]) >= 4 for topic in
                            kafka.ask("Metadata", 12, topics=[{"name": name}])["topics"]))
    kafka.wait_for_topic(name)
    kafka.wait_for_topic(other)
    kafka.call("Metadata", 12, topics=[{"name": name}, {"name": other}])
    if kafka.id_of(name) != known:
        kafka.note("the id changed", True)
    add(("__consumer_offsets", 2, None))


@sequence("DeleteRecords")
def records(kafka, version):
    name = kafka.topic("t", partitions=2)
    for _ in range(3):
        kafka.produce(name, batches.batch([b"a", b"b"]))

    def cut(*offsets, topic=name):
        kafka.call("DeleteRecords", version, timeout_ms=60000, topics=[{"name": topic, "partitions": [
            {"partition_index": at, "offset": offset} for at, offset in offsets]}])
    cut((0, 0))
    cut((0, 3))
    cut((0, 2))
    cut((0, 7))
    cut((0, -2))
    cut((0, -1), (1, -1))
    cut((0, 6), (1, 0), (2, 0), (-1, 0))
    cut((0, 0), topic="absent")
    cut((0, 0), topic="bad name")
    cut()
    cut((0, 6), (0, 5))
    kafka.call("ListOffsets", 5, replica_id=-1, topics=[{"name": name, "partitions": [
        {"partition_index": 0, "timestamp": -2}, {"partition_index": 1, "timestamp": -2}]}])
    kafka.call("DeleteRecords", version, timeout_ms=60000, topics=[])


@sequence("DeleteRecords")
def not_allowed(kafka, version):
    """Records of a compacted topic and of internal ones stay."""
    name = kafka.topic("compacted", cleanup_policy="compact")
    kafka.produce(name, batches.batch([b"a"], keys=[b"k"]))
    both = kafka.topic("both", cleanup_policy="compact,delete")
    kafka.produce(both, batches.batch([b"a"], keys=[b"k"]))
    for topic in (name, both):
        kafka.call("DeleteRecords", version, timeout_ms=60000, topics=[{"name": topic, "partitions": [
            {"partition_index": 0, "offset": 1}]}])
    kafka.until(lambda: kafka.ask("FindCoordinator", 3, key="g")["error_code"] == 0)
    kafka.call("DeleteRecords", version, timeout_ms=60000, topics=[{"name": "__consumer_offsets", "partitions": [
        {"partition_index": 0, "offset": 0}]}])


@sequence("DescribeLogDirs")
def log_dirs(kafka, version):
    name, other = kafka.topic("t", partitions=2), kafka.topic("u")
    kafka.produce(name, batches.batch([b"a", b"b"]))
    for topics in ([(name, [0, 1])], [(name, [0]), (other, [0])], [(name, [])], [], [("absent", [0])], [(name, [7])],
                   [(name, [0]), (name, [1])], [(name, [0, 0])]):
        kafka.call("DescribeLogDirs", version, topics=[
            {"topic": topic, "partitions": indexes} for topic, indexes in topics])


@sequence("AlterReplicaLogDirs")
def to_directories(kafka, version):
    """With one log directory; that records are moved is for compat-tests/kill to say."""
    name, here = kafka.topic("t", partitions=2), str(kafka.broker.data)

    def move(*dirs):
        kafka.call("AlterReplicaLogDirs", version, dirs=[
            {"path": path, "topics": [{"name": topic, "partitions": partitions} for topic, partitions in topics]}
            for path, topics in dirs])

    move()
    move((here, []))
    move((here, [(name, [])]))
    move((here, [(name, [0, 1])]))
    for path in ("", "relative", f"{here}/", "/no/such/directory", f"{here}/../data"):
        move((path, [(name, [0])]))
    for topic in ("absent", "", "a b", "a" * 213, "a" * 214, "a" * 250):
        move((here, [(topic, [0])]))
    move((here, [(name, [0, 7, -1, 100])]))
    # the same partition in two directories: the last one counts
    move((here, [(name, [0])]), ("/no/such/directory", [(name, [0, 1])]))
    move(("/no/such/directory", [(name, [0, 1])]), (here, [(name, [0])]))
    kafka.call("DescribeLogDirs", 4, topics=[{"topic": name, "partitions": [0, 1]}])


@sequence("CreateTopics", versions=(4,), against=ApacheKafka43.name)
def neither_deleted_nor_compacted(kafka, version):
    """An empty cleanup.policy, which 4.x takes and keeps records for ever with."""
    name = kafka.name("t")
    create(kafka, version, new_topic(name, configs=[("cleanup.policy", "")]))
    for policy in ("", " ", ",", "delete,delete", "compact,"):
        create(kafka, version, new_topic(kafka.name("of"), configs=[("cleanup.policy", policy)]), validate_only=True)
