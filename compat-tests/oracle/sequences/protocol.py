"""What no API is asked for: keys and versions that nobody serves, bodies that are not what they say, SASL.

These sequences are counted under the API whose connection they try.
"""

import struct

from harness import wire

from sequence import sequence, served


def header(key, version, flexible=False):
    return struct.pack(">hhih", key, version, 7, 6) + b"oracle" + (b"\0" if flexible else b"")


def alive(kafka):
    """Note whether the connection still answers."""
    kafka.call("Heartbeat", 0, group_id="", generation_id=0, member_id="")


@sequence("SaslHandshake", versions=(0, 1))
def without_sasl(kafka, version):
    for mechanism in ("PLAIN", "SCRAM-SHA-256", "", "none"):
        kafka.call("SaslHandshake", version, mechanism=mechanism)
    alive(kafka)


@sequence("SaslAuthenticate", versions=(0, 1, 2))
def without_handshake(kafka, version):
    kafka.call("SaslAuthenticate", version, auth_bytes=b"\0user\0secret")
    alive(kafka)


@sequence("ApiVersions", versions=(0,))
def unknown_keys(kafka, version):
    for key in (-1, 94, 200, 32767, -32768):
        kafka.raw(header(key, 0), "ApiVersions", 0)


@sequence("ApiVersions", versions=(0,))
def for_controllers_only(kafka, version):
    """Keys that exist, and that a broker with ZooKeeper does not offer."""
    for key in (52, 53, 54, 55, 59, 62, 63, 64, 70, 71, 72, 74, 76, 80):
        kafka.raw(header(key, 0, flexible=True), "ApiVersions", 0)


def versions_not_served(api):
    def beyond(kafka, version):
        message = wire.messages()[api, "request"]
        kafka.raw(header(message.key, version, flexible=version >= message.flexible), "ApiVersions", 0)
    beyond.__name__ = "version_not_served"
    return beyond


def cut_short(api):
    def cut(kafka, version):
        """A body that ends too early, at some places, and one with bytes behind it."""
        whole = wire.request(api, version, client="oracle")[4:]
        message = wire.messages()[api, "request"]
        start = len(header(message.key, version, version >= message.flexible))
        for end in sorted({start, start + 1, start + (len(whole) - start) // 2, len(whole) - 1}):
            if start <= end < len(whole):
                kafka.raw(whole[:end], "ApiVersions", 0)
        kafka.raw(whole + b"\0\0\0\0", api, version)
    cut.__name__ = "cut_short"
    return cut


# APIs whose requests with default values are answered at once, change nothing, and tell nothing of what other
# sequences left. (Apache Kafka 3.9.1 never answers an OffsetFetch without groups.)
SUITED = {"Metadata": (1, 12), "OffsetFetch": (0, 7)}
for each in ("Metadata", "ListOffsets", "FindCoordinator", "OffsetFetch", "Heartbeat", "DescribeGroups",
             "CreateTopics", "DeleteTopics", "DescribeConfigs", "DescribeCluster", "DeleteRecords", "OffsetCommit",
             "CreatePartitions", "AlterConfigs", "IncrementalAlterConfigs", "DescribeLogDirs", "DeleteGroups",
             "OffsetForLeaderEpoch", "LeaveGroup", "SyncGroup", "JoinGroup", "OffsetDelete", "DescribeProducers"):
    sequence(each, versions=SUITED.get(each, (served(each)[0], served(each)[-1])))(cut_short(each))
    sequence(each, versions=(-1, 99))(versions_not_served(each))
