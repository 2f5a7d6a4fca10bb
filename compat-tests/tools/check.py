"""Our tools against a broker, and Kafka 3.9.1's own beside them: what they print has to be the same words.

Lines may stand in another order (Kafka prints them as its hash tables have them) and columns
may be of another width. Our error sentences are our own, so of errors only what scripts grep is compared.
"""

import hashlib
import difflib
import json
import os
import pathlib
import re
import subprocess
import tempfile

from harness import brokers, kafka
from harness.checks import Checks, exit_with

BOOTSTRAP = os.environ["BOOTSTRAP"]
SCRIPTS = pathlib.Path(__file__).resolve().parent.parent.parent / "scripts"
RELEASE = "3.9.1"
checks = Checks()


def ours(name, *arguments, text="", expect=0, cluster=True):
    """Run a tool of ours by its stock name. Returns (standard output, standard error)."""
    where = ["--bootstrap-server", BOOTSTRAP] if cluster else []
    done = subprocess.run([str(SCRIPTS / f"{name}.sh"), *where, *map(str, arguments)], input=text, capture_output=True,
                          text=True, timeout=240, env={**os.environ, "MILENA": brokers.binary()})
    if expect is not None and done.returncode != expect:
        raise RuntimeError(f"{name} {' '.join(map(str, arguments))}: exit code {done.returncode}\n"
                           f"{done.stdout[-800:]}\n{done.stderr[-800:]}")
    return done.stdout, done.stderr


def stock(name, *arguments, text="", expect=0, cluster=True):
    where = ["--bootstrap-server", BOOTSTRAP] if cluster else []
    code, out, err = kafka.run_tool(RELEASE, name, *where, *arguments, text=text)
    if expect is not None and code != expect:
        raise RuntimeError(f"stock {name} {' '.join(map(str, arguments))}: exit code {code}\n{out[-800:]}\n{err[-800:]}")
    return out, err


def lines(text):
    return sorted(" ".join(line.split()) for line in text.splitlines() if line.strip())


def words(text):
    return sorted(text.split())


def same(title, name, *arguments, compare=lines, **others):
    """Both tools, the same arguments: the same words on standard output, the same exit code."""
    if name == "kafka-consumer-groups":   # its own 5 s are short for a JVM on a busy machine
        arguments = (*arguments, "--timeout", "60000")
    seen, expected = compare(ours(name, *arguments, **others)[0]), compare(stock(name, *arguments, **others)[0])
    if seen != expected and isinstance(seen, list):
        print(*difflib.unified_diff(expected, seen, "Apache Kafka's", "ours", n=0, lineterm=""), sep="\n")
    checks.equal(seen, expected, title)


def topics():
    out, _ = ours("kafka-topics", "--create", "--topic", "orders", "--partitions", "3", "--config", "retention.ms=86400000")
    checks.equal(out, "Created topic orders.\n", "topics --create says so")
    again, error = ours("kafka-topics", "--create", "--topic", "orders", expect=1)
    checks.that(again.startswith("Error while executing topic command : ") and "already exists" in again
                and "TopicExistsException" in error, "creating it again is refused", again + error)
    checks.equal(ours("kafka-topics", "--create", "--topic", "orders", "--if-not-exists")[0], "", "unless --if-not-exists")
    dotted, _ = ours("kafka-topics", "-create", "-topic", "with.dot", "-partitions=1")
    checks.that("WARNING: Due to limitations in metric names" in dotted, "single dashes do, and a dot is warned of", dotted)
    ours("kafka-topics", "--alter", "--topic", "orders", "--partitions", "4")
    same("topics --describe", "kafka-topics", "--describe", "--topic", "orders")
    same("topics --list", "kafka-topics", "--list", "--exclude-internal")
    same("topics --topics-with-overrides", "kafka-topics", "--describe", "--topics-with-overrides", "--topic", "orders|with.dot")
    same("topics --under-replicated-partitions", "kafka-topics", "--describe", "--under-replicated-partitions")
    missing, _ = ours("kafka-topics", "--describe", "--topic", "nobody", expect=1)
    checks.that("'nobody' does not exist as expected" in missing, "what is not there cannot be described", missing)
    ours("kafka-topics", "--delete", "--topic", "with.dot")
    checks.that("with.dot" not in ours("kafka-topics", "--list")[0].split(), "topics --delete")
    ours("kafka-topics", "--delete", "--topic", "nobody", "--if-exists")
    _, usage = ours("kafka-topics", expect=1)
    checks.that(usage.startswith("Command must include exactly one action"), "no action is a usage error", usage)


def console():
    text = "".join(f"h:{n}\tk{n}\tvalue {n}\n" for n in range(300))
    ours("kafka-console-producer", "--topic", "orders", "--property", "parse.key=true", "--property", "parse.headers=true",
         "--compression-codec", "lz4", text=text)
    shown = ["--topic", "orders", "--from-beginning", "--max-messages", "300", "--timeout-ms", "60000"]
    for name in ("key", "partition", "offset", "headers", "timestamp"):
        shown += ["--property", f"print.{name}=true"]
    same("300 records with keys and headers, as the stock consumer shows them", "kafka-console-consumer", *shown)
    stock("kafka-console-producer", "--topic", "stock", "--property", "parse.key=true", "--property", "key.separator=:",
          text="".join(f"k{n}:v{n}\n" for n in range(50)))
    out, error = ours("kafka-console-consumer", "--topic", "stock", "--from-beginning", "--max-messages", "50")
    checks.equal(sorted(out.split()), sorted(f"v{n}" for n in range(50)), "what the stock producer sent is read")
    checks.that("Processed a total of 50 messages" in error, "and counted", error)
    ours("kafka-console-producer", "--topic", "keyed", "--property", "parse.key=true", "--property", "key.separator=:",
         text="".join(f"k{n}:v{n}\n" for n in range(50)))
    where = ["--from-beginning", "--max-messages", "50", "--timeout-ms", "60000", "--property", "print.partition=true"]
    both = [sorted(ours("kafka-console-consumer", "--topic", topic, *where)[0].splitlines()) for topic in ("stock", "keyed")]
    checks.equal(both[1], both[0], "a key goes to the partition where Java's producer puts it")
    partition = next(line for line in both[0]).split("\t")[0].split(":")[1]
    out, _ = ours("kafka-console-consumer", "--topic", "stock", "--partition", partition, "--offset", "1", "--max-messages", "1",
                  "--property", "print.offset=true")
    checks.that(out.startswith("Offset:1\t"), "--partition and --offset", out)
    out, error = ours("kafka-console-consumer", "--topic", "stock", "--timeout-ms", "500")
    checks.that(out == "" and "TimeoutException" in error and "total of 0 messages" in error, "--timeout-ms ends it", error)
    broken, error = ours("kafka-console-producer", "--topic", "stock", "--property", "parse.key=true", text="no separator\n", expect=1)
    checks.that("No key separator found on line number 1: 'no separator'" in error, "a line without a key is refused", error)
    for topic in ("stock", "keyed"):
        ours("kafka-topics", "--delete", "--topic", topic)


def million():
    text = "".join(f"{n}\n" for n in range(1, 1_000_001))
    ours("kafka-topics", "--create", "--topic", "million", "--partitions", "3")
    ours("kafka-console-producer", "--topic", "million", text=text)
    out, _ = ours("kafka-console-consumer", "--topic", "million", "--from-beginning", "--group", "g", "--max-messages", "1000000")
    read = "".join(sorted(out.splitlines(keepends=True), key=int))
    checks.equal(hashlib.sha256(read.encode()).hexdigest(), hashlib.sha256(text.encode()).hexdigest(),
                 "a million lines go in and come out, each once")
    ends = ours("kafka-get-offsets", "--topic", "million")[0].split()
    checks.equal(sum(int(line.rsplit(":", 1)[1]) for line in ends), 1_000_000, "get-offsets counts them")
    out, error = ours("kafka-consumer-groups", "--describe", "--group", "g")
    lags = [line.split()[5] for line in out.splitlines() if line.startswith("g ")]
    checks.equal(lags, ["0", "0", "0"], "the group has committed all that it read")
    checks.that("Consumer group 'g' has no active members." in error, "and has no members any more", error)


def groups():
    reads = ["--topic", "orders", "--from-beginning", "--timeout-ms", "60000", "--max-messages"]
    first, _ = ours("kafka-console-consumer", *reads, "120", "--group", "readers")
    rest, _ = ours("kafka-console-consumer", *reads, "180", "--group", "readers")
    checks.equal(len(set(first.splitlines()) | set(rest.splitlines())), 300, "a group goes on where it committed")
    tool = "kafka-consumer-groups"
    same("groups --describe", tool, "--describe", "--group", "readers", compare=words)
    same("groups --describe --members", tool, "--describe", "--group", "readers", "--members", "--verbose", compare=words)
    same("groups --describe --state", tool, "--describe", "--group", "readers", "--state", compare=words)
    same("groups --describe of none", tool, "--describe", "--group", "nobody", compare=words)
    same("groups --list", tool, "--list")
    same("groups --list --state", tool, "--list", "--state", compare=words)
    same("groups --list --state Stable", tool, "--list", "--state", "Stable", compare=words)
    reset = ["--reset-offsets", "--group", "readers", "--topic"]
    for how in (["--to-earliest"], ["--to-latest"], ["--to-offset", "5"], ["--shift-by", "-7"], ["--to-current"],
                ["--to-datetime", "2020-01-01T00:00:00.000"], ["--by-duration", "PT1H"]):
        same(f"reset {' '.join(how)}, tried", tool, *reset, "orders:0,2", *how, "--dry-run", compare=words)
    same("reset --export", tool, *reset, "orders", "--to-offset", "3", "--dry-run", "--export")
    ours(tool, *reset, "orders", "--to-offset", "2", "--execute")
    same("what was reset is described", tool, "--describe", "--group", "readers", compare=words)
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as plan:
        plan.write("orders,0,1\norders,1,3\n")
        plan.flush()
        same("reset --from-file", tool, "--reset-offsets", "--group", "readers", "--from-file", plan.name, "--execute", compare=words)
    out, _ = ours(tool, "--delete-offsets", "--group", "readers", "--topic", "orders:0")
    checks.that("Request succeed for deleting offsets" in out and "Successful" in out, "groups --delete-offsets", out)
    out, _ = ours(tool, "--delete", "--group", "readers")
    checks.equal(out, "Deletion of requested consumer groups ('readers') was successful.\n", "groups --delete")
    out, _ = ours(tool, "--delete", "--group", "readers")
    checks.that("Group 'readers' could not be deleted due to:" in out, "a group that is gone cannot be deleted", out)


def offsets():
    for time in ("-1", "-2", "latest", "earliest", "max-timestamp", "1000"):
        same(f"get-offsets --time {time}", "kafka-get-offsets", "--topic", "orders", "--time", time)
    same("get-offsets --topic-partitions", "kafka-get-offsets", "--topic-partitions", "ord.*:1-3,million:0")
    _, error = ours("kafka-get-offsets", "--topic", "nobody", expect=1)
    checks.equal(error, stock("kafka-get-offsets", "--topic", "nobody", expect=1)[1], "get-offsets of none")
    old, _ = ours("kafka-get-offsets", "--broker-list", BOOTSTRAP, "--topic", "orders", cluster=False)
    checks.equal(old, ours("kafka-get-offsets", "--topic", "orders")[0], "--broker-list is the old name")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"partitions": [{"topic": "million", "partition": 0, "offset": 10},
                                  {"topic": "million", "partition": 1, "offset": -1}], "version": 1}, file)
        file.flush()
        out, _ = ours("kafka-delete-records", "--offset-json-file", file.name)
        checks.that("partition: million-0\tlow_watermark: 10" in out, "delete-records", out)
        same("the same once more", "kafka-delete-records", "--offset-json-file", file.name)
    same("deleted records are not found any more", "kafka-get-offsets", "--topic", "million", "--time", "earliest")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"partitions": [{"topic": "million", "partition": 0, "offset": 100_000_000}], "version": 1}, file)
        file.flush()
        out, _ = ours("kafka-delete-records", "--offset-json-file", file.name)
        checks.that("OffsetOutOfRangeException" in out, "what is not there cannot be deleted", out)


def configs():
    tool = "kafka-configs"
    entity = ["--entity-type", "topics", "--entity-name", "orders"]
    out, _ = ours(tool, "--alter", *entity, "--add-config", "max.message.bytes=2000000,cleanup.policy=[compact,delete]")
    checks.equal(out, "Completed updating config for topic orders.\n", "configs --alter --add-config")
    same("configs --describe of a topic", tool, "--describe", *entity)
    same("configs --describe --all of a topic", tool, "--describe", "--topic", "orders", "--all")
    same("configs --delete-config", tool, "--alter", *entity, "--delete-config", "nope", expect=1)
    ours(tool, "--alter", *entity, "--delete-config", "cleanup.policy")
    checks.that("cleanup.policy" not in ours(tool, "--describe", *entity)[0], "what was deleted is gone")
    _, error = ours(tool, "--alter", *entity, "--add-config", "nope=1", expect=1)
    checks.that("InvalidConfigurationException" in error, "an unknown key is refused", error)
    default = ["--entity-type", "brokers", "--entity-default"]
    ours(tool, "--alter", *default, "--add-config", "log.retention.ms=100000000")
    same("configs of all brokers", tool, "--describe", *default)
    same("configs of a broker", tool, "--describe", "--entity-type", "brokers", "--entity-name", "0")
    ours(tool, "--alter", *default, "--delete-config", "log.retention.ms")
    _, error = ours(tool, expect=1)
    checks.that(error.startswith("Command must include exactly one action: --describe, --alter"), "no action is a usage error", error)


def cluster():
    # The stock tool shows the versions that it knows itself as usable.
    def versions(text):
        return sorted(re.findall(r"\w+\(\d+\): \d+(?: to \d+)?", text))
    checks.equal(versions(ours("kafka-broker-api-versions")[0]), versions(stock("kafka-broker-api-versions")[0]),
                 "broker-api-versions")

    def directories(text):
        document = json.loads(next(line for line in text.splitlines() if line.startswith("{")))
        for broker in document["brokers"]:
            for directory in broker["logDirs"]:
                directory["partitions"].sort(key=lambda partition: partition["partition"])
        return document, [line for line in text.splitlines() if not line.startswith("{")]
    arguments = ["--describe", "--topic-list", "orders,million"]
    checks.equal(directories(ours("kafka-log-dirs", *arguments)[0]), directories(stock("kafka-log-dirs", *arguments)[0]), "log-dirs")
    same("log-dirs of a broker that is not there", "kafka-log-dirs", "--describe", "--broker-list", "0,7", expect=1)
    identity, _ = ours("kafka-cluster", "cluster-id")
    checks.that(re.fullmatch(r"Cluster ID: \S+\n", identity), "cluster-id", identity)


def logs():
    out, _ = ours("kafka-log-dirs", "--describe", "--topic-list", "orders")
    document = json.loads(out.splitlines()[-1])
    directory = document["brokers"][0]["logDirs"][0]["logDir"]
    for partition in range(4):
        file = f"{directory}/orders-{partition}/00000000000000000000.log"
        for option in ([], ["--deep-iteration"], ["--print-data-log"], ["--print-data-log", "--skip-record-metadata"]):
            same(f"dump-log {' '.join(option)} of partition {partition}", "kafka-dump-log", "--files", file, *option, cluster=False)
    for kind in ("index", "timeindex"):
        file = f"{directory}/million-2/00000000000000000000.{kind}"
        same(f"dump-log --verify-index-only of .{kind}", "kafka-dump-log", "--files", file, "--verify-index-only", cluster=False)
    decoded = [path for path in pathlib.Path(directory).glob("__consumer_offsets-*/*.log") if path.stat().st_size]
    checks.that(decoded, "there is a group's journal", directory)
    for path in decoded:
        same(f"dump-log --offsets-decoder of {path.parent.name}", "kafka-dump-log", "--files", path, "--offsets-decoder", cluster=False)


def performance():
    form = (r"50000 records sent, [\d.]+ records/sec \([\d.]+ MB/sec\), [\d.]+ ms avg latency, [\d.]+ ms max latency, "
            r"\d+ ms 50th, \d+ ms 95th, \d+ ms 99th, \d+ ms 99.9th.")
    out, _ = ours("kafka-producer-perf-test", "--topic", "perf", "--num-records", "50000", "--record-size", "100", "--throughput",
                  "-1", "--producer-props", f"bootstrap.servers={BOOTSTRAP}", "acks=1", cluster=False)
    checks.that(re.fullmatch(form, out.splitlines()[-1]), "producer-perf-test", out)
    out, _ = ours("kafka-consumer-perf-test", "--topic", "perf", "--messages", "50000", "--timeout", "60000")
    head, row = out.splitlines()
    names, values = head.split(", "), row.split(", ")
    checks.equal(len(values), len(names), "consumer-perf-test prints a value for each name")
    checks.equal(values[names.index("data.consumed.in.nMsg")], "50000", "and reads them all")


for title, body in (("topics", topics), ("console", console), ("million", million), ("groups", groups), ("offsets", offsets),
                    ("configs", configs), ("cluster", cluster), ("logs", logs), ("performance", performance)):
    checks.run(title, body)
exit_with(checks)
