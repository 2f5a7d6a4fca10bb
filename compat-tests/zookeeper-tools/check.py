"""Tools with --zookeeper say and write what those of Apache Kafka 2.8.2 do.

Both work below chroots of their own, where znodes stand for a cluster that nobody runs: nothing reacts, and what the tools
wrote can be compared node by node.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time

from harness import brokers, kafka
from harness.checks import Checks

checks = Checks()
SECONDS = 60
BINARY = os.environ.get("MILENA_BINARY", str(brokers.ROOT / "build/milena"))
CLASSES = {"topics": "kafka.admin.TopicCommand", "configs": "kafka.admin.ConfigCommand",
           "reassign-partitions": "kafka.admin.ReassignPartitionsCommand",
           "preferred-replica-election": "kafka.admin.PreferredReplicaLeaderElectionCommand"}
BROKER = {"listener_security_protocol_map": {"PLAINTEXT": "PLAINTEXT"}, "endpoints": ["PLAINTEXT://127.0.0.1:1"],
          "jmx_port": -1, "features": {}, "host": "127.0.0.1", "timestamp": "1", "port": 1, "version": 5}
STATE = {"controller_epoch": 1, "leader": 0, "version": 1, "leader_epoch": 0, "isr": [0]}
# Of one tool only, said before it works.
ASIDE = ("This tool is deprecated. Please use", "Warning: --zookeeper is deprecated", "Use --bootstrap-server instead to specify")


def shell(address, lines):
    done = subprocess.run([BINARY, "zk-cli", "-waitforconnection", "-server", address], input="printwatches off\n" + lines,
                          capture_output=True, text=True, timeout=60)
    return done.stdout


class Side:
    """One of the two sets of tools, and its chroot."""

    def __init__(self, address, chroot, words):
        self.address, self.words = address + chroot, words
        shell(address, f"create {chroot}\n" + "".join(f"create {chroot}{path}\n" for path in (
            "/brokers", "/brokers/ids", "/brokers/topics", "/config", "/config/changes", "/config/topics", "/admin",
            "/admin/delete_topics")) + f"create {chroot}/brokers/ids/0 '{json.dumps(BROKER)}'\n")

    def run(self, tool, arguments):
        done = subprocess.run([*self.words(tool), "--zookeeper", self.address, *arguments], capture_output=True, text=True,
                              timeout=90)
        said = [line for line in done.stdout.splitlines() if not line.startswith(ASIDE)]
        # What the tool says of Java's exceptions is Java's; that it failed is not.
        return done.returncode, "\n".join(said)

    def dump(self):
        """All znodes with their data, JSON as what it means."""
        paths = [line for line in shell(self.address, "ls -R /\n").splitlines() if line.startswith("/")]
        found = {}
        for path in paths:
            data = subprocess.run([BINARY, "zk-cli", "-server", self.address, "get", path], capture_output=True, text=True,
                                  timeout=60).stdout.splitlines()[-1]
            try:
                found[path] = json.loads(data)
            except ValueError:
                found[path] = data
            if isinstance(found[path], dict) and path.startswith("/brokers/topics/"):
                found[path].pop("version", None)    # 2 without a topic's id, 3 with one or without.
        return found


def steps(folder):
    wish, move, elect = folder / "wish.json", folder / "move.json", folder / "elect.json"
    wish.write_text(json.dumps({"version": 1, "partitions": [{"topic": "old", "partition": 0, "replicas": [0]}]}))
    move.write_text(json.dumps({"version": 1, "topics": [{"topic": "old"}]}))
    elect.write_text(json.dumps({"partitions": [{"topic": "old", "partition": 1}]}))
    return [
        ("topics", "--create --topic old --partitions 2 --replication-factor 1"),
        ("topics", "--create --topic old --partitions 2 --replication-factor 1"),
        ("topics", "--create --topic old --partitions 2 --replication-factor 1 --if-not-exists"),
        ("topics", "--create --topic old_x --partitions 1 --replication-factor 1 --config retention.ms=1000"),
        ("topics", "--create --topic by-hand --replica-assignment 0,0,0"),
        ("topics", "--create --topic big --partitions 1 --replication-factor 3"),
        ("topics", "--list"),
        ("topics", "--describe"),
        ("topics", "--describe --topic none"),
        ("topics", "--alter --topic old --partitions 4"),
        ("topics", "--alter --topic old --partitions 3"),
        ("topics", "--alter --topic old --config retention.ms=5"),
        ("topics", "--alter --topic old --delete-config retention.ms"),
        ("configs", "--alter --entity-type topics --entity-name old_x --add-config max.message.bytes=1000,retention.ms=7"),
        ("configs", "--alter --entity-type topics --entity-name old_x --delete-config retention.ms"),
        ("configs", "--alter --entity-type topics --entity-name none --add-config retention.ms=1"),
        ("configs", "--alter --entity-type clients --entity-name c1 --add-config producer_byte_rate=5"),
        ("configs", "--alter --entity-type users --entity-name u@x --entity-type clients --entity-name c1 "
                    "--add-config consumer_byte_rate=6"),
        ("configs", "--describe --entity-type topics"),
        ("configs", "--describe --entity-type clients"),
        ("configs", "--describe --entity-type users --entity-name u@x --entity-type clients --entity-name c1"),
        ("reassign-partitions", f"--generate --topics-to-move-json-file {move} --broker-list 0"),
        ("reassign-partitions", f"--execute --reassignment-json-file {wish}"),
        ("reassign-partitions", f"--verify --reassignment-json-file {wish}"),
        ("preferred-replica-election", f"--path-to-json-file {elect}"),
        ("preferred-replica-election", f"--path-to-json-file {elect}"),
        ("topics", "--delete --topic old_x"),
        ("topics", "--delete --topic old_x"),
        ("topics", "--delete --topic none"),
        ("topics", "--list"),
        ("topics", "--describe --topic old_x"),
    ]


def eventually(look, seconds=SECONDS):
    """What `look` gives once it is true, or at the end."""
    deadline = time.monotonic() + seconds
    while not (seen := look()) and time.monotonic() < deadline:
        time.sleep(0.1)     # Between two looks; what is waited for is the condition.
    return seen


def consumers(broker, address):
    """The consumer of 0.8: partitions shared and offsets kept in ZooKeeper."""
    def tool(*words, text=""):
        return subprocess.run([BINARY, *words], input=text, capture_output=True, text=True, timeout=60)

    def owners():
        lines = shell(address, "get /consumers/g/owners/shared/0\nget /consumers/g/owners/shared/1\n").splitlines()
        return [line for line in lines if line.startswith("g_")]

    tool("topics", "--bootstrap-server", broker.bootstrap, "--create", "--topic", "shared", "--partitions", "2")
    values = [f"value-{n}" for n in range(200)]
    tool("console-producer", "--bootstrap-server", broker.bootstrap, "--topic", "shared", "--batch-size", "100",
         text="\n".join(values) + "\n")
    reading = ["console-consumer", "--zookeeper", address, "--topic", "shared", "--group", "g"]
    done = tool(*reading, "--from-beginning", "--max-messages", "200")
    checks.equal(sorted(done.stdout.split()), sorted(values), "the old consumer reads all")
    checked = tool("consumer-offset-checker", "--zookeeper", address, "--group", "g").stdout.splitlines()
    checks.equal(checked[0].split(), "Group Topic Pid Offset logSize Lag Owner".split(), "the offset checker's head")
    rows = [line.split() for line in checked[1:]]
    checks.equal([(row[:3], row[5:]) for row in rows], [(["g", "shared", str(n)], ["0", "none"]) for n in (0, 1)],
                 "nothing is left, nobody reads")
    checks.equal(sum(int(row[3]) for row in rows), 200, "the offsets are in ZooKeeper")
    done = tool(*reading, "--from-beginning", "--max-messages", "1")
    checks.that(done.returncode == 1 and "--delete-consumer-offsets" in done.stderr, "from the beginning only when asked twice",
                done.stderr)
    done = tool(*reading, "--from-beginning", "--delete-consumer-offsets", "--max-messages", "200")
    checks.equal(len(done.stdout.split()), 200, "which reads all again")
    words = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def owned(count):
        """Both partitions, by so many consumers."""
        now = owners()
        return len(now) == 2 and len(set(now)) == count

    def heard(*readers):
        """The next line of each that says one, once one does."""
        ready = select.select([each.stdout for each in readers], [], [], SECONDS)[0]
        return "".join(each.readline() for each in ready)

    with contextlib.ExitStack() as stack:
        def consumer():
            made = stack.enter_context(subprocess.Popen([BINARY, *reading], **words))
            stack.callback(made.kill)
            return made

        first = consumer()
        checks.that(eventually(lambda: owned(1)), "one consumer owns both partitions", owners())
        second = consumer()
        checks.that(eventually(lambda: owned(2)), "two share them", owners())
        tool("console-producer", "--bootstrap-server", broker.bootstrap, "--topic", "shared", text="for one of them\n")
        # Read before who may be its reader goes: the other would read it too, but maybe after the next.
        said = heard(first, second)
        second.send_signal(signal.SIGINT)
        said += second.communicate(timeout=SECONDS)[0]
        checks.that(eventually(lambda: owned(1)), "one of them goes, the other takes all", owners())
        tool("console-producer", "--bootstrap-server", broker.bootstrap, "--topic", "shared", text="for the other\n")
        line = heard(first)
        first.send_signal(signal.SIGINT)
        line += first.communicate(timeout=SECONDS)[0]
        checks.equal((said, line), ("for one of them\n", "for the other\n"), "each record is read once")
    done = tool("console-consumer", "--zookeeper", address, "--whitelist", "share.*", "--from-beginning", "--max-messages", "202")
    checks.equal(len(done.stdout.splitlines()), 202, "topics by expression, in a group of its own")
    checks.equal(shell(address, "ls /consumers\n").splitlines()[-1], "[g]", "which is forgotten at the end")


def main():
    home = kafka.home("2.8.2")
    port = brokers.free_port()
    with brokers.make("milena", {"milena.metadata.port": str(port)}) as broker:
        address = f"127.0.0.1:{port}"
        log4j = f"-Dlog4j.configuration=file:{brokers.ROOT}/compat-tests/harness/log4j-tools.properties"
        java = ["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{home}/libs/*", log4j]
        ours = Side(address, "/ours", lambda tool: [BINARY, tool])
        theirs = Side(address, "/theirs", lambda tool: [*java, CLASSES[tool]])
        for tool, arguments in steps(broker.folder):
            seen, expected = (side.run(tool, arguments.split()) for side in (ours, theirs))
            checks.equal(seen, expected, f"{tool} {arguments.replace(str(broker.folder) + '/', '')}")
            if arguments.startswith("--create --topic by-hand"):    # Somebody leads one of them now.
                for side in (ours, theirs):
                    shell(side.address, "create /brokers/topics/old/partitions\ncreate /brokers/topics/old/partitions/0\n"
                          f"create /brokers/topics/old/partitions/0/state '{json.dumps(STATE)}'\n")
        checks.run("consumers", consumers, broker, address)
        seen, expected = ours.dump(), theirs.dump()
        checks.equal(sorted(seen), sorted(expected), "the same znodes are there")
        for path in sorted(set(seen) & set(expected)):
            checks.equal(seen[path], expected[path], f"the znode {path}")
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
