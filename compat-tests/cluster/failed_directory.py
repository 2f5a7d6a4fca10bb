"""A log directory of one broker is removed while the cluster is written to.

What was in it is lost by that broker alone: its other directory is served on, the leaders of what it led there move, and
nothing that was acknowledged is lost. Made anew, the directory gets its replicas back from their leaders. The controller is
ours, or an Apache Kafka's; or a Kafka loses a directory with ours as controller.
"""

import argparse
import re
import shutil
import sys

from confluent_kafka.admin import AdminClient, NewTopic

from harness import wire
from harness.checks import Checks, exit_with
from harness.cluster import agreed_controller, in_sync, led_by, partitions, stop_the_same, wait_until
from harness.load import Load
from ids import zk
from members import EVERYBODY, KafkaMember, Member, metadata_service, one_cluster

TOPIC = "shared"
ASSIGNMENT = [[1, 2, 3], [2, 3, 1], [3, 1, 2]] * 2      # Each leads two, one in either directory.
PREFERRED = {number: replicas[0] for number, replicas in enumerate(ASSIGNMENT)}
NONE, STORAGE_ERROR = 0, 56
SETTINGS = {"replica.high.watermark.checkpoint.interval.ms": "500"}
checks = Checks()


def with_two_directories(broker):
    broker.settings["log.dirs"] = f"{broker.data},{broker.folder / 'second'}"
    return broker


def held(folder):
    """The topic's partitions that have a log in the directory."""
    return {number for number in range(len(ASSIGNMENT)) if (folder / f"{TOPIC}-{number}").is_dir()}


def described(broker):
    """DescribeLogDirs: directory -> its error code, and the topic's partitions in it."""
    with wire.Connection(broker.port) as connection:
        results = connection.call("DescribeLogDirs", 1, topics=None)["results"]
    return {each["log_dir"]: (each["error_code"], {part["partition_index"] for topic in each["topics"] if topic["name"] == TOPIC
                                                   for part in topic["partitions"]}) for each in results}


def offline_replicas(broker):
    """Metadata: partition -> its offline replicas."""
    with wire.Connection(broker.port) as connection:
        found = connection.call("Metadata", 7, topics=[{"name": TOPIC}])["topics"][0]
    return {each["partition_index"]: each["offline_replicas"] for each in found["partitions"]}


def end_offset(broker, partition):
    """ListOffsets of the broker itself: the error code, and where the partition ends."""
    with wire.Connection(broker.port) as connection:
        answer = connection.call("ListOffsets", 4, replica_id=-1, isolation_level=0, topics=[{"name": TOPIC, "partitions": [
            {"partition_index": partition, "current_leader_epoch": -1, "timestamp": -1}]}])
    found = answer["topics"][0]["partitions"][0]
    return found["error_code"], found["offset"]


def ends(cluster):
    """partition -> what its leader says of its end."""
    leaders = {broker.number: broker for broker in cluster}
    return {number: end_offset(leaders[leader], number) for number, (leader, _) in partitions(cluster[0].bootstrap, TOPIC).items()}


def acknowledged_since(writer, mark):
    """The partitions of which a record was acknowledged since there were so many."""
    return {step.key for operation in writer.operations[mark:] if operation.outcome == "ok" for step in operation.sends()}


def notes(metadata_port):
    """How many notes of failed directories came, and went."""
    return int(re.search(r"cversion = (\d+)", zk(metadata_port, "stat", "/log_dir_event_notification"))[1])


def take_away(folder):
    """At once, with all that is in it."""
    aside = folder.with_name("gone")
    folder.rename(aside)
    shutil.rmtree(aside)


def create(cluster):
    client = AdminClient({"bootstrap.servers": cluster[0].bootstrap, "log_level": 0})
    topic = NewTopic(TOPIC, len(ASSIGNMENT), replica_assignment=ASSIGNMENT, config={"min.insync.replicas": "2"})
    client.create_topics([topic])[TOPIC].result(60)
    for broker in cluster:
        in_sync(broker.bootstrap, TOPIC, *EVERYBODY)
        led_by(broker.bootstrap, TOPIC, PREFERRED)


def loses(cluster, victim, load, metadata_port):
    """The second directory of `victim` is removed. Returns what was in it."""
    others = [broker for broker in cluster if broker is not victim]
    wait_until(lambda: set().union(*map(held, victim.directories)) == set(range(len(ASSIGNMENT))), "it has all replicas")
    kept, lost = map(held, victim.directories)
    checks.that(not kept & lost, "its replicas are in two directories", (kept, lost))
    leads = {number for number, leader in PREFERRED.items() if leader == victim.number}
    checks.that(leads & kept and leads & lost, "it leads some in either", leads)
    noted = notes(metadata_port)
    with load.during("a log directory is removed") as writer:
        checks.that(writer.wait_for_acknowledged(100, 120), "records are acknowledged before")
        take_away(victim.directories[1])
        def moved():
            seen = partitions(others[0].bootstrap, TOPIC)
            rest = sorted({*EVERYBODY} - {victim.number})
            return all(isr == rest and leader in rest for number, (leader, isr) in seen.items() if number in lost) or seen
        wait_until(moved, "what it led there is led by others, and its replicas there are in no ISR")
        checks.that(True, "what it led there is led by others, and its replicas there are in no ISR")
        mark = len(writer.operations)
        everything = {f"{TOPIC}-{number}" for number in range(len(ASSIGNMENT))}
        wait_until(lambda: acknowledged_since(writer, mark) == everything or acknowledged_since(writer, mark),
                   "every partition takes records")
        checks.that(True, "every partition takes records")
    def is_whole():
        seen = partitions(others[0].bootstrap, TOPIC)
        return all(seen[number][1] == list(EVERYBODY) for number in kept) or seen
    wait_until(is_whole, "its replicas in the other directory are in sync")
    seen = partitions(others[0].bootstrap, TOPIC)
    checks.equal({number for number, (leader, _) in seen.items() if leader == victim.number}, leads & kept,
                 "it leads what is in its other directory")
    checks.equal({end_offset(victim, number)[0] for number in lost}, {STORAGE_ERROR}, "what is lost it refuses")
    checks.equal({end_offset(victim, number)[0] for number in leads & kept}, {NONE}, "what it leads it answers")
    first, second = map(str, victim.directories)
    checks.equal(described(victim), {first: (NONE, kept), second: (STORAGE_ERROR, set())}, "DescribeLogDirs says which is offline")
    expected = {number: [victim.number] if number in lost else [] for number in range(len(ASSIGNMENT))}
    for broker in cluster:
        wait_until(lambda: offline_replicas(broker) == expected or offline_replicas(broker), "Metadata says whose replicas are offline")
        checks.that(True, f"Metadata of broker {broker.number} says which replicas are offline")
    wait_until(lambda: notes(metadata_port) >= noted + 2 or notes(metadata_port), "the controller is told, and takes note")
    checks.that(True, "the controller was told, and took note")
    return lost


def comes_back(cluster, victim, load, lost):
    """It is started again, and finds no second directory."""
    other = next(broker for broker in cluster if broker is not victim)
    with load.during("it comes back with an empty directory"):
        code = victim.stop()
        checks.that(code in (0, 143), "it ends cleanly", code)
        checks.that(not victim.directories[1].exists(), "the directory is not made again before")
        victim.start()
        in_sync(other.bootstrap, TOPIC, *EVERYBODY)
    checks.equal(described(victim)[str(victim.directories[1])], (NONE, lost), "its replicas are in the new directory")
    before = ends(cluster)
    holder = agreed_controller(cluster)
    with wire.Connection(next(broker for broker in cluster if broker.number == holder).port) as connection:
        connection.call("ElectLeaders", 1, election_type=0, topic_partitions=None, timeout_ms=30000)
    led_by(other.bootstrap, TOPIC, PREFERRED)
    # What is committed a new leader shows when its followers have asked it for the first time.
    wait_until(lambda: ends(cluster) == before or ends(cluster), "the new leaders show all of it")


def scenario(cluster, victim, metadata_port):
    one_cluster(checks, cluster)
    create(cluster)
    load = Load(checks, cluster, TOPIC, len(ASSIGNMENT))
    lost = loses(cluster, victim, load, metadata_port)
    if isinstance(victim, Member):
        victim.process.wait_for(re.compile(f"ERROR.*Log directory {victim.directories[1]} is offline: "), 120)
        checks.that(True, "its log names the directory")
    load.compare("without the directory")
    comes_back(cluster, victim, load, lost)
    load.compare("at the end")


def run(name, members, victim):
    """The controller is one that is made as the first is."""
    with metadata_service() as (stack, service):
        cluster = []
        for number, make in zip(EVERYBODY, members):
            cluster.append(stack.enter_context(with_two_directories(make(number, service.port, **SETTINGS))))
            agreed_controller(cluster)      # Before another could be.
        checks.run(name, scenario, cluster, cluster[victim], service.port)
        holder = agreed_controller(cluster)
        checks.that(isinstance(cluster[holder - 1], members[0]), f"{name}, to the end", holder)
        stop_the_same(checks, cluster, TOPIC)
        if checks.failed:
            for broker in cluster:
                print(f"--- the last lines of broker {broker.number}\n{broker.log_tail()}---")


CASES = {
    "ours": lambda: run("ours is the controller", (Member, Member, Member), 1),
    "kafka": lambda: run("a Kafka is the controller", (KafkaMember, Member, Member), 1),
    "kafka-loses": lambda: run("ours is the controller, and a Kafka loses a directory", (Member, Member, KafkaMember), 2),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="+", choices=CASES)
    for name in parser.parse_args().cases:
        CASES[name]()
    exit_with(checks)


if __name__ == "__main__":
    sys.exit(main())
