"""A cluster that is used wrongly, or left alone by its metadata service."""

import re
import sys

from harness import wire
from harness.checks import Checks, exit_with
from harness.cluster import Member, agreed_controller, in_sync, partitions, wait_until
from harness.load import Load
from members import EVERYBODY, SETTINGS, create_topic, metadata_service, one_cluster

TOPIC = "shared"
PARTITIONS = 3
NONE, TOPIC_AUTHORIZATION_FAILED, TOPIC_ALREADY_EXISTS, INVALID_REPLICATION_FACTOR, INVALID_REPLICA_ASSIGNMENT = 0, 29, 36, 38, 39
AWAY = re.compile("WARN.*no metadata server can be reached")
checks = Checks()


def created(broker, topic, **more):
    """The error code of a CreateTopics."""
    asked = {"name": topic, "num_partitions": 1, "replication_factor": 3, **more}
    with wire.Connection(broker.port) as connection:
        return connection.call("CreateTopics", 2, timeout_ms=2000, topics=[asked])["topics"][0]["error_code"]


def left_alone(cluster, service):
    """Without the metadata service what is led is led, and what only it could decide fails with Kafka's error."""
    load = Load(checks, cluster, TOPIC, PARTITIONS)
    with load.during("the metadata service is away") as writer:
        checks.that(writer.wait_for_acknowledged(50, 120), "records are acknowledged")     # So it has its producer id.
        service.kill()
        for broker in cluster:
            broker.process.wait_for(AWAY, 60)
            checks.that(True, f"broker {broker.number} says so")
        checks.that(writer.wait_for_acknowledged(writer.acknowledged + 500, 120), "records are acknowledged without it")
        checks.that(all(created(broker, "not-now") != NONE for broker in cluster), "nobody creates a topic")
        service.start()
        one_cluster(checks, cluster)
        in_sync(cluster[0].bootstrap, TOPIC, *EVERYBODY)
    load.compare("afterwards")
    def is_created():   # Perhaps by one who had no answer in time.
        seen = [created(broker, "later") for broker in cluster]
        return NONE in seen or TOPIC_ALREADY_EXISTS in seen or seen
    wait_until(is_created, "topics are created again")
    in_sync(cluster[2].bootstrap, "later", *EVERYBODY)
    checks.that(True, "when it is back, topics are created again")


def outsiders(cluster, _):
    """Who is no broker cannot speak as one: not where clients do."""
    before = partitions(cluster[0].bootstrap, TOPIC)
    state = {"topic_name": TOPIC, "partition_index": 0, "controller_epoch": 99, "leader": 3, "leader_epoch": 99, "isr": [3],
             "partition_epoch": 99, "replicas": list(EVERYBODY), "is_new": False}
    words = {
        "LeaderAndIsr": (2, {"controller_id": 3, "controller_epoch": 99, "broker_epoch": -1, "live_leaders": [], "topic_states": [
            {"topic_name": TOPIC, "partition_states": [state]}]}),
        "UpdateMetadata": (5, {"controller_id": 3, "controller_epoch": 99, "broker_epoch": -1, "live_brokers": [], "topic_states": []}),
        "StopReplica": (1, {"controller_id": 3, "controller_epoch": 99, "broker_epoch": -1, "delete_partitions": True, "topics": [
            {"name": TOPIC, "partition_indexes": [0]}]}),
        "ControlledShutdown": (2, {"broker_id": 1, "broker_epoch": -1}),
        "AlterPartition": (0, {"broker_id": 1, "broker_epoch": -1, "topics": []}),
        "AllocateProducerIds": (0, {"broker_id": 1, "broker_epoch": -1}),
    }
    for name, (version, values) in words.items():
        with wire.Connection(cluster[0].port) as connection:
            connection.send(wire.request(name, version, **values))
            checks.that(connection.is_closed_by_peer(), f"{name} from a client: the connection is closed")
    with wire.Connection(cluster[0].port) as connection:
        answer = connection.call("Fetch", 11, replica_id=2, max_wait_ms=0, min_bytes=0, max_bytes=1000, isolation_level=0,
                                 session_id=0, session_epoch=-1, forgotten_topics_data=[], rack_id="", topics=[
                                     {"topic": TOPIC, "partitions": [{"partition": 0, "current_leader_epoch": -1, "fetch_offset": 1000,
                                                                      "log_start_offset": -1, "partition_max_bytes": 1000}]}])
    checks.equal(answer["responses"][0]["partitions"][0]["error_code"], TOPIC_AUTHORIZATION_FAILED, "a client cannot fetch as a follower")
    checks.equal(partitions(cluster[0].bootstrap, TOPIC), before, "and nothing has changed")


def impossible(cluster, _):
    """Replicas on brokers that are not there."""
    number = agreed_controller(cluster)
    holder = next(broker for broker in cluster if broker.number == number)
    checks.equal(created(holder, "wide", replication_factor=4), INVALID_REPLICATION_FACTOR, "more replicas than brokers")
    checks.equal(created(holder, "strange", num_partitions=-1, replication_factor=-1, assignments=[
        {"partition_index": 0, "broker_ids": [1, 9]}]), INVALID_REPLICA_ASSIGNMENT, "a replica on a broker that is not there")
    checks.equal(created(holder, "twice", num_partitions=-1, replication_factor=-1, assignments=[
        {"partition_index": 0, "broker_ids": [1, 1]}]), INVALID_REPLICA_ASSIGNMENT, "two replicas on one broker")
    with wire.Connection(holder.port) as connection:
        asked = connection.call("AlterPartitionReassignments", 0, timeout_ms=10000, topics=[
            {"name": TOPIC, "partitions": [{"partition_index": 0, "replicas": [1, 9]}]}])
    checks.equal(asked["responses"][0]["partitions"][0]["error_code"], INVALID_REPLICA_ASSIGNMENT,
                 "a reassignment to a broker that is not there")


def main():
    with metadata_service() as (stack, service):
        cluster = [stack.enter_context(Member(number, service.port, SETTINGS)) for number in EVERYBODY]
        one_cluster(checks, cluster)
        create_topic(checks, cluster, TOPIC)
        for case in (impossible, outsiders, left_alone):
            checks.run(case.__doc__, case, cluster, service)
        for broker in cluster:
            checks.equal(broker.stop(), 0, f"broker {broker.number} ends cleanly")
        if checks.failed:
            for broker in cluster:
                print(f"--- the last lines of broker {broker.number}\n{broker.log_tail()}---")
    exit_with(checks)


if __name__ == "__main__":
    sys.exit(main())
