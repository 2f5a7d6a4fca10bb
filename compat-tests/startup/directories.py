"""Log directories that somebody has been in: what the broker says, and that nothing else suffers and nothing is deleted."""

import contextlib
import os
import re
import struct
import subprocess

from harness import brokers, wire
from harness.checks import Checks, exit_with

TOPICS = ("first", "second", "third")
RECORDS = 20
LOOKS_OFTEN = {"replica.high.watermark.checkpoint.interval.ms": "200"}
NEWER = 9       # A version of a file that nobody has written yet.
STORAGE_ERROR, NOT_LEADER = 56, 6
checks = Checks()


class Broker(brokers.Milena):
    """Small segments, and an index entry for nearly each batch."""

    def __init__(self, **settings):
        super().__init__({"log.segment.bytes": "4096", "message.max.bytes": "4000", "log.index.interval.bytes": "512", **settings})

    def lines(self, *words):
        """What the log has on these words, as warning or error."""
        return [line for line in self.process.lines
                if (" ERROR " in line or " WARN " in line) and all(word in line for word in words)]

    def create(self):
        with wire.Connection(self.port) as connection:
            connection.call("CreateTopics", 2, timeout_ms=30000, topics=[
                {"name": name, "num_partitions": 1, "replication_factor": 1} for name in TOPICS])

    def produce(self, topic, count=RECORDS):
        """Returns the last error code and offset."""
        with wire.Connection(self.port) as connection:
            for _ in range(count):
                answer = connection.call("Produce", 5, **wire.produce(topic, wire.batch([b"x" * 500]), version=5))
        part = answer["responses"][0]["partition_responses"][0]
        return part["error_code"], part["base_offset"]

    def fetch(self, topic, offset):
        """Returns the error code and the base offset of the first batch, if there is one."""
        with wire.Connection(self.port) as connection:
            answer = connection.call("Fetch", 4, replica_id=-1, max_wait_ms=0, min_bytes=0, max_bytes=1 << 20, isolation_level=0,
                                     topics=[{"topic": topic, "partitions": [
                                         {"partition": 0, "fetch_offset": offset, "partition_max_bytes": 1 << 20}]}])
        part = answer["responses"][0]["partitions"][0]
        return part["error_code"], struct.unpack(">q", part["records"][:8])[0] if part["records"] else None

    def whole(self, topic):
        return [self.fetch(topic, offset) for offset in range(RECORDS)] == [(0, offset) for offset in range(RECORDS)]


@contextlib.contextmanager
def filled():
    """A broker that was stopped, with records in each topic."""
    with Broker() as broker:
        broker.create()
        for topic in TOPICS:
            broker.produce(topic)
        broker.stop()
        yield broker


def swap(one, other):
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def swapped():
    with filled() as broker:
        one, other = broker.data / "first-0", broker.data / "second-0"
        before = files_of(one), files_of(other)
        swap(one, other)
        broker.start()
        for folder in (one, other):
            checks.equal(len(broker.lines(str(folder), "topic id")), 1, f"swapped: one line names {folder.name} and the topic ids")
        checks.equal(broker.produce("first", 1)[0], STORAGE_ERROR, "swapped: it takes no records")
        checks.equal(broker.fetch("second", 0)[0], NOT_LEADER, "swapped: and shows nobody another topic's")
        checks.equal(broker.produce("third", 1), (0, RECORDS), "swapped: a third topic is served")
        broker.stop()
        swap(one, other)
        checks.that((files_of(one), files_of(other)) == before, "swapped: nothing in them was touched")
        broker.start()
        checks.that(broker.whole("first") and broker.whole("second"), "swapped back: all is there")


def foreign_index():
    with filled() as broker:
        indexes = sorted((broker.data / "first-0").glob("*.index"))
        size = indexes[0].stat().st_size
        for claim, entries in (("beyond the log", [(each + 1, 4096 * 50 * (each + 1)) for each in range(size // 8)]),
                               ("into the middle of batches", [(each + 1, 17 * (each + 1)) for each in range(size // 8)]),
                               ("of another segment", None)):
            indexes[0].write_bytes(indexes[1].read_bytes() if entries is None else
                                   b"".join(struct.pack(">ii", *entry) for entry in entries))
            broker.start()
            checks.that(broker.whole("first"), f"an index {claim}: every offset is found all the same")
            broker.stop()


def newer_formats():
    with filled() as broker:
        metadata = broker.data / "first-0" / "partition.metadata"
        old = metadata.read_text()
        newer = old.replace("version: 0", f"version: {NEWER}")
        metadata.write_text(newer)
        broker.start()
        checks.equal(len(broker.lines(str(metadata), f"version {NEWER}")), 1, "a newer partition.metadata: one line with file and version")
        checks.equal(broker.produce("first", 1)[0], STORAGE_ERROR, "a newer partition.metadata: it is not served")
        checks.equal(broker.produce("third", 1), (0, RECORDS), "a newer partition.metadata: the others are")
        broker.stop()
        checks.equal(metadata.read_text(), newer, "a newer partition.metadata: and stays as it is")
        metadata.write_text(old)
        for name in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint", "log-start-offset-checkpoint",
                     "cleaner-offset-checkpoint"):
            (broker.data / name).write_text(f"{NEWER}\n0\n")
            broker.start()
            checks.that(broker.lines(name, "version"), f"a newer {name}: the log says so")
            checks.that(broker.whole("first"), f"a newer {name}: the records are there")
            broker.stop()
        snapshot = sorted((broker.data / "first-0").glob("*.snapshot"))[-1]
        snapshot.write_bytes(struct.pack(">h", NEWER) + snapshot.read_bytes()[2:])
        broker.start()
        checks.that(broker.lines(snapshot.name) and broker.whole("first"), "a newer producer snapshot: said, and made again from the log")
        broker.stop()
        identity = broker.data / "meta.properties"
        identity.write_text(identity.read_text().replace("version=0", f"version={NEWER}"))
        try:
            broker.start()
            checks.that(False, "a newer meta.properties stops the start", "it serves")
        except RuntimeError:
            checks.that(broker.lines(str(identity), f"version {NEWER}"), "a newer meta.properties stops the start, by its name",
                        broker.log_tail())


def newer_batches():
    with filled() as broker:
        log = sorted((broker.data / "first-0").glob("*.log"))[1]
        data = bytearray(log.read_bytes())
        data[16] = 3        # The magic of its first batch.
        log.write_bytes(data)
        broker.start()
        base = int(log.stem)
        checks.equal(broker.fetch("first", base)[0], 2, "a batch of a newer magic: CORRUPT_MESSAGE for who reads it")
        checks.equal((broker.fetch("first", 0), broker.fetch("first", RECORDS - 1)), ((0, 0), (0, RECORDS - 1)),
                     "a batch of a newer magic: what is before and behind can be read")
        broker.stop()
        checks.that(log.read_bytes() == bytes(data), "a batch of a newer magic: nothing is deleted")


def of_another_user():
    """Without root's powers, since root may read anything."""
    if os.geteuid() != 0:
        raise RuntimeError("this part becomes another user and wants to be root")
    with filled() as broker:
        log = sorted((broker.data / "first-0").glob("*.log"))[0]
        for path in (broker.folder, *broker.folder.rglob("*")):
            os.chown(path, 65534, 65534)
        os.chown(log, 0, 0)
        os.chmod(log, 0o600)
        done = subprocess.run([brokers.binary(), "server", broker.folder / "server.properties"], user=65534, cwd="/",
                              capture_output=True, text=True, timeout=120)
        said = [line for line in (done.stdout + done.stderr).splitlines() if " ERROR " in line]
        checks.that(done.returncode == 1 and any(str(log) in line and "ermission" in line for line in said),
                    "a file of another user: its only log directory cannot be used, by the file's name", said)
        checks.that(log.exists() and log.stat().st_size > 0, "a file of another user: it is still there")


def vanished():
    with Broker(**LOOKS_OFTEN) as broker:
        broker.stop()
        second, away = broker.folder / "second", broker.folder / "away"
        second.mkdir()
        broker.settings["log.dirs"] = f"{broker.data},{second}"
        broker.start()
        broker.create()
        for topic in TOPICS:
            broker.produce(topic)
        lost = [topic for topic in TOPICS if (second / f"{topic}-0").is_dir()]
        kept = [topic for topic in TOPICS if topic not in lost]
        second.rename(away)
        try:
            broker.process.wait_for(re.compile(f"Log directory {second} is offline"), 120)
            checks.that(True, "a log directory vanishes: it is offline, and the log names it")
        except RuntimeError as error:
            checks.that(False, "a log directory vanishes: it is offline, and the log names it", error)
        checks.equal({broker.produce(topic, 1)[0] for topic in lost}, {STORAGE_ERROR}, "its partitions take nothing")
        checks.equal({broker.produce(topic, 1) for topic in kept}, {(0, RECORDS)}, "the other directory's go on")
        broker.stop()
        away.rename(second)
        broker.start()
        checks.that(all(broker.whole(topic) for topic in TOPICS), "it is back: everything acknowledged is there after a restart")


def all_vanished():
    """A broker that can keep nothing any more, or not its metadata, ends."""
    with Broker(**LOOKS_OFTEN) as broker:
        broker.create()
        for topic in TOPICS:
            broker.produce(topic)
        ends_without(broker, "all log directories have failed", "the only log directory vanishes")
        broker.settings["log.dirs"] = f"{broker.data},{broker.folder / 'second'}"
        broker.start()
        ends_without(broker, "the log directory with the metadata has failed", "the log directory with the metadata vanishes")
        broker.start()
        checks.that(all(broker.whole(topic) for topic in TOPICS), "it is back: everything acknowledged is there after a restart")


def ends_without(broker, words, what):
    """The first directory goes, and comes back when the process has ended."""
    away = broker.folder / "away"
    broker.data.rename(away)
    broker.process.wait_for(re.compile(f"{words}: .*{broker.data}"), 120)
    code = broker.process.wait(120)
    checks.that(code > 0, f"{what}: the process says so and ends", code)
    away.rename(broker.data)


def main():
    for name, body in {"swapped": swapped, "foreign index": foreign_index, "newer formats": newer_formats, "newer batches": newer_batches,
                       "another user": of_another_user, "vanished": vanished,
                       "all vanished": all_vanished}.items():
        checks.run(name, body)
    exit_with(checks)


if __name__ == "__main__":
    main()
