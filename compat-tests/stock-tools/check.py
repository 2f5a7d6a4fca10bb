"""The stock tools of one release, against one broker. What they print is what Apache Kafka makes them print."""

import os
import re
import signal
import sys
import tempfile
import time

from harness import brokers, kafka
from harness.checks import Checks, exit_with

BOOTSTRAP = os.environ["BOOTSTRAP"]
RELEASE = sys.argv[1]
checks = Checks()
NEWER = int(RELEASE.split(".")[0]) >= 4
# 4.2 renamed the option and warns of the old name on standard output.
FORMAT = "--formatter-property" if NEWER else "--property"
PARSE = "--reader-property" if NEWER else "--property"


def tool(name, *arguments, text="", expect=0):
    """Run a tool against the broker. Returns what it printed; RuntimeError when it ends otherwise than expected."""
    code, out, err = kafka.run_tool(RELEASE, name, "--bootstrap-server", BOOTSTRAP, *arguments, text=text)
    if code != expect:
        raise RuntimeError(f"{name} {' '.join(map(str, arguments))}: exit code {code}\n{out[-1500:]}\n{err[-1500:]}")
    return out


def name(text):
    return f"{RELEASE}: {text}"


def topics():
    out = tool("kafka-topics", "--create", "--topic", "orders", "--partitions", "3", "--config", "retention.ms=86400000")
    checks.that("Created topic orders." in out, name("kafka-topics --create says so"), out)
    again = tool("kafka-topics", "--create", "--topic", "orders", expect=1)
    checks.that("already exists" in again, name("creating it again is refused"), again)
    tool("kafka-topics", "--create", "--topic", "orders", "--if-not-exists")
    far = tool("kafka-topics", "--create", "--topic", "far", "--replication-factor", "3", expect=1)
    checks.that("larger than available brokers: 1" in far or "only 1 broker(s) are registered" in far,
                name("more replicas than brokers are refused"), far)
    tool("kafka-topics", "--alter", "--topic", "orders", "--partitions", "4")
    described = tool("kafka-topics", "--describe", "--topic", "orders")
    checks.that(re.search(r"Topic: orders\s+TopicId: [\w-]{22}\s+PartitionCount: 4\s+ReplicationFactor: 1\s+"
                          r"Configs: .*retention.ms=86400000", described), name("kafka-topics --describe"), described)
    checks.equal(len(re.findall(r"Partition: \d\s+Leader: \d+\s+Replicas: \d+\s+Isr: \d+", described)), 4,
                 name("each partition has a leader, replicas and an ISR"))
    missing = tool("kafka-topics", "--describe", "--topic", "nobody", expect=1)
    checks.that("does not exist as expected" in missing, name("describing what is not there is refused"), missing)
    invalid = tool("kafka-topics", "--create", "--topic", "bad name", expect=1)
    checks.that("is illegal" in invalid or "invalid" in invalid.lower(), name("an illegal name is refused"), invalid)


def console():
    text = "".join(f"k{n}:value {n}\n" for n in range(300))
    tool("kafka-console-producer", "--topic", "orders", PARSE, "parse.key=true", PARSE, "key.separator=:", text=text)
    out = tool("kafka-console-consumer", "--topic", "orders", "--from-beginning", "--max-messages", "300", "--group",
               "readers", "--timeout-ms", "60000", FORMAT, "print.key=true", FORMAT, "key.separator=:", FORMAT,
               "print.partition=true")
    lines = [line.split(":", 1) for line in out.splitlines() if line.startswith("Partition:") or line.count(":") == 2]
    read = [rest.split(":", 1)[1] if rest[0].isdigit() and rest.count(":") == 2 else rest for _, rest in lines]
    checks.equal(sorted(read), sorted(text.splitlines()), name("the console consumer prints what was typed in"))
    per_key_order = {}
    for line in out.splitlines():
        if match := re.match(r"Partition:(\d+):k(\d+):", line):
            per_key_order.setdefault(match[1], []).append(int(match[2]))
    checks.that(len(per_key_order) == 4 and all(order == sorted(order) for order in per_key_order.values()),
                name("in order within each partition"), str(per_key_order)[:300])
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        tool("kafka-console-producer", "--topic", f"codec-{codec}", "--compression-codec", codec, text="one\ntwo\n")
    out = tool("kafka-console-consumer", "--include", "codec-.*", "--from-beginning", "--max-messages", "8",
               "--timeout-ms", "60000")
    checks.equal(sorted(line for line in out.splitlines() if line in ("one", "two")), ["one"] * 4 + ["two"] * 4,
                 name("every codec, by a pattern of topics"))


def groups():
    table = tool("kafka-consumer-groups", "--describe", "--group", "readers")
    rows = [line.split() for line in table.splitlines() if line.startswith("readers")]
    checks.equal(sum(int(row[3]) for row in rows), 300, name("the group's offsets are committed"))
    checks.equal([row[5] for row in rows], ["0"] * 4, name("without lag"))
    checks.that("readers" in tool("kafka-consumer-groups", "--list").split(), name("--list shows the group"))
    state = tool("kafka-consumer-groups", "--describe", "--group", "readers", "--state")
    checks.that(re.search(r"readers\s.*\sEmpty\s+0", state), name("--state: Empty, no members"), state)
    dry = tool("kafka-consumer-groups", "--group", "readers", "--topic", "orders", "--reset-offsets", "--to-earliest",
               "--dry-run")
    checks.equal(len(re.findall(r"readers\s+orders\s+\d\s+0", dry)), 4, name("--reset-offsets shows what it would do"))
    tool("kafka-consumer-groups", "--group", "readers", "--topic", "orders", "--reset-offsets", "--shift-by", "-10",
         "--execute")
    table = tool("kafka-consumer-groups", "--describe", "--group", "readers", "--offsets")
    lag = [int(line.split()[5]) for line in table.splitlines() if line.startswith("readers")]
    checks.equal(lag, [10] * 4, name("--reset-offsets --shift-by -10 gives a lag of ten each"))
    active_group()
    tool("kafka-consumer-groups", "--group", "readers", "--delete-offsets", "--topic", "orders:0")
    tool("kafka-consumer-groups", "--group", "readers", "--delete")
    checks.that("readers" not in tool("kafka-consumer-groups", "--list").split(), name("--delete removes the group"))


def active_group():
    """While a consumer runs: its members are shown, and a reset is refused."""
    words = [*kafka.tool_command(RELEASE, "kafka-console-consumer"), "--bootstrap-server", BOOTSTRAP, "--topic", "orders",
             "--group", "active", "--from-beginning"]
    with tempfile.TemporaryDirectory(prefix="milena-test-active-") as scratch:
        consumer = brokers.Process(words, f"{scratch}/log")
        try:
            consumer.wait_for(re.compile(r"^value \d"), 120)      # it has a record, so it is a member
            members = tool("kafka-consumer-groups", "--describe", "--group", "active", "--members", "--verbose")
            checks.that(re.search(r"active\s+\S*console-consumer\S*\s+/127.0.0.1\s+console-consumer\s+4\s", members),
                        name("--members shows the consumer with its four partitions"), members)
            refused = tool("kafka-consumer-groups", "--group", "active", "--topic", "orders", "--reset-offsets",
                           "--to-earliest", "--execute")
            checks.that("inactive" in refused, name("offsets of an active group cannot be reset"), refused)
        finally:
            consumer.end(signal.SIGTERM, 120)


def offsets():
    show = lambda time_spec: dict(line.split(":")[1:] for line in tool(   # noqa: E731
        "kafka-get-offsets", "--topic", "orders", "--time", time_spec).split())
    checks.equal(sum(int(offset) for offset in show("-1").values()), 300, name("get-offsets: latest"))
    checks.equal(show("-2"), {str(n): "0" for n in range(4)}, name("get-offsets: earliest"))
    at_maximum = show("-3")
    checks.that(len(at_maximum) == 4 and all(int(offset) >= 0 for offset in at_maximum.values()),
                name("get-offsets: of the largest timestamp"), str(at_maximum))
    later = show(str(int(time.time() * 1000) + 3600000))
    checks.that(all(offset in ("", "-1") for offset in later.values()), name("get-offsets: nothing after the last"),
                str(later))


def records():
    file = f"/tmp/milena-delete-{os.getpid()}.json"
    with open(file, "w") as out:
        out.write('{"partitions":[{"topic":"orders","partition":0,"offset":5},'
                  '{"topic":"orders","partition":1,"offset":-1}],"version":1}')
    try:
        said = tool("kafka-delete-records", "--offset-json-file", file)
        checks.that("partition: orders-0\tlow_watermark: 5" in said, name("delete-records moves the log start"), said)
        with open(file, "w") as out:
            out.write('{"partitions":[{"topic":"orders","partition":2,"offset":99999}],"version":1}')
        said = kafka.run_tool(RELEASE, "kafka-delete-records", "--bootstrap-server", BOOTSTRAP, "--offset-json-file", file)
        checks.that("OffsetOutOfRange" in said[1] + said[2], name("beyond the end is out of range"), str(said))
    finally:
        os.unlink(file)
    earliest = tool("kafka-get-offsets", "--topic-partitions", "orders:0", "--time", "-2")
    checks.equal(earliest.strip(), "orders:0:5", name("get-offsets sees it"))


def configs():
    tool("kafka-configs", "--alter", "--entity-type", "topics", "--entity-name", "orders", "--add-config",
         "retention.ms=777,max.message.bytes=2000000")
    shown = tool("kafka-configs", "--describe", "--entity-type", "topics", "--entity-name", "orders")
    checks.that("retention.ms=777 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=777" in shown,
                name("a topic's configuration, with its synonyms"), shown)
    everything = tool("kafka-configs", "--describe", "--all", "--entity-type", "topics", "--entity-name", "orders")
    checks.that("cleanup.policy=delete sensitive=false synonyms={DEFAULT_CONFIG:log.cleanup.policy=delete}" in everything,
                name("--all shows defaults under the broker's names"), everything)
    tool("kafka-configs", "--alter", "--entity-type", "topics", "--entity-name", "orders", "--delete-config",
         "retention.ms")
    shown = tool("kafka-configs", "--describe", "--entity-type", "topics", "--entity-name", "orders")
    checks.that("retention.ms=777" not in shown and "max.message.bytes=2000000" in shown,
                name("one key is deleted, the other stays"), shown)
    code, out, err = kafka.run_tool(RELEASE, "kafka-configs", "--bootstrap-server", BOOTSTRAP, "--alter",
                                    "--entity-type", "topics", "--entity-name", "orders", "--add-config",
                                    "retention.ms=soon")
    checks.that(code == 1 and "Invalid value soon for configuration retention.ms" in out + err,
                name("an invalid value is refused by name"), out + err)
    tool("kafka-configs", "--alter", "--entity-type", "brokers", "--entity-default", "--add-config",
         "log.retention.ms=123456789")
    shown = tool("kafka-configs", "--describe", "--entity-type", "brokers", "--entity-default")
    checks.that("log.retention.ms=123456789" in shown, name("the default of all brokers"), shown)


def cluster():
    versions = tool("kafka-broker-api-versions")
    checks.that(re.search(r"Produce\(0\): \d+ to \d+ \[usable: \d+\]", versions), name("broker-api-versions"), versions)
    checks.that("UNSUPPORTED" not in versions.split("Fetch(1)")[1].split("\n")[0], name("Fetch is usable"), versions)
    directories = tool("kafka-log-dirs", "--describe", "--topic-list", "orders")
    checks.that('"partition":"orders-3"' in directories and '"error":null' in directories, name("log-dirs"), directories)
    tool("kafka-topics", "--delete", "--topic", "orders")
    checks.that("orders" not in tool("kafka-topics", "--list").split(), name("a deleted topic is gone"))


def of_kraft():
    """What only a KRaft cluster has is not there, as with a Kafka of ZooKeeper mode."""
    code, out, err = kafka.run_tool(RELEASE, "kafka-cluster", "unregister", "--bootstrap-server", BOOTSTRAP, "--id", "1")
    checks.that(code == 0 and "does not support the broker unregistration API" in out, name("no broker is unregistered"), out + err)
    code, out, err = kafka.run_tool(RELEASE, "kafka-metadata-quorum", "--bootstrap-server", BOOTSTRAP, "describe", "--status")
    checks.that(code == 1 and "does not support DESCRIBE_QUORUM" in out + err, name("there is no quorum to describe"), out + err)


for body in (topics, console, groups, offsets, records, configs, cluster, of_kraft):
    checks.run(name(body.__name__), body)
exit_with(checks)
