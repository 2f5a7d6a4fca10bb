"""Three brokers of ours are a cluster.

Records are written with acks=all by idempotent producers, while the controller and leaders are killed,
stopped and started. At the end every replica of every partition is the same, byte for byte.
"""

import argparse
import contextlib
import json
import pathlib
import re
import sys
import tempfile

from confluent_kafka.admin import AdminClient

import ids
from harness import brokers, kafka
from harness.checks import Checks, exit_with
from harness.cluster import agreed_controller, elect, in_sync, led_by, readable_directory, stop_the_same, wait_until
from harness.load import Load
from members import EVERYBODY, KafkaMember, Member, controller, create_topic, metadata_service, one_cluster, topics

TOPIC = "shared"
PARTITIONS = 3
checks = Checks()


def loses_its_controller(cluster, load, how, end):
    """Whoever is controller ends in some way and comes back; another is controller meanwhile."""
    holder = agreed_controller(cluster)
    gone = next(broker for broker in cluster if broker.number == holder)
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
    topics(checks, bootstrap, "--create", "--topic", "passing", "--partitions", "4", "--replication-factor", "3")
    known_to_all(cluster, "passing", 4)
    topics(checks, bootstrap, "--alter", "--topic", "passing", "--partitions", "6")
    known_to_all(cluster, "passing", 6)
    said = topics(checks, bootstrap, "--describe", "--topic", "passing")
    checks.that("PartitionCount: 6" in said and "ReplicationFactor: 3" in said, "it has six partitions of three replicas", said)
    topics(checks, bootstrap, "--delete", "--topic", "passing")
    def left():
        return [str(path) for broker in cluster for path in broker.data.glob("passing-*") if not path.name.endswith("-delete")]
    wait_until(lambda: not left() or left(), "its logs are gone")
    wait_until(lambda: not any("passing" in topics_of(broker) for broker in cluster) or "somebody does", "nobody knows it")
    checks.that(True, "a topic that is deleted is gone from every broker")


def known_to_all(cluster, topic, count):
    """A tool asks whom it likes."""
    for broker in cluster:
        in_sync(broker.bootstrap, topic, *EVERYBODY, count=count)


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
                for broker in cluster:
                    wait_until(lambda broker=broker, wanted=wanted: replicas_of(broker) == wanted or replicas_of(broker),
                               f"they are where they should be, as broker {broker.number} says")
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
    one_cluster(checks, cluster)
    create_topic(checks, cluster, TOPIC)
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
    one_cluster(checks, cluster)
    create_topic(checks, cluster, TOPIC)
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
    one_cluster(checks, cluster)
    load.compare("at the end")


def with_kafka(cluster):
    """Ours is the controller of two Apache Kafkas."""
    ours, second, third = cluster
    one_cluster(checks, cluster)
    checks.equal(agreed_controller(cluster), ours.number, "ours is the controller, as all say")
    create_topic(checks, cluster, TOPIC)
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


def in_an_older_protocol(cluster, metadata_port):
    """Brokers that speak as those of Kafka 2.6: leaders write their ISRs into the tree, and note it for the controller; topics
    have no ids, until all speak as 3.9."""
    ours, second, kafka_broker = cluster
    one_cluster(checks, cluster)
    create_topic(checks, cluster, TOPIC)
    load = Load(checks, cluster, TOPIC, PARTITIONS)
    with load.during("a Kafka is killed and comes back"):
        kafka_broker.kill()
        in_sync(ours.bootstrap, TOPIC, 1, 2)
        kafka_broker.start()
        in_sync(ours.bootstrap, TOPIC, *EVERYBODY)
    gets_its_leaders_back(cluster)
    notes = isr_notes(metadata_port)
    with load.during("one of ours is paused and goes on"):
        second.pause()
        in_sync(ours.bootstrap, TOPIC, 1, 3)
        second.resume()
        in_sync(ours.bootstrap, TOPIC, *EVERYBODY)
    wait_until(lambda: isr_notes(metadata_port) > notes or notes, "leaders note that they change an ISR")
    checks.that(True, "leaders noted that they changed an ISR")
    loses_its_controller(cluster, load, "is killed", brokers.Broker.kill)
    gets_its_leaders_back(cluster)
    ids.has_none(checks, cluster, metadata_port, TOPIC)
    with load.during("one after the other speaks as 3.9"):
        for broker in cluster:
            broker.stop()
            broker.settings["inter.broker.protocol.version"] = "3.9-IV0"
            broker.start()
            in_sync(broker.bootstrap, TOPIC, *EVERYBODY)
        ids.are_given(checks, cluster, metadata_port, TOPIC)
    load.compare("at the end")


def isr_notes(metadata_port):
    """How many notes of changed ISRs came and went."""
    return int(re.search(r"cversion = (\d+)", ids.zk(metadata_port, "stat", "/isr_change_notification"))[1])


def end_of(cluster):
    """They stop, and have the same."""
    stop_the_same(checks, cluster, TOPIC)
    if checks.failed == 0:
        checks.run("a directory", readable_directory, checks, cluster[-1], TOPIC)
    else:
        for broker in cluster:
            print(f"--- the last lines of broker {broker.number}\n{broker.log_tail()}---")


def three(stack, port, first_holds_metadata):
    return [stack.enter_context(Member(number, port, first_holds_metadata and number == 1)) for number in EVERYBODY]


def with_metadata_beside():
    with metadata_service() as (stack, service):
        cluster = three(stack, service.port, False)
        checks.run("a metadata service and three brokers", beside_metadata, cluster)
        end_of(cluster)


def with_kafka_brokers():
    with metadata_service() as (stack, service):
        cluster = [stack.enter_context(broker) for broker in
                   (Member(1, service.port), KafkaMember(2, service.port), KafkaMember(3, service.port))]
        checks.run("ours and two Kafkas", with_kafka, cluster)
        end_of(cluster)


def with_an_older_protocol():
    older = {"inter.broker.protocol.version": "2.6-IV0"}
    with metadata_service() as (stack, service):
        members = Member(1, service.port, **older), Member(2, service.port, **older), KafkaMember(3, service.port, **older)
        cluster = [stack.enter_context(broker) for broker in members]
        checks.run("two of ours and a Kafka, as in Kafka 2.6", in_an_older_protocol, cluster, service.port)
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
    for case in (with_metadata_beside, with_metadata_inside, with_kafka_brokers, with_an_older_protocol):
        if only in case.__name__:
            case()
    exit_with(checks)


if __name__ == "__main__":
    sys.exit(main())
