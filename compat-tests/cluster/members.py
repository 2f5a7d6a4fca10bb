"""Members: the brokers of these tests' clusters, and how they become one.

Threads: the test's.
"""

import contextlib
import pathlib
import shutil
import tempfile

from confluent_kafka.admin import AdminClient

from harness import brokers, kafka
from harness.cluster import Metadata, in_sync, led_by, wait_until

EVERYBODY = (1, 2, 3)
SETTINGS = {
    "auto.create.topics.enable": "false", "auto.leader.rebalance.enable": "false",
    "offsets.topic.replication.factor": "3", "offsets.topic.num.partitions": "3",
    "zookeeper.session.timeout.ms": "6000", "replica.lag.time.max.ms": "6000",
    "controlled.shutdown.retry.backoff.ms": "500",
}


class Member(brokers.Milena):
    """A broker of a cluster; `metadata_port` is another's, or its own when it holds the metadata."""

    def __init__(self, number, metadata_port, holds_metadata=False, **settings):
        where = {"milena.metadata.port": str(metadata_port)} if holds_metadata else {
            "zookeeper.connect": f"127.0.0.1:{metadata_port}"}
        super().__init__({**SETTINGS, "broker.id": str(number), **where, **settings})
        self.number, self.zookeeper = number, None


class KafkaMember(brokers.ApacheKafka39):
    """A broker of Apache Kafka whose ZooKeeper is our metadata service."""

    def __init__(self, number, metadata_port, **settings):
        super().__init__({**SETTINGS, "broker.id": str(number), **settings})
        self.number, self.zookeeper_port = number, metadata_port

    def prepare(self):
        pass

    def __exit__(self, *arguments):
        brokers.Broker.__exit__(self, *arguments)


@contextlib.contextmanager
def metadata_service():
    """A metadata service, and a stack for what ends before it does."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="milena-test-metadata-"))
    service = Metadata(folder)
    service.start()
    try:
        with contextlib.ExitStack() as stack:
            yield stack, service
    finally:
        service.stop()
        shutil.rmtree(folder, ignore_errors=True)


def topics(checks, bootstrap, *words):
    """kafka-topics of Apache Kafka. Returns what it said."""
    code, out, err = kafka.run_tool("3.9.1", "kafka-topics", "--bootstrap-server", bootstrap, *words)
    checks.that(code == 0, f"kafka-topics {' '.join(words)}", out + err)
    return out


def controller(broker):
    """Who it says is controller, once all of `EVERYBODY` that are alive are known."""
    return AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0}).list_topics(timeout=10).controller_id


def one_cluster(checks, cluster):
    """All know all, and who is controller."""
    for broker in cluster:
        def look():
            found = AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0}).list_topics(timeout=10)
            return sorted(found.brokers) == list(EVERYBODY) and found.controller_id in EVERYBODY or sorted(found.brokers)
        wait_until(look, "all three are one cluster")
        checks.that(True, f"broker {broker.number} knows all three and the controller")


def create_topic(checks, cluster, topic, configs=("min.insync.replicas=2",)):
    """Three partitions of three replicas, led by one broker each."""
    topics(checks, cluster[2].bootstrap, "--create", "--topic", topic, "--replica-assignment", "1:2:3,2:3:1,3:1:2",
           *(word for each in configs for word in ("--config", each)))
    in_sync(cluster[0].bootstrap, topic, *EVERYBODY)
    led_by(cluster[1].bootstrap, topic, {0: 1, 1: 2, 2: 3})
