"""A broker whose metadata is in Apache ZooKeeper, and the tools of Kafka 2.8 that write there.

Two stories: what the broker does when its ZooKeeper, its session or itself goes away; and what
kafka-topics.sh --zookeeper and its sisters, the last that there are, achieve against the metadata
port of a broker without any ZooKeeper.
"""

import contextlib
import json
import logging
import os
import pathlib
import subprocess
import tempfile
import threading
import time

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

from harness import brokers, kafka, wire
from harness.checks import Checks, exit_with

WAIT = 60
SESSION_MS = 20000      # The most that these ZooKeepers give. Who stands still for less is still the same.
AWAY, BACK = "no metadata server can be reached", "the metadata can be reached again"
NONE, UNKNOWN_TOPIC, ALREADY_EXISTS = 0, 3, 36
checks = Checks()


def eventually(look, expected):
    """What `look` gives once that is what is expected, or at the end."""
    deadline = time.monotonic() + WAIT
    while (seen := look()) != expected and time.monotonic() < deadline:
        time.sleep(0.02)    # Between two looks; what is waited for is the condition.
    return seen


class Outside(brokers.Milena):
    """Milena with zookeeper.connect."""

    def __init__(self, zookeeper, chroot="", **settings):
        super().__init__({"zookeeper.connect": f"127.0.0.1:{zookeeper.port}{chroot}",
                          "zookeeper.session.timeout.ms": str(SESSION_MS),
                          "zookeeper.connection.timeout.ms": str(1000 * WAIT), **settings})

    def call(self, name, version, **values):
        with wire.Connection(self.port, 2 * WAIT) as connection:
            return connection.call(name, version, **values)

    def create(self, topic, partitions=2):
        return self.call("CreateTopics", 2, timeout_ms=30000, validate_only=False, topics=[
            {"name": topic, "num_partitions": partitions, "replication_factor": 1, "assignments": [],
             "configs": []}])["topics"][0]["error_code"]

    def produce(self, topic, value):
        answer = self.call("Produce", 3, **wire.produce(topic, wire.batch([value])))
        return answer["responses"][0]["partition_responses"][0]["error_code"]

    def holds(self, topic, value):
        answer = self.call("Fetch", 4, replica_id=-1, max_wait_ms=0, min_bytes=0, max_bytes=1 << 20, isolation_level=0,
                           topics=[{"topic": topic, "partitions": [
                               {"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1 << 20}]}])
        return value in (answer["responses"][0]["partitions"][0]["records"] or b"")

    def topics(self):
        return {each["name"] for each in self.call("Metadata", 1, topics=None)["topics"]}

    def wait_for_topic(self, topic):
        """Until it is served: what the broker writes for it is in the tree a moment before."""
        deadline = time.monotonic() + WAIT
        while topic not in self.topics():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic} is not served")
            time.sleep(0.02)

    def wait_for_log(self, wanted):
        """Until it says that last of the two."""
        def last():
            return next((text for line in reversed(self.process.lines) for text in (AWAY, BACK) if text in line), None)
        if eventually(last, wanted) != wanted:
            raise TimeoutError(f"the log does not say that {wanted}")


@contextlib.contextmanager
def client(port):
    made = KazooClient(f"127.0.0.1:{port}", timeout=SESSION_MS / 1000)
    made.start(WAIT)
    try:
        yield made
    finally:
        made.stop()
        made.close()


def until(zk, path, holds, seconds=WAIT):
    """Wait for a change of the node after which `holds(data, stat)`; data and stat are None without a node."""
    changed = threading.Event()
    while True:
        changed.clear()
        try:
            data, stat = zk.get(path, watch=lambda event: changed.set())
        except NoNodeError:
            data = stat = None
            if zk.exists(path, watch=lambda event: changed.set()):
                continue    # It came in between.
        if holds(data, stat):
            return stat
        if not changed.wait(seconds):
            raise TimeoutError(f"{path} is {data!r} {stat}")


def life(zookeeper):
    """Created, killed, restarted, stopped; below a path that is not there yet."""
    with Outside(zookeeper, "/some/where") as broker, client(zookeeper.port) as zk:
        own, ids = "/some/where", "/some/where/brokers/ids/0"
        checks.equal(broker.create("t"), NONE, "a topic is created")
        checks.equal(json.loads(zk.get(f"{own}/brokers/topics/t")[0])["partitions"], {"0": [0], "1": [0]},
                     "and is in ZooKeeper, below the chroot")
        checks.equal(json.loads(zk.get(f"{own}/brokers/topics/t/partitions/1/state")[0])["leader"], 0, "with its leaders")
        checks.equal(json.loads(zk.get(f"{own}/feature")[0]), {"features": {}, "version": 2, "status": 1}, "/feature")
        checks.equal(broker.produce("t", b"kept"), NONE, "a record is produced")
        before = zk.exists(ids)
        broker.kill()
        broker.start()
        after = zk.exists(ids)
        checks.equal(after.ephemeralOwner, before.ephemeralOwner, "after kill -9 it comes back to its session")
        checks.that(after.czxid > before.czxid, "with a new registration")
        checks.equal(zk.exists(f"{own}/controller").ephemeralOwner, after.ephemeralOwner, "and is the controller")
        checks.that(broker.holds("t", b"kept"), "the record is there")
        checks.equal(broker.create("t"), ALREADY_EXISTS, "so is the topic")
        checks.equal(broker.create("many", 1200), NONE, "a topic of more than one packet is created")
        checks.equal(len(zk.get_children(f"{own}/brokers/topics/many/partitions")), 1200, "with all its partitions")
        zk.create(f"{own}/admin/delete_topics/many")
        until(zk, f"{own}/brokers/topics/many", lambda data, stat: stat is None)
        checks.that("many" not in broker.topics(), "and deleted, as a tool asks")
        zk.create(f"{own}/brokers/topics/written", b'{"version":1,"partitions":{"0":[0]}}')
        until(zk, f"{own}/brokers/topics/written/partitions/0/state", lambda data, stat: stat)
        until(zk, f"{own}/brokers/topics/written", lambda data, stat: b"topic_id" in data)
        broker.wait_for_topic("written")
        checks.equal(broker.produce("written", b"x"), NONE, "a topic that a tool wrote is served")
        checks.equal(broker.stop(), 0, "it ends cleanly")
        checks.equal(zk.exists(ids), None, "and its registration with it")


def lost(zookeeper):
    """ZooKeeper goes away and comes back; then the session does not survive."""
    with Outside(zookeeper) as broker:
        checks.equal(broker.create("t"), NONE, "a topic is created")
        with client(zookeeper.port) as zk:
            owner = zk.exists("/brokers/ids/0").ephemeralOwner
        zookeeper.kill()
        broker.wait_for_log(AWAY)
        checks.equal(broker.produce("t", b"meanwhile"), NONE, "without ZooKeeper records are produced")
        checks.that(broker.holds("t", b"meanwhile"), "and fetched")
        checks.that(broker.create("refused") not in (NONE, ALREADY_EXISTS), "a topic is refused")
        zookeeper.start()
        broker.wait_for_log(BACK)
        with client(zookeeper.port) as zk:
            checks.equal(until(zk, "/brokers/ids/0", lambda data, stat: stat).ephemeralOwner, owner, "its session lives on")
            checks.equal(broker.create("after"), NONE, "and topics are created again")
            zk.create("/brokers/topics/seen", b'{"version":1,"partitions":{"0":[0]}}')
            until(zk, "/brokers/topics/seen/partitions/0/state", lambda data, stat: stat)
            checks.that(True, "and watched for again")
            broker.pause()
            until(zk, "/brokers/ids/0", lambda data, stat: stat is None)
            zk.create("/brokers/topics/missed", b'{"version":1,"partitions":{"0":[0]}}')
            broker.resume()
            again = until(zk, "/brokers/ids/0", lambda data, stat: stat)
            checks.that(again.ephemeralOwner != owner, "when its session has expired, it registers in a new one")
            until(zk, "/brokers/topics/missed/partitions/0/state", lambda data, stat: stat)
            broker.wait_for_topic("missed")
            checks.equal(broker.produce("missed", b"x"), NONE, "and does what was asked meanwhile")
            zk.create("/brokers/topics/new", b'{"version":1,"partitions":{"0":[0]}}')
            until(zk, "/brokers/topics/new/partitions/0/state", lambda data, stat: stat)
            checks.that(True, "its new session watches too")
            broker.kill()
            broker.start()
            checks.equal(zk.exists("/brokers/ids/0").ephemeralOwner, again.ephemeralOwner, "and is the one it comes back to")


@contextlib.contextmanager
def running(release):
    """The ZooKeeper of a Kafka release."""
    with tempfile.TemporaryDirectory(prefix="milena-test-zookeeper-") as folder:
        zookeeper = brokers.Zookeeper(pathlib.Path(folder), release)
        zookeeper.start()
        try:
            yield zookeeper
        finally:
            zookeeper.stop()


def oldest():
    """ZooKeeper 3.5, which has no watches that stay."""
    with running("2.8.2") as zookeeper, Outside(zookeeper) as broker, client(zookeeper.port) as zk:
        checks.equal(broker.create("t"), NONE, "a topic is created with ZooKeeper 3.5")
        for name in ("one", "two"):
            zk.create(f"/brokers/topics/{name}", b'{"version":1,"partitions":{"0":[0]}}')
            until(zk, f"/brokers/topics/{name}/partitions/0/state", lambda data, stat: stat)
            broker.wait_for_topic(name)
        checks.equal(broker.produce("two", b"x"), NONE, "topics that a tool wrote are served")
        zk.set("/brokers/topics/one", b'{"version":1,"partitions":{"0":[0],"1":[0]}}')
        until(zk, "/brokers/topics/one/partitions/1/state", lambda data, stat: stat)
        checks.that(True, "with the partitions that it added")
        zk.create("/admin/delete_topics/one")
        until(zk, "/brokers/topics/one", lambda data, stat: stat is None)
        checks.equal(broker.topics() - {"t"}, {"two"}, "and deleted as it asks")


def refusals(zookeeper):
    """What stops a start, in one line."""
    def refused(connect, **settings):
        with tempfile.TemporaryDirectory(prefix="milena-test-refused-") as folder:
            properties = pathlib.Path(folder) / "server.properties"
            values = {"listeners": f"PLAINTEXT://127.0.0.1:{brokers.free_port()}", "log.dirs": f"{folder}/data",
                      "zookeeper.connect": connect, "zookeeper.session.timeout.ms": str(SESSION_MS),
                      "zookeeper.connection.timeout.ms": str(1000 * WAIT), "broker.id": "0", **settings}
            properties.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
            binary = os.environ.get("MILENA_BINARY", str(brokers.ROOT / "build/milena"))
            done = subprocess.run([binary, "server", str(properties)], capture_output=True, text=True, timeout=2 * WAIT)
            return done.returncode, [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line or line.startswith("milena")]

    def look(name, seen, *words):
        code, lines = seen
        checks.that(code == 1 and len(lines) == 1 and all(word in lines[0] for word in words), name, seen)

    nobody = f"127.0.0.1:{brokers.free_port()}"
    look("an ensemble that is not there", refused(nobody, **{"zookeeper.connection.timeout.ms": "500"}), nobody, "zookeeper.connect")
    look("a name that cannot be read", refused("host:port:more"), "zookeeper.connect")
    here = f"127.0.0.1:{zookeeper.port}"
    with client(zookeeper.port) as zk:
        zk.create("/taken/brokers/ids/0", b'{"version":1,"host":"other.example","port":9999,"jmx_port":-1,"timestamp":"1"}',
                  ephemeral=True, makepath=True)
        look("a broker id that another broker holds", refused(f"{here}/taken"), "broker id 0", "other.example:9999")
        zk.create("/wrong/cluster/id", b"what?", makepath=True)
        look("a cluster id that is none", refused(f"{here}/wrong"), "/cluster/id")
        with Outside(zookeeper, "/first") as broker:
            broker.stop()
            broker.settings["zookeeper.connect"] = f"{here}/second"
            zk.create("/second/cluster/id", b'{"version":"1","id":"AAAAAAAAAAAAAAAAAAAAAA"}', makepath=True)
            try:
                broker.start()
                checks.that(False, "another cluster's metadata", "it started")
            except RuntimeError as error:
                checks.that("AAAAAAAAAAAAAAAAAAAAAA" in str(error) and "zookeeper.connect" in str(error), "another cluster's metadata", error)


class OldTools:
    """The shell scripts of Kafka 2.8."""

    classes = {"topics": "TopicCommand", "configs": "ConfigCommand", "reassign": "ReassignPartitionsCommand",
               "elect": "PreferredReplicaLeaderElectionCommand"}

    def __init__(self, port):
        self.address, self.home = f"127.0.0.1:{port}", kafka.home("2.8.2")

    def __call__(self, tool, *words):
        command = brokers.java(self.home, "96m", f"kafka.admin.{self.classes[tool]}", "--zookeeper", self.address, *words)
        done = subprocess.run(command, capture_output=True, text=True, timeout=2 * WAIT)
        return done.stdout + done.stderr


def old_tools():
    port = brokers.free_port()
    with brokers.make("milena", {"milena.metadata.port": str(port)}) as broker, client(port) as zk:
        run = OldTools(port)

        def served(topic):
            with wire.Connection(broker.port) as connection:
                found = connection.call("Metadata", 1, topics=None)["topics"]
            return sorted((each["partition_index"], each["leader_id"])
                          for one in found if one["name"] == topic for each in one["partitions"])

        def configs():
            with wire.Connection(broker.port) as connection:
                answer = connection.call("DescribeConfigs", 1, include_synonyms=False, resources=[
                    {"resource_type": 2, "resource_name": "old", "configuration_keys": ["cleanup.policy", "retention.ms"]}])
            return {each["name"]: each["value"] for each in answer["results"][0]["configs"]}

        said = run("topics", "--create", "--topic", "old", "--partitions", "2", "--replication-factor", "1",
                   "--config", "retention.ms=123456")
        checks.that("Created topic old." in said, "kafka-topics.sh --create", said)
        # What the broker writes for a topic is in the tree a moment before the topic is served.
        checks.equal(eventually(lambda: served("old"), [(0, 0), (1, 0)]), [(0, 0), (1, 0)], "its topic is served")
        said = run("topics", "--alter", "--topic", "old", "--partitions", "3")
        checks.that("Adding partitions succeeded!" in said, "kafka-topics.sh --alter", said)
        wanted = [(0, 0), (1, 0), (2, 0)]
        checks.equal(eventually(lambda: served("old"), wanted), wanted, "with the partitions it added")
        said = run("topics", "--describe", "--topic", "old")
        checks.that("PartitionCount: 3" in said and "Leader: 0" in said and "retention.ms=123456" in said,
                    "kafka-topics.sh --describe", said)
        said = run("configs", "--alter", "--entity-type", "topics", "--entity-name", "old", "--add-config", "cleanup.policy=compact")
        checks.that("Completed updating config" in said, "kafka-configs.sh --alter", said)
        wanted = {"cleanup.policy": "compact", "retention.ms": "123456"}
        checks.equal(eventually(configs, wanted), wanted, "what it set is in force")
        moves = broker.folder / "moves.json"
        moves.write_text('{"version":1,"partitions":[{"topic":"old","partition":0,"replicas":[0]}]}')
        said = run("reassign", "--execute", "--reassignment-json-file", str(moves))
        checks.that("Successfully started" in said, "kafka-reassign-partitions.sh --execute", said)
        until(zk, "/admin/reassign_partitions", lambda data, stat: stat is None)
        said = run("reassign", "--verify", "--reassignment-json-file", str(moves))
        checks.that("is complete" in said or "completed successfully" in said, "kafka-reassign-partitions.sh --verify", said)
        said = run("elect")
        checks.that("Successfully started preferred replica election" in said or "Created preferred" in said,
                    "kafka-preferred-replica-election.sh", said)
        until(zk, "/admin/preferred_replica_election", lambda data, stat: stat is None)
        said = run("topics", "--delete", "--topic", "old")
        checks.that("marked for deletion" in said, "kafka-topics.sh --delete", said)
        until(zk, "/brokers/topics/old", lambda data, stat: stat is None)
        checks.equal(served("old"), [], "its topic is gone")
        said = run("topics", "--list")
        checks.that("old" not in said.split(), "kafka-topics.sh --list", said)


def main():
    logging.disable(logging.CRITICAL)   # kazoo tells of every broken connection
    with running("3.9.1") as zookeeper:
        for each in (life, lost, refusals):
            checks.run(each.__name__, each, zookeeper)
    checks.run("oldest", oldest)
    checks.run("old_tools", old_tools)
    exit_with(checks)


if __name__ == "__main__":
    main()
