"""ApiVersions, Metadata, DescribeCluster, DescribeTopicPartitions, FindCoordinator: what a client asks first."""

from harness.brokers import ApacheKafka43

from peer import some_uuid
from sequence import sequence


@sequence("ApiVersions", first=True)
def versions(kafka, version):
    kafka.call("ApiVersions", version, client_software_name="oracle", client_software_version="1.0")


@sequence("ApiVersions", versions=(5, 6, 99, 32767, -1))
def unknown_version(kafka, version):
    """The answer is in version 0, whatever was asked for, and the connection lives."""
    kafka.connection().send(b"\x00\x00\x00\x11\x00\x12" + version.to_bytes(2, "big", signed=True) +
                            b"\x00\x00\x00\x07\x00\x06oracle\x00")
    kafka.take("ApiVersions", 0)
    kafka.call("ApiVersions", 3, client_software_name="oracle", client_software_version="1.0")


@sequence("ApiVersions", versions=(3, 4))
def client_names(kafka, version):
    for name, number in (("", "1.0"), ("oracle", ""), ("a b", "1.0"), ("-a", "1.0"), ("a-", "1.0"), ("a.b-c", "1"),
                         ("é", "1.0"), ("a" * 300, "1.0"), ("oracle", "1/0"), ("oracle", "1.0\n")):
        kafka.call("ApiVersions", version, client_software_name=name, client_software_version=number)


@sequence("Metadata", first=True)
def all_of_none(kafka, version):
    """A broker without a topic."""
    kafka.call("Metadata", version, topics=[] if version == 0 else None, allow_auto_topic_creation=False)
    kafka.call("Metadata", version, topics=[], allow_auto_topic_creation=False)


@sequence("Metadata")
def known_topics(kafka, version):
    one, _ = kafka.shared_topic("known-one")
    two, _ = kafka.shared_topic("known-two", partitions=3)
    for topics in ([one], [one, two], [one, one], [two, kafka.name("absent")]):
        kafka.call("Metadata", version, topics=[{"name": name} for name in topics], allow_auto_topic_creation=False)


@sequence("Metadata")
def all_of_some(kafka, version):
    """Other sequences have topics too; what is compared is those of this one."""
    kafka.topic("one", partitions=2)
    kafka.topic("two")
    answer = kafka.ask("Metadata", version, topics=[] if version == 0 else None)
    answer["topics"] = [topic for topic in answer["topics"] if topic["name"].startswith(kafka.prefix)]
    kafka.note("Metadata", kafka.normalise("Metadata", answer))


@sequence("Metadata")
def operations(kafka, version):
    one, _ = kafka.shared_topic("known-one")
    kafka.call("Metadata", version, topics=[{"name": one}], include_cluster_authorized_operations=True,
               include_topic_authorized_operations=True, allow_auto_topic_creation=False)
    absent = kafka.name("absent")
    for name in (absent, "not valid"):
        for create in (False, True):
            kafka.call("Metadata", version, topics=[{"name": name}], include_topic_authorized_operations=True,
                       allow_auto_topic_creation=create)
            if version < 4 and name == absent:  # the older versions do not ask, and are creating it
                kafka.wait_for_topic(name)


@sequence("Metadata")
def invalid_names(kafka, version):
    for create in (False, True):
        for name in ("", ".", "..", "a b", "a/b", "../x", "é", "a" * 250, "a\0b", "a,b"):
            kafka.call("Metadata", version, topics=[{"name": name}], allow_auto_topic_creation=create)


@sequence("Metadata")
def created_by_asking(kafka, version):
    name = kafka.name("auto.made")
    kafka.call("Metadata", version, topics=[{"name": name}], allow_auto_topic_creation=False)
    if version < 4:         # the older versions do not ask, and are creating it
        kafka.wait_for_topic(name)
    kafka.call("Metadata", version, topics=[{"name": name}], allow_auto_topic_creation=True)
    kafka.until(lambda: kafka.ask("Metadata", 12, topics=[{"name": name}])["topics"][0]["error_code"] == 0)
    kafka.wait_for_topic(name)
    kafka.call("Metadata", version, topics=[{"name": name}], allow_auto_topic_creation=True)
    # a name that collides with it in metric names
    kafka.call("Metadata", version, topics=[{"name": kafka.name("auto_made")}], allow_auto_topic_creation=True)


@sequence("Metadata", versions=(10, 11, 12))
def by_id(kafka, version):
    one, _ = kafka.shared_topic("known-one")
    known = kafka.id_of(one)
    kafka.call("Metadata", version, topics=[{"topic_id": known, "name": None}])
    kafka.call("Metadata", version, topics=[{"topic_id": known, "name": one}])
    kafka.call("Metadata", version, topics=[{"topic_id": known, "name": "other"}])
    kafka.call("Metadata", version, topics=[{"topic_id": some_uuid("absent"), "name": None}])
    kafka.call("Metadata", version, topics=[{"topic_id": known, "name": None}, {"name": one}])
    kafka.call("Metadata", version, topics=[{"name": None}])


@sequence("Metadata")
def null_name(kafka, version):
    kafka.call("Metadata", version, topics=[{"name": None}])


@sequence("DescribeCluster", first=True)
def cluster(kafka, version):
    for operations in (False, True):
        for kind in (1, 2, 0, 3):
            kafka.call("DescribeCluster", version, include_cluster_authorized_operations=operations,
                       endpoint_type=kind)


@sequence("DescribeTopicPartitions", against=ApacheKafka43.name)
def topic_partitions(kafka, version):
    one, _ = kafka.shared_topic("known-one")
    two, _ = kafka.shared_topic("known-two", partitions=5)
    cursor = {"topic_name": two, "partition_index": 2}
    for values in ({"topics": []}, {"topics": [{"name": one}]}, {"topics": [{"name": two}, {"name": one}]},
                   {"topics": [{"name": two}], "response_partition_limit": 2},
                   {"topics": [{"name": one}, {"name": two}], "response_partition_limit": 1},
                   {"topics": [{"name": one}, {"name": two}], "response_partition_limit": 0},
                   {"topics": [{"name": one}, {"name": two}], "response_partition_limit": -1},
                   {"topics": [{"name": one}, {"name": two}], "cursor": cursor},
                   {"topics": [{"name": two}], "cursor": {"topic_name": two, "partition_index": 7}},
                   {"topics": [{"name": two}], "cursor": {"topic_name": two, "partition_index": -1}},
                   {"topics": [{"name": two}], "cursor": {"topic_name": "absent", "partition_index": 0}},
                   {"topics": [{"name": one}], "cursor": {"topic_name": "zzz", "partition_index": 0}},
                   {"topics": [{"name": "absent"}]}, {"topics": [{"name": "a b"}, {"name": ""}]},
                   {"topics": [{"name": one}, {"name": one}]}, {"topics": [{"name": "absent"}, {"name": one}]}):
        kafka.call("DescribeTopicPartitions", version, **values)


def located(kafka, version, key_type, key):
    """The error of one FindCoordinator, which is not noted."""
    answer = kafka.ask("FindCoordinator", version, key=key, key_type=key_type, coordinator_keys=[key])
    return (answer if version < 4 else answer["coordinators"][0])["error_code"]


@sequence("FindCoordinator")
def coordinators(kafka, version):
    kafka.until(lambda: located(kafka, version, 0, "g") == 0)
    for kind in (0, 2, 3, -1):
        for keys in (["g"], [""], ["g", "h"], ["g", "g"], []):
            kafka.call("FindCoordinator", version, key=keys[0] if keys else "g", key_type=kind, coordinator_keys=keys)


@sequence("FindCoordinator", versions=range(1, 7))
def transaction_coordinator(kafka, version):
    kafka.until(lambda: located(kafka, version, 1, "t") == 0)
    kafka.call("FindCoordinator", version, key="", key_type=1, coordinator_keys=[""])
