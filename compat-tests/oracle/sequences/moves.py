"""ElectLeaders, AlterPartitionReassignments, ListPartitionReassignments: who leads, and where replicas are."""

from sequence import sequence
from sequences.topics import create, new_topic

PREFERRED, UNCLEAN = 0, 1
TIMEOUT = {"timeout_ms": 60000}


def a_topic(kafka, partitions=2):
    name = kafka.name("t")
    create(kafka, 5, new_topic(name, partitions))
    kafka.wait_for_topic(name)
    return name


def wish(name, *moves):
    """partition -> replicas, None to call it off."""
    return [{"name": name, "partitions": [{"partition_index": at, "replicas": replicas} for at, replicas in moves]}]


@sequence("ElectLeaders")
def not_needed(kafka, version):
    name = a_topic(kafka, 1)
    for kind in (PREFERRED, UNCLEAN) if version >= 1 else (PREFERRED,):
        more = {"election_type": kind} if version >= 1 else {}
        kafka.call("ElectLeaders", version, topic_partitions=[{"topic": name, "partitions": [0]}], **more, **TIMEOUT)


@sequence("ElectLeaders")
def nobody_there(kafka, version):
    name = a_topic(kafka, 1)
    kafka.call("ElectLeaders", version, topic_partitions=[{"topic": name, "partitions": [7]}], **TIMEOUT)
    kafka.call("ElectLeaders", version, topic_partitions=[{"topic": kafka.name("other"), "partitions": [0]}], **TIMEOUT)
    kafka.call("ElectLeaders", version, topic_partitions=[], **TIMEOUT)


@sequence("AlterPartitionReassignments", versions=[0])
def of_a_lone_broker(kafka, version):
    name = a_topic(kafka)
    for moves in ([(0, [0])], [(0, [99])], [(0, [0, 99])], [(0, [])], [(0, [0, 0])], [(0, [-1])], [(0, None)], [(7, [0])],
                  [(7, None)], [(0, [0]), (1, [99])]):
        kafka.call("AlterPartitionReassignments", version, topics=wish(name, *moves), **TIMEOUT)
    kafka.call("AlterPartitionReassignments", version, topics=wish(kafka.name("other"), (0, [0])), **TIMEOUT)
    kafka.call("AlterPartitionReassignments", version, topics=[], **TIMEOUT)
    kafka.call("ListPartitionReassignments", 0, topics=None, **TIMEOUT)


@sequence("ListPartitionReassignments")
def nothing_moves(kafka, version):
    name = a_topic(kafka, 1)
    kafka.call("ListPartitionReassignments", version, topics=None, **TIMEOUT)
    kafka.call("ListPartitionReassignments", version, topics=[], **TIMEOUT)
    kafka.call("ListPartitionReassignments", version, topics=[{"name": name, "partition_indexes": [0, 7]}], **TIMEOUT)
    kafka.call("ListPartitionReassignments", version, topics=[{"name": kafka.name("other"), "partition_indexes": [0]}], **TIMEOUT)
