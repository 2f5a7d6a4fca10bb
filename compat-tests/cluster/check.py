"""Three brokers of ours are a cluster.

Records are written with acks=all by idempotent producers, while the controller and leaders are killed,
stopped and started. At the end every replica of every partition is the same, byte for byte.
"""

import argparse
import contextlib
import json
import pathlib
import shutil
import sys
import tempfile

from confluent_kafka.admin import AdminClient

from harness import brokers, kafka
from harness.checks import Checks, exit_with
from harness.cluster import Metadata, elect, in_sync, led_by, readable_directory, same_directories, wait_until
from harness.load import Load

TOPIC = "shared"
PARTITIONS = 3
EVERYBODY = (1, 2, 3)

SETTINGS = {
    "auto.create.topics.enable": "false", "auto.leader.rebalance.enable": "false",
    "offsets.topic.replication.factor": "3", "offsets.topic.num.partitions": "3",
    "zookeeper.session.timeout.ms": "4000", "replica.lag.time.max.ms": "6000",
    "controlled.shutdown.retry.backoff.ms": "500",
}

checks = Checks()


class Member(brokers.Milena):
    """A broker of a cluster; `metadata_port` is another's, or its own when it holds the metadata."""

    def __init__(self, number, metadata_port, holds_metadata=False):
        where = {"milena.metadata.port": str(metadata_port)} if holds_metadata else {
            "zookeeper.connect": f"127.0.0.1:{metadata_port}"}
        super().__init__({**SETTINGS, "broker.id": str(number), **where})
        self.number, self.zookeeper = number, None


def topics(bootstrap, *words):
    """kafka-topics of Apache Kafka. Returns what it said."""
    code, out, err = kafka.run_tool("3.9.1", "kafka-topics", "--bootstrap-server", bootstrap, *words)
    checks.that(code == 0, f"kafka-topics {' '.join(words)}", out + err)
    return out


def controller(broker):
    """Who it says is controller, once all of `EVERYBODY` that are alive are known."""
    return AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0}).list_topics(timeout=10).controller_id


def one_cluster(cluster):
    for broker in cluster:
        def look():
            found = AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0}).list_topics(timeout=10)
            return sorted(found.brokers) == list(EVERYBODY) and found.controller_id in EVERYBODY or sorted(found.brokers)
        wait_until(look, "all three are one cluster")
        checks.that(True, f"broker {broker.number} knows all three and the controller")


def create(cluster):
    topics(cluster[2].bootstrap, "--create", "--topic", TOPIC, "--config", "min.insync.replicas=2",
           "--replica-assignment", "1:2:3,2:3:1,3:1:2")
    in_sync(cluster[0].bootstrap, TOPIC, *EVERYBODY)
    led_by(cluster[1].bootstrap, TOPIC, {0: 1, 1: 2, 2: 3})


def loses_its_controller(cluster, load, how, end):
    """Whoever is controller ends in some way and comes back; another is controller meanwhile."""
    gone = next(broker for broker in cluster if broker.number == controller(cluster[0]))
    others = [broker for broker in cluster if broker is not gone]
    with load.during(f"the controller {how}"):
        end(gone)
        in_sync(others[0].bootstrap, TOPIC, *(broker.number for broker in others))
        wait_until(lambda: all(controller(broker) in {each.number for each in others} for broker in others)
                   or [controller(broker) for broker in others], "another is controller")
    with load.during(f"who {how} comes back"):
        gone.start()
        in_sync(others[0].bootstrap, TOPIC, *EVERYBODY)


def gets_its_leaders_back(cluster):
    done, said = elect(cluster[0].bootstrap)
    checks.that(done, "kafka-leader-election gives everybody its partition", said)
    led_by(cluster[0].bootstrap, TOPIC, {0: 1, 1: 2, 2: 3})


def stop(broker):
    checks.equal(broker.stop(), 0, f"broker {broker.number} ends cleanly")
    checks.that("another leader" in broker.log_tail(200), f"broker {broker.number} has handed over what it led",
                broker.log_tail())


def changes_its_topics(cluster):
    """A topic comes, gets partitions and goes, as everybody sees."""
    bootstrap = cluster[0].bootstrap
    topics(bootstrap, "--create", "--topic", "passing", "--partitions", "4", "--replication-factor", "3")
    topics(bootstrap, "--alter", "--topic", "passing", "--partitions", "6")
    in_sync(cluster[1].bootstrap, "passing", *EVERYBODY)
    said = topics(bootstrap, "--describe", "--topic", "passing")
    checks.that("PartitionCount: 6" in said and "ReplicationFactor: 3" in said, "it has six partitions of three replicas", said)
    topics(bootstrap, "--delete", "--topic", "passing")
    def left():
        return [str(path) for broker in cluster for path in broker.data.glob("passing-*") if not path.name.endswith("-delete")]
    wait_until(lambda: not left() or left(), "its logs are gone")
    wait_until(lambda: "passing" not in topics_of(cluster[2]) or topics_of(cluster[2]), "nobody knows it")
    checks.that(True, "a topic that is deleted is gone from every broker")


def moves_its_replicas(cluster, load):
    """Each partition leaves a broker and comes back, with Kafka's own tool."""
    without_one = {0: [2, 3], 1: [3, 1], 2: [1, 2]}
    with_all = {0: [1, 2, 3], 1: [2, 3, 1], 2: [3, 1, 2]}
    with tempfile.TemporaryDirectory(prefix="milena-test-plan-") as folder:
        for what, wanted in (("leave", without_one), ("come back", with_all)):
            plan = pathlib.Path(folder) / "plan.json"
            plan.write_text(json.dumps({"version": 1, "partitions": [
                {"topic": TOPIC, "partition": number, "replicas": replicas} for number, replicas in wanted.items()]}))
            with load.during(f"replicas {what}"):
                said = reassign(cluster, plan, "--execute")
                checks.that("Successfully started partition reassignments" in said, f"replicas {what}: it begins", said)
                wait_until(lambda wanted=wanted: replicas_of(cluster[0]) == wanted or replicas_of(cluster[0]), "they are where they should be")
            said = reassign(cluster, plan, "--verify")
            checks.equal(said.count("is completed."), len(wanted), f"replicas {what}: --verify says so")
    checks.that("No partition reassignments found." in reassign(cluster, None, "--list"), "nothing moves any more")


def reassign(cluster, plan, verb):
    code, out, err = kafka.run_tool("3.9.1", "kafka-reassign-partitions", "--bootstrap-server", cluster[0].bootstrap, verb,
                                    *(["--reassignment-json-file", str(plan)] if plan else []))
    checks.equal(code, 0, f"kafka-reassign-partitions {verb}")
    return out + err


def replicas_of(broker):
    """partition -> its replicas, when all of them are in sync."""
    found = AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0}).list_topics(TOPIC, timeout=10).topics[TOPIC]
    return {number: each.replicas for number, each in sorted(found.partitions.items())
            if sorted(each.isrs) == sorted(each.replicas)}


def topics_of(broker):
    return sorted(AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0}).list_topics(timeout=10).topics)


def beside_metadata(cluster):
    one_cluster(cluster)
    create(cluster)
    load = Load(checks, cluster, TOPIC, PARTITIONS)
    with load.during("three leaders"):
        changes_its_topics(cluster)
    moves_its_replicas(cluster, load)
    loses_its_controller(cluster, load, "is killed", brokers.Milena.kill)
    gets_its_leaders_back(cluster)
    loses_its_controller(cluster, load, "stops", stop)
    gets_its_leaders_back(cluster)
    load.compare("at the end")


def around_metadata(cluster):
    one_cluster(cluster)
    create(cluster)
    load = Load(checks, cluster, TOPIC, PARTITIONS)
    first = cluster[0]
    with load.during("the broker that holds the metadata is killed and comes back"):
        first.kill()
        first.start()
        in_sync(cluster[1].bootstrap, TOPIC, *EVERYBODY)
    with load.during("it stops and starts"):
        checks.equal(first.stop(), 0, "it ends cleanly")
        first.start()
        in_sync(cluster[1].bootstrap, TOPIC, *EVERYBODY)
    one_cluster(cluster)
    load.compare("at the end")


def with_kafka(cluster):
    """Ours is the controller of two Apache Kafkas."""
    ours, second, third = cluster
    one_cluster(cluster)
    checks.equal([controller(broker) for broker in cluster], [ours.number] * 3, "ours is the controller, as all say")
    create(cluster)
    load = Load(checks, cluster, TOPIC, PARTITIONS)
    with load.during("ours is controller"):
        changes_its_topics(cluster)
    moves_its_replicas(cluster, load)
    with load.during("a Kafka is killed"):
        third.kill()
        in_sync(ours.bootstrap, TOPIC, ours.number, second.number)
    with load.during("it comes back"):
        third.start()
        in_sync(ours.bootstrap, TOPIC, *EVERYBODY)
    gets_its_leaders_back(cluster)
    with load.during("a Kafka stops"):
        second.stop()
        in_sync(ours.bootstrap, TOPIC, ours.number, third.number)
    with load.during("it starts again"):
        second.start()
        in_sync(ours.bootstrap, TOPIC, *EVERYBODY)
    load.compare("at the end")


def end_of(cluster):
    """They stop, and have the same."""
    for broker in reversed(cluster):
        broker.stop()
    if checks.failed == 0:
        checks.run("the directories", same_directories, checks, cluster, TOPIC)
        checks.run("a directory", readable_directory, checks, cluster[-1], TOPIC)
    else:
        for broker in cluster:
            print(f"--- the last lines of broker {broker.number}\n{broker.log_tail()}---")


class KafkaMember(brokers.ApacheKafka39):
    """A broker of Apache Kafka whose ZooKeeper is our metadata service."""

    def __init__(self, number, metadata_port):
        super().__init__({**SETTINGS, "broker.id": str(number), "zookeeper.session.timeout.ms": "6000"})
        self.number, self.zookeeper_port = number, metadata_port

    def prepare(self):
        pass

    def __exit__(self, *arguments):
        brokers.Broker.__exit__(self, *arguments)


def three(stack, port, first_holds_metadata):
    return [stack.enter_context(Member(number, port, first_holds_metadata and number == 1)) for number in EVERYBODY]


@contextlib.contextmanager
def metadata_service():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="milena-test-metadata-"))
    service = Metadata(folder)
    service.start()
    try:
        with contextlib.ExitStack() as stack:
            yield stack, service.port
    finally:
        service.stop()
        shutil.rmtree(folder, ignore_errors=True)


def with_metadata_beside():
    with metadata_service() as (stack, port):
        cluster = three(stack, port, False)
        checks.run("a metadata service and three brokers", beside_metadata, cluster)
        end_of(cluster)


def with_kafka_brokers():
    with metadata_service() as (stack, port):
        cluster = [stack.enter_context(broker) for broker in (Member(1, port), KafkaMember(2, port), KafkaMember(3, port))]
        checks.run("ours and two Kafkas", with_kafka, cluster)
        end_of(cluster)


def with_metadata_inside():
    with contextlib.ExitStack() as stack:
        cluster = three(stack, brokers.free_port(), True)
        checks.run("three brokers, one with the metadata", around_metadata, cluster)
        end_of(cluster)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    only = parser.parse_args().only
    for case in (with_metadata_beside, with_metadata_inside, with_kafka_brokers):
        if only in case.__name__:
            case()
    exit_with(checks)


if __name__ == "__main__":
    sys.exit(main())
