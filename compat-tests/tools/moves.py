"""kafka-reassign-partitions and kafka-leader-election, ours and Apache Kafka 3.9.1's, on two brokers of ours.

Each tool moves a topic of its own, and leaves the same throttles behind; what it says has to be the same but for the
topic's name. A throttle of a few bytes a second keeps a move from ending before it is looked at. Either broker may be asked, so
what a step changed is waited for at both.
"""

import contextlib
import functools
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

from harness import brokers, kafka, wire
from harness.checks import Checks, exit_with

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent.parent / "scripts"
RELEASE = "3.9.1"
RECORDS = "".join(f"{number}\t{number:0200}\n" for number in range(3000))
checks = Checks()


def script(name, *arguments, text=""):
    done = subprocess.run([str(SCRIPTS / f"{name}.sh"), *map(str, arguments)], input=text, capture_output=True, text=True,
                          timeout=240, env={**os.environ, "MILENA": brokers.binary()})
    return done.returncode, done.stdout, done.stderr


class Tool:
    """Whose tools: "ours" or Apache Kafka's; they move the topic that is named after them."""

    def __init__(self, whose, cluster, folder):
        self.whose, self.cluster, self.bootstrap, self.folder = whose, cluster, cluster[0].bootstrap, folder
        self.topic = f"moved-by-{whose}"

    def run(self, name, *arguments):
        """(exit code, what it said on standard output, a topic of its own read as TOPIC)."""
        words = ["--bootstrap-server", self.bootstrap, *arguments]
        code, out, err = script(name, *words) if self.whose == "ours" else kafka.run_tool(RELEASE, name, *words)
        print(f"{self.whose} {name} {' '.join(map(str, arguments))}: {code}\n{out}{err[-600:]}")
        # A stack trace, or the class that it begins with.
        lines = [line for line in out.splitlines() if not re.match(r"\s+at |\S+Exception|Caused by|\s+\.\.\. ", line)]
        return code, sorted(line.strip() for line in "\n".join(lines).replace(self.topic, "TOPIC").splitlines() if line.strip())

    def file(self, content):
        path = self.folder / "file.json"
        path.write_text(content if isinstance(content, str) else json.dumps({"version": 1, **content}).replace("TOPIC", self.topic))
        return path

    def reassign(self, *arguments, plan=None):
        given = ["--reassignment-json-file", self.file(plan)] if plan is not None else []
        return self.run("kafka-reassign-partitions", *arguments, *given)


def mine(bootstrap, name, *arguments, text=""):
    code, out, err = script(name, "--bootstrap-server", bootstrap, *arguments, text=text)
    if code != 0:
        raise RuntimeError(f"{name} {arguments}: {out}{err}")
    return out


def until(holds, what):
    deadline = time.monotonic() + 120
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within 120 s")
        time.sleep(0.05)


def everywhere(cluster, holds, what):
    """Wait until something holds at each broker: it is called with a connection and the broker's number."""
    for broker in cluster:
        number = broker.settings["broker.id"]
        with wire.Connection(broker.port) as connection:
            until(functools.partial(holds, connection, number), f"{what} at broker {number}")


def settled(tool, replicas, rate=None):
    """Both brokers know who has partitions 0 and 1, and what they are throttled to."""
    def value(connection, kind, name, key):
        [described] = connection.call("DescribeConfigs", 1, resources=[
            {"resource_type": kind, "resource_name": name, "configuration_keys": [key]}])["results"]
        return described["configs"][0]["value"] if described["configs"] else None     # A rate that is not set is not there.

    def is_throttled(connection, number, role):
        allowed = value(connection, 4, number, f"{role}.replication.throttled.rate")
        named = value(connection, 2, tool.topic, f"{role}.replication.throttled.replicas")
        return allowed == rate and named != "" if rate else allowed is None and named == ""

    def knows(connection, number):
        [topic] = connection.call("Metadata", 12, topics=[{"name": tool.topic}], allow_auto_topic_creation=False)["topics"]
        seen = [{*each["replica_nodes"]} for each in topic["partitions"] if each["partition_index"] < 2]
        return seen == [replicas, replicas] and all(is_throttled(connection, number, role) for role in ("leader", "follower"))
    everywhere(tool.cluster, knows, f"{tool.topic} at {replicas}, throttled to {rate},")


def throttles(tool):
    """The throttles of the topic, and of both brokers."""
    out = mine(tool.bootstrap, "kafka-configs", "--describe", "--entity-type", "topics", "--entity-name", tool.topic)
    for number in "12":
        out += mine(tool.bootstrap, "kafka-configs", "--describe", "--entity-type", "brokers", "--entity-name", number)
    return sorted(set(re.findall(r"^\s*(\S*throttled\S*=\S*)", out, re.MULTILINE)))


def partitions(**replicas):
    return {"partitions": [{"topic": "TOPIC", "partition": int(name[1:]), "replicas": brokers} for name, brokers in replicas.items()]}


def refuses(tool):
    """What is refused before anything moves."""
    yield "an unknown broker", tool.reassign("--execute", plan=partitions(p0=[1, 8]))
    yield "an unknown partition", tool.reassign("--execute", plan=partitions(p7=[1]))
    yield "no JSON", tool.reassign("--execute", plan="nonsense")[0]     # What is wrong with it, their parser says.
    yield "an option of another action", tool.reassign("--list", "--additional")
    yield "an unknown topic", tool.reassign("--generate", "--broker-list", "1,2", "--topics-to-move-json-file",
                                            tool.file({"topics": [{"topic": "TOPIC-none"}]}))


def moves(tool):
    """A move that does not end by itself is begun, seen, throttled otherwise and called off.

    Of replicas that only come, and for which none goes, 3.9.1 calls no move off; so one goes here."""
    there, back = partitions(p0=[2], p1=[2]), partitions(p0=[1], p1=[1])
    code, said = tool.reassign("--generate", "--broker-list", "1,2", "--topics-to-move-json-file",
                               tool.file({"topics": [{"topic": "TOPIC"}]}))
    # Both draw the proposal by lot.
    yield "--generate", (code, [line for line in said if not line.startswith("{")],
                         sorted(line for line in said if '"replicas":[1]' in line)[:1])
    yield "--execute --throttle", tool.reassign("--execute", "--throttle", "10", plan=there)
    settled(tool, {1, 2}, "10")
    yield "its throttles", throttles(tool)
    yield "--list", tool.reassign("--list")
    yield "--execute once more", tool.reassign("--execute", plan=there)
    yield "--additional with another throttle", tool.reassign("--execute", "--additional", "--throttle", "20", plan=there)
    settled(tool, {1, 2}, "20")
    yield "its throttles then", throttles(tool)
    yield "--verify meanwhile", tool.reassign("--verify", plan=there)
    yield "--cancel --preserve-throttles", tool.reassign("--cancel", "--preserve-throttles", plan=there)
    settled(tool, {1}, "20")
    yield "throttles that are preserved", throttles(tool)
    yield "--verify of what was called off", tool.reassign("--verify", plan=there)
    settled(tool, {1})
    yield "throttles afterwards", throttles(tool)
    yield "--execute of what is", tool.reassign("--execute", plan=back)


def elects(tool):
    """A topic that the second broker leads and the first one should."""
    election = ["kafka-leader-election", "--election-type"]
    yield "an election", tool.run(*election, "preferred", "--topic", tool.topic, "--partition", "2")
    yield "one that is not needed", tool.run(*election, "PREFERRED", "--path-to-json-file", tool.file(
        {"partitions": [{"topic": "TOPIC", "partition": 2}]}))
    yield "an unclean one", tool.run(*election, "unclean", "--topic", tool.topic, "--partition", "2")
    yield "one of nothing", tool.run(*election, "preferred", "--path-to-json-file", tool.file("nonsense"))
    yield "without a kind", tool.run("kafka-leader-election", "--all-topic-partitions")


def same(body, ours, stock):
    mine, theirs = list(body(ours)), list(body(stock))
    for (what, seen), (_, expected) in zip(mine, theirs, strict=True):
        checks.equal(seen, expected, f"{body.__name__}: {what}")


def compares(bootstrap, tool):
    """kafka-replica-verification.sh, which goes on for ever, finds both replicas of partition 2 the same."""
    words = ["--broker-list", bootstrap, "--topics-include", tool.topic, "--time", "-2", "--report-interval-ms", "200"]
    process = brokers.Process([*kafka.tool_command(RELEASE, "kafka-replica-verification"), *words], tool.folder / "verification")
    try:
        line = process.wait_for(re.compile("max lag is"), 120)
    finally:
        process.end(signal.SIGKILL, 10)
    count = mine(bootstrap, "kafka-get-offsets", "--topic-partitions", f"{tool.topic}:2").strip().rsplit(":", 1)[1]
    checks.that(re.search(rf"max lag is 0 for partition {tool.topic}-\d at offset \d+ among 3 partitions", line),
                "kafka-replica-verification finds no lag", line)
    said = "".join(process.lines)
    checks.that(int(count) > 0 and "doesn't match" not in said, f"nor differences in {count} records", said)


def prepare(bootstrap, tool):
    """Partitions 0 and 1 at broker 1, with records; partition 2 at both, led by the second one."""
    mine(bootstrap, "kafka-topics", "--create", "--topic", tool.topic, "--replica-assignment", "1,1,2")
    mine(bootstrap, "kafka-console-producer", "--topic", tool.topic, "--property", "parse.key=true", text=RECORDS)
    code, said = tool.reassign("--execute", plan=partitions(p2=[1, 2]))
    checks.equal(code, 0, f"{tool.whose}: the second broker's partition comes to the first one")
    until(lambda: re.search(r"Partition: 2\s+Leader: 2\s+Replicas: 1,2\s+Isr: (1,2|2,1)\s",
                            mine(bootstrap, "kafka-topics", "--describe", "--topic", tool.topic)), "both have partition 2")
    until(lambda: "No partition reassignments found." in mine(bootstrap, "kafka-reassign-partitions", "--list"), "nothing moves")


def both(stack):
    first = {"broker.id": "1", "milena.metadata.port": str(brokers.free_port())}
    second = {"broker.id": "2", "zookeeper.connect": f"127.0.0.1:{first['milena.metadata.port']}"}
    settings = {"auto.leader.rebalance.enable": "false", "auto.create.topics.enable": "false",
                # A batch at a time, or the first Fetch would have all there is.
                "replica.fetch.max.bytes": "1000"}
    return [stack.enter_context(brokers.make("milena", {**settings, **of})) for of in (first, second)]


with contextlib.ExitStack() as stack:
    cluster = both(stack)
    bootstrap = cluster[0].bootstrap
    scratch = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="milena-test-moves-")))
    tools = [Tool(whose, cluster, scratch) for whose in ("ours", "stock")]
    everywhere(cluster, lambda connection, _: len(connection.call("Metadata", 12, topics=[])["brokers"]) == 2, "two brokers")
    for one in tools:
        prepare(bootstrap, one)
    for part in (elects, refuses, moves):
        checks.run(part.__name__, same, part, *tools)
    checks.run("kafka-replica-verification", compares, bootstrap, tools[0])
exit_with(checks)
