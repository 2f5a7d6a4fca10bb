"""DescribeConfigs, AlterConfigs, IncrementalAlterConfigs."""

import batches
from sequence import sequence

TOPIC, BROKER, LOGGER, UNKNOWN = 2, 4, 8, 0
SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3


def describe(kafka, version, *resources, keys=None, **more):
    kafka.call("DescribeConfigs", version, resources=[
        {"resource_type": kind, "resource_name": name, "configuration_keys": keys} for kind, name in resources],
        **more)


@sequence("DescribeConfigs")
def of_a_topic(kafka, version):
    name = kafka.topic("t", retention_ms="1000", cleanup_policy="compact")
    for synonyms in (False, True):
        describe(kafka, version, (TOPIC, name), include_synonyms=synonyms, include_documentation=synonyms)
    describe(kafka, version, (TOPIC, name), keys=["retention.ms", "no.such", "segment.bytes"])
    describe(kafka, version, (TOPIC, name), keys=[])
    describe(kafka, version, (TOPIC, name), keys=["retention.ms", "retention.ms"])


@sequence("DescribeConfigs", first=True)
def of_the_broker(kafka, version):
    for synonyms in (False, True):
        describe(kafka, version, (BROKER, "0"), include_synonyms=synonyms, include_documentation=synonyms)
    describe(kafka, version, (BROKER, ""), include_synonyms=True)
    describe(kafka, version, (BROKER, "0"), keys=["log.retention.hours", "no.such", "log.retention.ms"],
             include_synonyms=True)


@sequence("DescribeConfigs")
def bad_resources(kafka, version):
    for resource in ((TOPIC, "absent"), (TOPIC, "bad name"), (TOPIC, ""), (BROKER, "7"), (BROKER, "x"),
                     (BROKER, "-1"), (UNKNOWN, "x"), (77, "x"), (1, "x"), (3, "g"), (16, "x"), (32, "g"),
                     (LOGGER, "7"), (LOGGER, ""), (LOGGER, "x")):
        describe(kafka, version, resource)
    describe(kafka, version)
    name = kafka.topic("t")
    describe(kafka, version, (TOPIC, name), (TOPIC, "absent"), (TOPIC, name), keys=["retention.ms"])


def alter(kafka, version, *resources, check=False):
    kafka.call("AlterConfigs", version, validate_only=check, resources=[
        {"resource_type": kind, "resource_name": name,
         "configs": [{"name": key, "value": value} for key, value in configs]} for kind, name, configs in resources])


BAD_VALUES = [
    [("retention.ms", "x")], [("retention.ms", "-2")], [("retention.ms", None)], [("retention.ms", "")],
    [("no.such", "1")], [("", "1")], [("cleanup.policy", "shred")], [("cleanup.policy", "")],
    [("retention.ms", "1"), ("no.such", "1")], [("compression.type", "brotli")], [("segment.bytes", "13")],
    [("min.cleanable.dirty.ratio", "2")], [("preallocate", "yes")], [("message.timestamp.type", "never")],
    [("retention.ms", "1"), ("retention.ms", "2")], [("message.format.version", "9.9")],
    [("remote.storage.enable", "true")], [("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")]]


def settled(kafka, kind, name, key, value):
    """Wait until a change has reached the broker's own configuration."""
    def now():
        answer = kafka.ask("DescribeConfigs", 1, resources=[
            {"resource_type": kind, "resource_name": name, "configuration_keys": [key]}])
        return [one["value"] for one in answer["results"][0]["configs"]] == [value]
    kafka.until(now)


@sequence("AlterConfigs")
def of_topic(kafka, version):
    name = kafka.topic("t", retention_ms="1000")
    alter(kafka, version, (TOPIC, name, [("segment.bytes", "2000000"), ("cleanup.policy", "compact")]), check=True)
    alter(kafka, version, (TOPIC, name, [("segment.bytes", "2000000"), ("cleanup.policy", "compact")]))
    settled(kafka, TOPIC, name, "segment.bytes", "2000000")
    settled(kafka, TOPIC, name, "retention.ms", "-1")
    describe(kafka, 1, (TOPIC, name))
    for check in (False, True):
        for configs in BAD_VALUES:
            alter(kafka, version, (TOPIC, name, configs), check=check)
    alter(kafka, version, (TOPIC, name, []))
    settled(kafka, TOPIC, name, "segment.bytes", "1073741824")
    describe(kafka, 1, (TOPIC, name))


@sequence("AlterConfigs")
def resources(kafka, version):
    name = kafka.topic("t")
    good = [("retention.ms", "5")]
    for kind, which in ((TOPIC, "absent"), (TOPIC, "bad name"), (TOPIC, ""), (BROKER, "7"), (BROKER, "x"),
                        (UNKNOWN, "x"), (77, "x"), (LOGGER, "0"), (16, "x"), (32, "g")):
        for check in (False, True):
            alter(kafka, version, (kind, which, good), check=check)
    # The same resource twice is left out: Apache Kafka 3.9.1 never answers that.
    alter(kafka, version, (TOPIC, name, good), (TOPIC, "absent", good))
    alter(kafka, version)


@sequence("AlterConfigs")
def of_broker(kafka, version):
    for check in (True, False):
        for which in ("0", ""):
            for configs in ([("log.retention.ms", "123456789")], [("log.retention.ms", "x")],
                            [("log.retention.ms", None)], [("no.such", "1")], [("port", "1")], [("broker.id", "1")],
                            [("log.dirs", "/x")], [("num.io.threads", "9")], [("num.io.threads", "1000")],
                            [("num.network.threads", "0")], [("zookeeper.connect", "x")],
                            [("background.threads", "4"), ("listeners", "x")], []):
                alter(kafka, version, (BROKER, which, configs), check=check)
    # A change reaches the broker behind those before it, and other sequences begin without any.
    for configs, threads in ([("background.threads", "11")], "11"), ([], "10"):
        alter(kafka, version, (BROKER, "0", configs))
        settled(kafka, BROKER, "0", "background.threads", threads)


def increment(kafka, version, *resources, check=False):
    kafka.call("IncrementalAlterConfigs", version, validate_only=check, resources=[
        {"resource_type": kind, "resource_name": name,
         "configs": [{"name": key, "config_operation": operation, "value": value} for key, operation, value in configs]}
        for kind, name, configs in resources])


@sequence("IncrementalAlterConfigs")
def topic_steps(kafka, version):
    name = kafka.topic("t", retention_ms="1000")
    steps = (
        [("segment.bytes", SET, "2000000")], [("cleanup.policy", APPEND, "compact")],
        [("cleanup.policy", APPEND, "compact")], [("cleanup.policy", SUBTRACT, "delete")],
        [("cleanup.policy", SUBTRACT, "delete")], [("cleanup.policy", SUBTRACT, "compact")],
        [("cleanup.policy", APPEND, "shred")], [("cleanup.policy", APPEND, None)], [("cleanup.policy", DELETE, None)],
        [("retention.ms", APPEND, "1")], [("retention.ms", SUBTRACT, "1")], [("retention.ms", DELETE, "whatever")],
        [("retention.ms", DELETE, None)], [("no.such", SET, "1")], [("no.such", DELETE, None)],
        [("retention.ms", SET, None)], [("retention.ms", SET, "")], [("retention.ms", SET, "x")],
        [("retention.ms", 9, "1")], [("retention.ms", -1, "1")], [("", SET, "1")],
        [("retention.ms", SET, "1"), ("retention.ms", SET, "2")], [("retention.ms", SET, "1"), ("retention.ms", DELETE, None)],
        [("leader.replication.throttled.replicas", APPEND, "0:0")],
        [("leader.replication.throttled.replicas", APPEND, "1:0,2:0")],
        [("leader.replication.throttled.replicas", SUBTRACT, "1:0")],
        [("leader.replication.throttled.replicas", APPEND, "x")], [], [("min.insync.replicas", SET, "0")],
        [("message.format.version", SET, "2.0")], [("remote.storage.enable", SET, "true")])
    for configs in steps:
        increment(kafka, version, (TOPIC, name, configs), check=True)
        increment(kafka, version, (TOPIC, name, configs))
    increment(kafka, version, (TOPIC, name, [("index.interval.bytes", SET, "77")]))
    settled(kafka, TOPIC, name, "index.interval.bytes", "77")
    describe(kafka, 1, (TOPIC, name), include_synonyms=True)


@sequence("IncrementalAlterConfigs")
def resource_kinds(kafka, version):
    name = kafka.topic("t")
    good = [("retention.ms", SET, "5")]
    for kind, which in ((TOPIC, "absent"), (TOPIC, "bad name"), (TOPIC, ""), (BROKER, "7"), (BROKER, "x"),
                        (UNKNOWN, "x"), (77, "x"), (LOGGER, "7"), (LOGGER, "x"), (16, "x"), (32, "g")):
        for check in (False, True):
            increment(kafka, version, (kind, which, good), check=check)
    increment(kafka, version, (TOPIC, name, good), (TOPIC, "absent", good), (TOPIC, name, good))
    increment(kafka, version, (TOPIC, name, good), (TOPIC, "absent", good))
    increment(kafka, version)


@sequence("IncrementalAlterConfigs")
def broker_steps(kafka, version):
    for which in ("0", ""):
        for configs in (
                [("log.retention.ms", SET, "123456789")], [("log.retention.ms", SET, "x")],
                [("log.retention.ms", SET, None)], [("log.retention.ms", DELETE, None)], [("no.such", SET, "1")],
                [("no.such", DELETE, None)], [("port", SET, "1")], [("broker.id", SET, "1")],
                [("log.cleanup.policy", APPEND, "compact")], [("log.cleanup.policy", SUBTRACT, "compact")],
                [("log.retention.ms", APPEND, "1")], [("num.io.threads", SET, "1000")],
                [("num.network.threads", SET, "0")], [("max.connections", SET, "5000")],
                [("log.cleaner.threads", SET, "3")], [("", SET, "1")], [("message.max.bytes", SET, "-1")],
                [("unclean.leader.election.enable", SET, "maybe")], [("listeners", SET, "x")]):
            increment(kafka, version, (BROKER, which, configs), check=True)
    increment(kafka, version, (BROKER, "0", [("background.threads", SET, "12")]))
    increment(kafka, version, (BROKER, "", [("background.threads", SET, "11"), ("log.retention.ms", SET, "777777777")]))
    settled(kafka, BROKER, "0", "background.threads", "12")
    settled(kafka, BROKER, "0", "log.retention.ms", "777777777")
    describe(kafka, 4, (BROKER, "0"), (BROKER, ""), keys=["background.threads", "log.retention.ms"],
             include_synonyms=True)
    name = kafka.topic("t")
    describe(kafka, 4, (TOPIC, name), keys=["retention.ms"], include_synonyms=True)
    increment(kafka, version, (BROKER, "0", [("background.threads", DELETE, None)]))
    increment(kafka, version, (BROKER, "", [("background.threads", DELETE, None), ("log.retention.ms", DELETE, None)]))
    settled(kafka, BROKER, "0", "background.threads", "10")
    settled(kafka, BROKER, "0", "log.retention.ms", None)
    describe(kafka, 4, (BROKER, "0"), (BROKER, ""), keys=["background.threads", "log.retention.ms"],
             include_synonyms=True)
