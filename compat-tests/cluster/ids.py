"""Topic ids in a cluster of ours and Apache Kafka's: who has none, who gives them, and what another topic of the name meets.

Run alone it asks two brokers that have the same partition, one of ours and an Apache Kafka, as a controller and as a
follower would whose topic has another id: both answer the same.
"""

import json
import re
import subprocess
import sys

from harness import brokers, wire
from harness.checks import Checks, exit_with
from harness.cluster import in_sync, wait_until
from members import KafkaMember, Member, metadata_service, topics

TOPIC = "made-again"
ANOTHER = bytes(range(1, 17))
NO_ID = bytes(16)
LAST_BY_NAME, FIRST_BY_ID = 12, 13
checks = Checks()


# ---- In the tree and in the directories.


def zk(metadata_port, *words):
    """What our own shell says."""
    return subprocess.run([brokers.binary(), "zk-cli", "-server", f"127.0.0.1:{metadata_port}", *words],
                          capture_output=True, text=True, timeout=60).stdout


def node(metadata_port, path):
    """The JSON of a node."""
    return json.loads(re.search(r"^\{.*\}$", zk(metadata_port, "get", path), re.M)[0])


def noted(broker, topic):
    """The ids in its directories of the topic."""
    found = [path / "partition.metadata" for path in broker.data.iterdir() if re.fullmatch(rf"{topic}-\d+", path.name)]
    return {file.read_text().split()[-1] if file.exists() else None for file in found}


def has_none(checks, cluster, metadata_port, topic):
    """Below 2.8: neither tree nor directories nor clients know ids of topics."""
    checks.that("topic_id" not in node(metadata_port, f"/brokers/topics/{topic}"), f"the tree has no id of {topic}")
    for broker in cluster:
        registered = node(metadata_port, f"/brokers/ids/{broker.number}")
        checks.equal((registered["version"], "features" in registered), (4, False), f"broker {broker.number} registers as 2.6 does")
        checks.equal(noted(broker, topic), {None}, f"nor have the directories of broker {broker.number}")
        checks.equal(known(broker, topic), NO_ID, f"and broker {broker.number} tells none to clients")


def are_given(checks, cluster, metadata_port, topic):
    """From 2.8 on: the next controller gives ids, and everybody notes them."""
    wait_until(lambda: "topic_id" in node(metadata_port, f"/brokers/topics/{topic}") or "none", f"{topic} has an id")
    given = node(metadata_port, f"/brokers/topics/{topic}")["topic_id"]
    for broker in cluster:
        wait_until(lambda broker=broker: noted(broker, topic) == {given} or noted(broker, topic),
                   f"broker {broker.number} notes it")
        checks.that(True, f"the directories of broker {broker.number} have the id that the tree has")
        checks.equal(node(metadata_port, f"/brokers/ids/{broker.number}")["version"], 5, f"broker {broker.number} registers as 3.9 does")


def known(broker, topic):
    with wire.Connection(broker.port) as connection:
        found = connection.call("Metadata", 12, topics=[{"topic_id": NO_ID, "name": topic}])["topics"][0]
    return found["topic_id"]


# ---- Another topic under the same name.


class Asked:
    """One broker, which is asked by hand."""

    def __init__(self, broker, controller_epoch):
        self.broker, self.controller_epoch = broker, controller_epoch

    def call(self, api, version, **values):
        with wire.Connection(self.broker.port) as connection:
            return connection.call(api, version, **values)

    def as_controller(self, api, version, **values):
        return self.call(api, version, is_kraft_controller=False, controller_id=1, controller_epoch=self.controller_epoch,
                         broker_epoch=-1, **values)

    def role(self, topic_id, leader_epoch):
        """The broker leads alone in this term: the partition's error."""
        number = self.broker.number
        state = {"partition_index": 0, "controller_epoch": self.controller_epoch, "leader": number, "leader_epoch": leader_epoch,
                 "isr": [number], "partition_epoch": 0, "replicas": [number], "adding_replicas": [], "removing_replicas": [],
                 "is_new": True, "leader_recovery_state": 0}
        answer = self.as_controller("LeaderAndIsr", 7, type=0, live_leaders=[], topic_states=[
            {"topic_name": TOPIC, "topic_id": topic_id, "partition_states": [state]}])
        return answer["error_code"], [each["error_code"] for topic in answer["topics"] for each in topic["partition_errors"]]

    def news(self, topic_id, leader_epoch, leader=None):
        """What everybody is told of it."""
        number = self.broker.number
        state = {"partition_index": 0, "controller_epoch": self.controller_epoch, "leader": number if leader is None else leader,
                 "leader_epoch": leader_epoch, "isr": [number], "zk_version": 0, "replicas": [number], "offline_replicas": []}
        live = {"id": number, "rack": None, "endpoints": [
            {"port": self.broker.port, "host": "127.0.0.1", "listener": "PLAINTEXT", "security_protocol": 0}]}
        return self.as_controller("UpdateMetadata", 8, live_brokers=[live], topic_states=[
            {"topic_name": TOPIC, "topic_id": topic_id, "partition_states": [state]}])["error_code"]

    def deletion(self):
        return self.as_controller("StopReplica", 4, topic_states=[{"topic_name": TOPIC, "partition_states": [
            {"partition_index": 0, "leader_epoch": -2, "delete_partition": True}]}])

    def fetch(self, topic_id, version=FIRST_BY_ID):
        wanted = {"partition": 0, "current_leader_epoch": -1, "fetch_offset": 0, "last_fetched_epoch": -1,
                  "log_start_offset": -1, "partition_max_bytes": 1000}
        answer = self.call("Fetch", version, replica_id=-1, max_wait_ms=0, min_bytes=0, max_bytes=1000, session_id=0,
                           session_epoch=-1, topics=[{"topic": TOPIC, "topic_id": topic_id, "partitions": [wanted]}])
        return [each["error_code"] for topic in answer["responses"] for each in topic["partitions"]]


def made_again(asked, own):
    """What a broker answers, step by step, while it has a log of the topic that was there before."""
    said = {}
    def fetches(when):
        said[f"{when}: a Fetch of the old id, the other one, and by name"] = (
            asked.fetch(own), asked.fetch(ANOTHER), asked.fetch(NO_ID, LAST_BY_NAME))
    fetches("before")
    said["a role for another id"] = asked.role(ANOTHER, 90)
    said["the same in a term that is over"] = asked.role(ANOTHER, 0)
    said["a role again"] = asked.role(own, 0)
    said["news of another id"] = asked.news(ANOTHER, 0)
    fetches("as news have it")
    said["a role for the other id after them"] = asked.role(ANOTHER, 90)
    said["news that the topic goes"] = asked.news(ANOTHER, -2, leader=-2)
    said["a role before it has gone"] = asked.role(ANOTHER, 0)
    said["its deletion"] = asked.deletion()
    said["a role after that"] = asked.role(ANOTHER, 0)
    said["news after that"] = asked.news(ANOTHER, 0)
    fetches("afterwards")
    wait_until(lambda: None not in noted(asked.broker, TOPIC) or "not yet", "the id is noted")      # Kafka does it behind its answer.
    said["whose it is"] = noted(asked.broker, TOPIC)
    return said


def another_topic(cluster, metadata_port):
    """Both have the partition; then each is told, by hand, of another topic of that name."""
    ours = cluster[0]
    topics(checks, ours.bootstrap, "--create", "--topic", TOPIC, "--replica-assignment", "1:2")
    in_sync(ours.bootstrap, TOPIC, 1, 2)
    own = known(ours, TOPIC)
    wait_until(lambda: all(known(broker, TOPIC) == own for broker in cluster) or "not yet", "both tell clients its id")
    # Nobody else speaks as controller from now on.
    epoch = int(re.search(r"^\d+$", zk(metadata_port, "get", "/controller_epoch"), re.M)[0]) + 1
    theirs = made_again(Asked(cluster[1], epoch), own)
    for what, answer in made_again(Asked(ours, epoch), own).items():
        checks.equal(answer, theirs[what], f"{what}: as Apache Kafka")


def main():
    with metadata_service() as (stack, service):
        cluster = [stack.enter_context(broker) for broker in (Member(1, service.port), KafkaMember(2, service.port))]
        checks.run("another topic under the same name", another_topic, cluster, service.port)
    exit_with(checks)


if __name__ == "__main__":
    sys.exit(main())
