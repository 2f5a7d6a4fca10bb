"""Log directories of Apache Kafka and of ours, each started on by the other.

    Kafka writes -> is killed                  -> Milena imports, serves the same
                 -> starts, is stopped cleanly -> Milena imports, serves the same, writes more, stops
                 -> kafka-dump-log reads it    -> Kafka starts on it, serves the same, writes more
    Milena writes -> stops -> Kafka 3.9.1 starts on it, with topics in its ZooKeeper
"""

import argparse
import re
import shutil
import subprocess
import sys
import time

from confluent_kafka.admin import OffsetSpec

import contents
from harness import brokers, kafka
from harness.checks import Checks, exit_with, short

checks = Checks()
DUMP_FAULTS = re.compile(r"isvalid: false|[Mm]ismatch|Exception|not all bytes|sanity check failed", re.M)


class Directory(brokers.Milena):
    """Milena on a copy of another broker's log directory, not yet imported."""

    def __init__(self, data, node, settings=None):
        super().__init__({**contents.SETTINGS, "broker.id": node, **(settings or {})})
        shutil.copytree(data, self.data)
        self.files = self.write_properties("import.properties", {
            "log.dirs": self.data, "zookeeper.connect": "127.0.0.1:2181", **self.settings})

    def __enter__(self):
        return self     # It starts after the import.

    def run_import(self, *words):
        done = subprocess.run([self.binary, "import", str(self.files), *words], capture_output=True, text=True,
                              errors="replace", timeout=300)
        with open(self.log, "a") as log:
            log.write(f"milena import {' '.join(words)}\n{done.stdout}{done.stderr}")
        return done.returncode, done.stdout + done.stderr


class KafkaLater(brokers.ApacheKafka39):
    """Apache Kafka 3.9.1, to be started when its directory is there."""

    def __enter__(self):
        return self


def snapshot(folder):
    """Every file below, with its bytes; not the lock, which says nothing."""
    return {file.relative_to(folder): file.read_bytes() for file in sorted(folder.rglob("*"))
            if file.is_file() and file.name != ".lock"}


def same(seen, expected, name):
    """One check for each thing that a client can see."""
    for what in expected:
        differs = seen[what] == expected[what]
        details = ""
        if not differs and isinstance(expected[what], dict):
            where = [key for key in {**expected[what], **seen[what]} if seen[what].get(key) != expected[what].get(key)]
            details = "; ".join(f"{key}: saw {short(seen[what].get(key), 150)}, expected {short(expected[what].get(key), 150)}"
                                for key in where[:3])
        checks.that(differs, f"{name}: {what} are the same", details or f"saw {short(seen[what])}, expected {short(expected[what])}")


def wait_for_topics(broker, expected):
    """Apache Kafka says that it has started before it knows its topics, and leads them later still."""
    contents.wait_until(lambda: contents.topics_of(broker.bootstrap) == expected["partitions"], "the topics are not all there")
    contents.wait_until(lambda: contents.answers(broker.bootstrap), "partitions and groups are not all there")


def dump(release, folder, name):
    """kafka-dump-log over every file of a directory: logs deeply, indexes sanely."""
    for words, endings in ((("--deep-iteration",), ("log", "snapshot")), (("--index-sanity-check",), ("index", "timeindex")),
                           (("--verify-index-only",), ("index", "timeindex"))):
        # The index of an active segment of a stopped broker may be empty; the tool reads that as damage of its own.
        files = [str(file) for ending in endings for file in sorted(folder.rglob(f"*.{ending}"))
                 if file.stat().st_size > 0 and not file.parent.name.startswith("__cluster_metadata")]
        code, out, err = kafka.run_tool(release, "kafka-dump-log", "--files", ",".join(files), *words, seconds=300)
        fault = DUMP_FAULTS.search(out + err)
        around = (out + err)[max(0, fault.start() - 300):fault.end() + 300] if fault else err[-600:]
        checks.that(code == 0 and not fault and files, f"{name}: kafka-dump-log {release} {words[0]} reads {' and '.join(endings)} files",
                    f"exit code {code}: {around}")


def refused_untouched(directory, name):
    """The server does not start on what was never imported, says what to do, and leaves no trace."""
    before = snapshot(directory.data)
    try:
        directory.start()
        checks.that(False, f"{name}: a server does not start before the import", "it did")
    except RuntimeError:
        line = directory.log_tail(1)
        checks.that("milena import FILE" in line, f"{name}: a server says to import first", line)
    after = snapshot(directory.data)
    checks.that(after == before, f"{name}: and leaves every file as it is",
                str([str(file) for file in {**after, **before} if after.get(file) != before.get(file)]))


def imported(directory, expected, words, name):
    """Import and start; returns what a client then sees."""
    before = snapshot(directory.data)
    code, said = directory.run_import(*words)
    checks.that(code == 0 and "Imported" in said, f"{name}: is imported", f"exit code {code}: {said}")
    after = snapshot(directory.data)
    changed = [str(file) for file in before if after.get(file) != before[file]]
    fresh = [str(file) for file in after if file not in before and not file.name.startswith("milena-")]
    checks.equal(changed + fresh, [], f"{name}: the import changes no file of Kafka's")
    code, said = directory.run_import(*words)
    checks.that(code == 0 and "Nothing was to be done" in said, f"{name}: a second import has nothing to do", said)
    directory.start()
    seen = contents.look(directory.bootstrap)
    same(seen, expected, name)
    return seen


def zookeeper_words(broker):
    return ("--zookeeper", f"127.0.0.1:{broker.zookeeper_port}") if type(broker) is brokers.ApacheKafka39 else ()


def round_trip(kind):
    node = "7"
    settings = {**contents.SETTINGS, "broker.id": node}
    if kind == "kafka43":   # Snapshots of the metadata as well as its log.
        settings["metadata.log.max.record.bytes.between.snapshots"] = "3000"
    with brokers.make(kind, settings) as kafka_broker:
        left_open = contents.fill(kafka_broker.bootstrap, kind == "kafka43")
        expected = contents.look(kafka_broker.bootstrap)
        configured = contents.overrides(kafka_broker.bootstrap)
        if kind == "kafka43":
            contents.wait_until(lambda: any((kafka_broker.data / "__cluster_metadata-0").glob("*.checkpoint")), "there is no snapshot")
        kafka_broker.kill()
        killed = kafka_broker.folder / "killed"
        shutil.copytree(kafka_broker.data, killed)
        kafka_broker.start()
        wait_for_topics(kafka_broker, expected)
        stopped = kafka_broker.stop()
        checks.that(stopped in (0, 143), f"{kind}: stops", str(stopped))
        del left_open

        if kind == "kafka43":
            checks.that(any((killed / "__cluster_metadata-0").glob("*.checkpoint")), "kafka43: there is a snapshot of its metadata")

        name = f"{kind}, killed"
        with Directory(killed, node) as ours:
            imported(ours, expected, zookeeper_words(kafka_broker), name)
            checks.equal(contents.overrides(ours.bootstrap), configured, f"{name}: configurations are the same")

        if kind == "kafka39":
            held(killed, node, kafka_broker)

        name = f"{kind}, stopped"
        with Directory(kafka_broker.data, node) as ours:
            refused_untouched(ours, name)
            before = imported(ours, expected, zookeeper_words(kafka_broker), name)
            checks.equal(contents.append(ours.bootstrap, before, b"of Milena"), [], f"{name}: what is written goes right behind")
            written = contents.look(ours.bootstrap)
            checks.equal(ours.stop(), 0, f"{name}: Milena stops")
            dump(kafka_broker.release, ours.data, f"{name}, then Milena")
            hand_back(kafka_broker, ours.data, written, f"{name}, then Milena, then Kafka")
        once_more(kafka_broker, node, f"{name}, then Milena, then Kafka, then Milena")


def held(data, node, kafka_broker):
    """Without a word on their configuration, topics are kept whole until somebody accepts that."""
    name = "kafka39, without its ZooKeeper"
    hurry = {"log.retention.ms": "1000", "log.retention.check.interval.ms": "100", "log.segment.delete.delay.ms": "0"}
    with Directory(data, node, hurry) as ours:
        code, said = ours.run_import("--override", "broker.id=3")
        checks.that(code != 0 and "meta.properties is of broker 7, but broker.id is 3" in said,
                    f"{name}: a wrong broker.id is refused", said)
        code, said = ours.run_import("--zookeeper", f"127.0.0.1:{kafka_broker.zookeeper_port}/nothing")
        checks.that(code != 0 and "holds no cluster id" in said, f"{name}: a wrong chroot is refused", said)
        checks.that(not list(ours.data.glob("milena-*")), f"{name}: what is refused leaves no file")
        code, said = ours.run_import()
        checks.that(code == 0 and "--accept" in said, f"{name}: is imported, topics are held", said)
        ours.start()
        before = contents.offsets(ours.bootstrap, OffsetSpec.earliest())
        contents.create(ours.bootstrap, {"fresh": (1, {})})
        outlive_retention(ours.bootstrap, "fresh", 0)
        after = contents.offsets(ours.bootstrap, OffsetSpec.earliest())
        after.pop(("fresh", 0))
        checks.equal(after, before, f"{name}: retention takes nothing of held topics while it takes other records")
        ours.stop()
        code, said = ours.run_import("--accept")
        checks.that(code == 0 and "accepted" in said, f"{name}: --accept lets go", said)
        ours.start()
        contents.wait_until(lambda: contents.offsets(ours.bootstrap, OffsetSpec.earliest())["codec.none", 0][0] == 50,
                            "retention leaves accepted topics alone")
        checks.that(True, f"{name}: then retention takes what is old")


def outlive_retention(bootstrap, topic, partition):
    """Write an old record and wait until retention has taken it."""
    client = contents.producer(bootstrap)
    client.produce(topic, partition=partition, value=b"old", timestamp=contents.START_MS)
    contents.flush(client)
    contents.wait_until(lambda: contents.offsets(bootstrap, OffsetSpec.earliest())[topic, partition][0] == 1,
                        "retention does not come")


def ours_first():
    """Apache Kafka 3.9.1 starts on a directory that was ours from the first byte; its ZooKeeper is told of the topics."""
    name = "Milena, then kafka39"
    with brokers.make("milena", contents.SETTINGS) as ours, KafkaLater(contents.SETTINGS) as theirs:
        contents.fill_plain(ours.bootstrap)
        written = contents.look(ours.bootstrap)
        checks.equal(ours.stop(), 0, f"{name}: Milena stops")
        dump("3.9.1", ours.data, name)
        dump("4.3.1", ours.data, name)
        theirs.start_zookeeper()
        exported(ours, theirs, name)
        shutil.copytree(ours.data, theirs.data)
        theirs.start()
        wait_for_topics(theirs, written)
        same(contents.look(theirs.bootstrap), written, name)
        checks.equal(contents.append(theirs.bootstrap, written, b"of Kafka"), [], f"{name}: what is written goes right behind")


def exported(ours, theirs, name):
    """A new ZooKeeper is told of the cluster of a stopped broker."""
    at = f"127.0.0.1:{theirs.zookeeper_port}"

    def export(*words):
        done = subprocess.run([ours.binary, "export", str(ours.folder / "server.properties"), *words],
                              capture_output=True, text=True, timeout=300)
        return done.returncode, done.stdout + done.stderr

    code, said = export("--zookeeper", at, "--dry-run")
    checks.that(code == 0 and "Would create" in said, f"{name}: an export says first what it would do", said)
    code, said = export("--zookeeper", at)
    checks.that(code == 0 and "Created" in said, f"{name}: its topics are exported to a new ZooKeeper", said)
    code, said = export("--zookeeper", at)
    checks.that(code == 0 and "Created 0 nodes and changed 0" in said, f"{name}: a second export has nothing to do", said)
    code, said = export()
    checks.that(code == 1 and "--zookeeper is missing" in said, f"{name}: an export wants to know where", said)


def hand_back(kafka_broker, data, written, name):
    """Apache Kafka goes on where Milena stopped."""
    shutil.rmtree(kafka_broker.data)
    shutil.copytree(data, kafka_broker.data)
    kafka_broker.start()
    wait_for_topics(kafka_broker, written)
    same(contents.look(kafka_broker.bootstrap), written, name)
    checks.equal(contents.append(kafka_broker.bootstrap, written, b"of Kafka"), [], f"{name}: what is written goes right behind")


BODIES = {"kafka39": lambda: round_trip("kafka39"), "kafka43": lambda: round_trip("kafka43"), "ours": ours_first}


def once_more(kafka_broker, node, name):
    """Milena comes back to a directory that it knows, after Kafka went on in it and made a topic."""
    contents.create(kafka_broker.bootstrap, {"late": (2, {"retention.ms": "77777777"})})
    contents.append(kafka_broker.bootstrap, {"end offsets": {("late", 0): 0, ("late", 1): 0},
                                             "offsets of a group": [("segments", 0, 2000, "")]}, b"late")
    written = contents.look(kafka_broker.bootstrap)
    configured = contents.overrides(kafka_broker.bootstrap)
    kafka_broker.stop()
    with Directory(kafka_broker.data, node) as ours:
        code, said = ours.run_import(*zookeeper_words(kafka_broker))
        checks.that(code == 0 and "Imported 1 topics with 2 partitions" in said, f"{name}: the new topic is imported", said)
        ours.start()
        same(contents.look(ours.bootstrap), written, name)
        checks.equal(contents.overrides(ours.bootstrap), configured, f"{name}: configurations are the same")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=BODIES)
    only = parser.parse_args().only
    if only:
        checks.run(only, BODIES[only])
    else:   # Side by side: most of the time goes into waiting for one JVM or another.
        began = time.monotonic()
        running = [subprocess.Popen([sys.executable, __file__, "--only", name], stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True, errors="replace", preexec_fn=brokers.end_with_parent)
                   for name in BODIES]
        for name, child in zip(BODIES, running):
            said, _ = child.communicate()
            for line in said.splitlines(True):
                checks.take(line)
            checks.that(said.rstrip().endswith("failed"), f"{name}: comes to its end", said[-500:])
        print(f"{time.monotonic() - began:.0f} s")
    exit_with(checks)


if __name__ == "__main__":
    main()
