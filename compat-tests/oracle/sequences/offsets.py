"""OffsetCommit, OffsetFetch, OffsetDelete: what groups have read."""

from sequence import sequence
from sequences.groups import leave, ready, stable, subscription


def commit(kafka, version, group, *offsets, generation=-1, member="", **more):
    """Offsets are (topic, partition, offset, metadata, leader epoch), the last two may be left out."""
    topics = {}
    for topic, partition, offset, *rest in offsets:
        topics.setdefault(topic, []).append({
            "partition_index": partition, "committed_offset": offset,
            "committed_metadata": rest[0] if rest else "", "committed_leader_epoch": rest[1] if rest[1:] else -1})
    return kafka.call("OffsetCommit", version, group_id=group, generation_id_or_member_epoch=generation,
                      member_id=member, topics=[{"name": name, "partitions": partitions}
                                                for name, partitions in topics.items()], **more)


def fetch(kafka, version, group, *topics, every=False, **more):
    asked = None if every else [{"name": name, "partition_indexes": list(indexes)} for name, indexes in topics]
    if asked is None and version < 2:
        return None
    return kafka.call("OffsetFetch", version, group_id=group, topics=asked,
                      groups=[{"group_id": group, "topics": asked}], **more)


@sequence("OffsetCommit", versions=range(1, 10))
def without_members(kafka, version):
    group = ready(kafka)
    topic = kafka.topic(partitions=3)
    commit(kafka, version, group, (topic, 0, 5, "some text", 3), (topic, 1, 0), (topic, 2, 1 << 40, None))
    commit(kafka, version, group, (topic, 0, 7))
    fetch(kafka, 5, group, every=True)
    commit(kafka, version, group, (topic, 0, -1), (topic, 1, -5), (topic, 7, 1), (topic, -1, 1))
    commit(kafka, version, group, ("absent", 0, 1), (topic, 0, 8))
    commit(kafka, version, group, ("not valid", 0, 1), ("", 0, 1))
    commit(kafka, version, group, (topic, 0, 1, "m" * 4096), (topic, 1, 1, "m" * 4097))
    commit(kafka, version, group, (topic, 0, 1, "ü" * 2049))
    commit(kafka, version, group, (topic, 0, 11), (topic, 0, 12))
    fetch(kafka, 5, group, every=True)
    commit(kafka, version, group)
    kafka.call("OffsetCommit", version, group_id=group, topics=[{"name": topic, "partitions": []}])
    commit(kafka, version, group, (topic, 0, 1), generation=0)
    commit(kafka, version, group, (topic, 0, 1), generation=3, member="stranger")
    commit(kafka, version, group, (topic, 0, 1), member="stranger")
    commit(kafka, version, group, (topic, 0, 1), group_instance_id="i")
    commit(kafka, version, "", (topic, 0, 13))
    fetch(kafka, 5, group, every=True)
    fetch(kafka, 5, "", every=True)


@sequence("OffsetCommit", versions=range(1, 10))
def with_members(kafka, version):
    group = ready(kafka)
    topic = kafka.topic()
    joined = stable(kafka, group)
    generation, member = joined["generation_id"], joined["member_id"]
    for at, who in ((generation, member), (generation + 1, member), (generation - 1, member), (-1, member),
                    (generation, "stranger"), (generation, ""), (-1, "")):
        commit(kafka, version, group, (topic, 0, 5), generation=at, member=who)
    commit(kafka, version, group, (topic, 0, 6), generation=generation, member=member, group_instance_id="i")
    leave(kafka, group, joined)
    commit(kafka, version, group, (topic, 0, 7), generation=generation, member=member)
    commit(kafka, version, group, (topic, 0, 8))
    fetch(kafka, 5, group, every=True)


@sequence("OffsetCommit", versions=(2, 3, 4))
def with_retention(kafka, version):
    group = ready(kafka)
    topic = kafka.topic()
    for retention in (-1, 0, 100000, -2):
        commit(kafka, version, group, (topic, 0, 5), retention_time_ms=retention)
    commit(kafka, version, group, (topic, 0, 6), retention_time_ms=86400000)
    fetch(kafka, 5, group, every=True)


@sequence("OffsetCommit", versions=(0,))
def in_version_0(kafka, version):
    """Version 0 knows no members. Apache Kafka keeps its offsets in ZooKeeper, where only version 0 sees them."""
    group = ready(kafka)
    topic = kafka.topic(partitions=2)
    fetch(kafka, 0, group, (topic, [0, 1]))
    commit(kafka, 0, group, (topic, 0, 5, "some text"), ("absent", 0, 1), (topic, 7, 1))
    fetch(kafka, 0, group, (topic, [0, 1]))
    commit(kafka, 0, group, (topic, 0, 6), (topic, 1, 7, "m" * 4097))
    fetch(kafka, 0, group, (topic, [0, 1]), ("absent", [0]))


@sequence("OffsetFetch", versions=range(1, 10))
def fetched(kafka, version):
    group = ready(kafka)
    one, two = kafka.topic("one", partitions=2), kafka.topic("two")
    fetch(kafka, version, group, (one, [0, 1]))
    fetch(kafka, version, group, every=True)
    kafka.ask("OffsetCommit", 6, group_id=group, generation_id_or_member_epoch=-1, topics=[
        {"name": one, "partitions": [{"partition_index": 0, "committed_offset": 5, "committed_leader_epoch": 2,
                                      "committed_metadata": "some"}]},
        {"name": two, "partitions": [{"partition_index": 0, "committed_offset": 9, "committed_metadata": ""}]}])
    for topics in ([(one, [0, 1])], [(one, [0]), (two, [0])], [("absent", [0])], [(one, [7, -1])], [(one, [])],
                   [("not valid", [0])], [(one, [0, 0])], []):
        fetch(kafka, version, group, *topics)
        fetch(kafka, version, group, *topics, require_stable=True)
    fetch(kafka, version, group, every=True)
    fetch(kafka, version, kafka.name("absent"), every=True)
    fetch(kafka, version, "", every=True)
    fetch(kafka, version, "", (one, [0]))


@sequence("OffsetFetch", versions=(8, 9))
def several_groups(kafka, version):
    group, other = ready(kafka), ready(kafka, "other")
    topic = kafka.topic()
    kafka.ask("OffsetCommit", 6, group_id=group, generation_id_or_member_epoch=-1, topics=[
        {"name": topic, "partitions": [{"partition_index": 0, "committed_offset": 5, "committed_metadata": "some"}]}])
    asked = [{"name": topic, "partition_indexes": [0]}]
    for groups in ([(group, asked), (other, asked)], [(group, None), (other, None)], [(group, []), (other, asked)],
                   [(group, asked), (group, None)], [(group, None), ("", None)]):    # none: Kafka never answers
        kafka.call("OffsetFetch", version, groups=[{"group_id": name, "topics": topics} for name, topics in groups])
    joined = stable(kafka, group)
    for member, epoch in ((joined["member_id"], joined["generation_id"]), (joined["member_id"], 7), ("stranger", 1),
                          ("", 0), (None, 5), ("stranger", -1)):
        kafka.call("OffsetFetch", version, groups=[{"group_id": group, "topics": asked, "member_id": member,
                                                    "member_epoch": epoch}])


@sequence("OffsetDelete")
def deleted(kafka, version):
    group, simple = ready(kafka), ready(kafka, "simple")
    one, two = kafka.topic("one", partitions=2), kafka.topic("two")

    def delete(name, *topics):
        kafka.call("OffsetDelete", version, group_id=name, topics=[
            {"name": topic, "partitions": [{"partition_index": at} for at in indexes]} for topic, indexes in topics])
    delete(kafka.name("absent"), (one, [0]))
    delete("", (one, [0]))
    for name in (group, simple):
        for topic in (one, two):
            commit(kafka, 2, name, (topic, 0, 5), (topic, 1, 6))
    delete(simple, (one, [0, 7]), ("absent", [0]), (two, []))
    delete(simple, (one, [0]))
    delete(simple)
    fetch(kafka, 5, simple, every=True)
    joined = stable(kafka, group, protocols=(("range", subscription(one)),))
    delete(group, (one, [0]), (two, [0]))
    fetch(kafka, 5, group, every=True)
    leave(kafka, group, joined)
    delete(group, (one, [0, 1]))
    fetch(kafka, 5, group, every=True)
    stable(kafka, group, kind="connect")
    delete(group, (two, [0]))
