"""F7 and F8: a disk that cannot keep what it was told to, and a broker that stands still for a while."""

import contextlib
import os
import pathlib
import subprocess
import tempfile
import threading
import time

from confluent_kafka import KafkaException

from harness import brokers, history, wire, workload

STORAGE_ERROR = 56


class BadDisk:
    """A disk that fails or stalls on command, for the broker that is started with its environment."""

    def __enter__(self):
        source = pathlib.Path(__file__).parent / "bad_disk.c"
        self.folder = tempfile.TemporaryDirectory(prefix="milena-bad-disk-")
        library = pathlib.Path(self.folder.name, "bad_disk.so")
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        self.environment = {"LD_PRELOAD": str(library), "BAD_DISK": self.folder.name}
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def command(self, name, part):
        new = pathlib.Path(self.folder.name, "new")
        new.write_text(part)
        os.rename(new, pathlib.Path(self.folder.name, name))

    def fail_next_sync_of(self, part):
        self.command("sync", part)

    def make_read_only(self, part):
        self.command("read-only", part)

    def heal(self):
        for command in ("sync", "read-only"):
            pathlib.Path(self.folder.name, command).unlink(missing_ok=True)

    @contextlib.contextmanager
    def stuck_write(self, part, writer, wait_until):
        """One more record's write waits. Gives the name of its thread, once that has waited for a while."""
        told = pathlib.Path(self.folder.name, "waits")
        told.unlink(missing_ok=True)
        self.command("write", part)
        try:
            writer.allow(1)
            if not wait_until(told.exists, 120):
                raise RuntimeError(f"nobody writes to {part}")
            yield told.read_text()
        finally:
            os.unlink(pathlib.Path(self.folder.name, "write"))


def list_offsets(port, topic, partition):
    """(error code, end offset)"""
    with wire.Connection(port) as connection:
        answer = connection.call("ListOffsets", 1, replica_id=-1, topics=[
            {"name": topic, "partitions": [{"partition_index": partition, "timestamp": -1}]}])
        found = answer["topics"][0]["partitions"][0]
        return found["error_code"], found["offset"]


def failed_sync_of_the_last_directory(checks, produce_numbers, read_numbers, wait_until):
    """Nothing that a sync did not keep can be promised: the process ends, and says why."""
    with BadDisk() as disk, brokers.Milena({}, disk.environment) as broker:
        workload.create_topic(broker.bootstrap, "eio", 1)
        produce_numbers(broker.bootstrap, "eio", range(100))
        disk.fail_next_sync_of("/eio-0/")
        with contextlib.suppress(KafkaException):
            produce_numbers(broker.bootstrap, "eio", range(100, 101), **{"message.timeout.ms": 5000})
        checks.that(wait_until(lambda: not broker.alive(), 120), "F7: a broker whose only log directory fails a sync ends")
        checks.that(broker.process.wait(120) != 0, "F7: with an exit code that says so")
        said = broker.log.read_text()
        checks.that("Input/output error" in said and str(broker.data) in said, "F7: and names the error and the place", said[-400:])
        disk.heal()
        broker.start()
        read = read_numbers(broker.bootstrap, "eio")
        checks.equal(read[:100], [(number, number) for number in range(100)], "F7: what was acknowledged is there again")


def failed_sync_of_one_directory(*helpers):
    one_directory_fails(*helpers, "fails a sync", BadDisk.fail_next_sync_of)


def read_only_directory(*helpers):
    one_directory_fails(*helpers, "is read-only", BadDisk.make_read_only, takes_writes=False)


def one_directory_fails(checks, produce_numbers, read_numbers, wait_until, how, fail, takes_writes=True):
    """Its partitions go offline, all others stay."""
    with BadDisk() as disk, brokers.Milena({}, disk.environment) as broker:
        broker.stop()
        other = broker.folder / "data2"
        broker.settings["log.dirs"] = f"{broker.data},{other}"
        broker.start()
        workload.create_topic(broker.bootstrap, "two", 4)
        failing = [partition for partition in range(4) if (other / f"two-{partition}").is_dir()]
        staying = [partition for partition in range(4) if partition not in failing]
        checks.that(failing and staying, "F7: partitions are spread over two log directories", f"{failing} {staying}")
        for partition in range(4):
            produce_numbers(broker.bootstrap, "two", range(100), partition)
        fail(disk, str(other))
        was_acknowledged = False
        with contextlib.suppress(KafkaException):
            produce_numbers(broker.bootstrap, "two", range(100, 101), failing[0], **{"message.timeout.ms": 5000})
            was_acknowledged = True
        checks.that(takes_writes or not was_acknowledged, f"F7: a directory that {how} acknowledges nothing it does not have")
        gone = wait_until(lambda: all(list_offsets(broker.port, "two", each)[0] == STORAGE_ERROR for each in failing), 120)
        checks.that(gone, f"F7: the partitions of a directory that {how} go offline, with KAFKA_STORAGE_ERROR")
        for partition in staying:
            offsets = produce_numbers(broker.bootstrap, "two", range(100, 200), partition)
            checks.equal(offsets, list(range(100, 200)), f"F7: beside one that {how} partition {partition} of the other goes on")
        broker.stop()
        disk.heal()
        broker.start()
        ends = [list_offsets(broker.port, "two", partition) for partition in range(4)]
        lost = [partition for partition, (error, end) in enumerate(ends) if error or end < (200 if partition in staying else 100)]
        checks.equal(lost, [], f"F7: after a restart with a directory that {how} everything acknowledged is there")


def slow_writes(checks, produce_numbers, read_numbers, wait_until):
    """One partition's disk does not come back: all others are served, by the one thread there is."""
    with BadDisk() as disk, brokers.Milena({"milena.io.threads": "1"}, disk.environment) as broker:
        for topic in ("stuck", "free"):
            workload.create_topic(broker.bootstrap, topic, 1)
            produce_numbers(broker.bootstrap, topic, range(10))
        writer = workload.Writer(broker.bootstrap, "stuck", 1, "writer", workload.Numbers(), {"linger.ms": 0})
        writer.start()
        written, over = 0, time.monotonic() + 120
        while not (was_beside := serves_beside(checks, disk, broker, writer, produce_numbers, read_numbers, wait_until)):
            written += 1
            checks.that(writer.wait_for_acknowledged(written, 120), "F8: a write that was stuck is acknowledged when it is done")
            if time.monotonic() > over:
                break
        checks.that(was_beside, "F8: after a slow write others wait elsewhere than on the one thread")
        checks.that(writer.wait_for_acknowledged(written + 1, 120), "F8: it is when its disk comes back")
        writer.stop()
        checks.equal(len(read_numbers(broker.bootstrap, "stuck")), 10 + written + 1, "F8: and everything is there, once")


def serves_beside(checks, disk, broker, writer, produce_numbers, read_numbers, wait_until):
    """A write to `stuck` gets stuck, and others are served meanwhile. Whether it was so: a write that is the first slow one,
    or came so late that the last one is forgotten, makes the thread wait that serves."""
    written = writer.acknowledged
    with disk.stuck_write("/stuck-0/", writer, wait_until) as thread:
        if thread.startswith("net-"):
            return False
        offsets = produce_numbers(broker.bootstrap, "free", range(10, 50))
        checks.equal(offsets, list(range(10, 50)), "F8: while a write is stuck, other partitions are written")
        checks.equal(len(read_numbers(broker.bootstrap, "free")), 50, "F8: and read")
        checks.equal(writer.acknowledged, written, "F8: and what is stuck is not acknowledged")
    return True


def standstill(checks, rounds, rng, wait_until):
    """SIGSTOP while writers and readers are at work."""
    with brokers.make("milena") as broker:
        workload.create_topic(broker.bootstrap, "still", 3)
        numbers = workload.Numbers()
        writers = [workload.Writer(broker.bootstrap, "still", 3, f"writer-{at}", numbers, {"linger.ms": at * 5}) for at in range(2)]
        for writer in writers:
            writer.start()
        for _ in range(rounds):
            goal = [writer.acknowledged + 20 for writer in writers]
            for writer in writers:
                writer.allow(100)
            broker.pause()
            wait_until(lambda: all(writer.in_flight for writer in writers), 5)
            threading.Event().wait(rng.uniform(1, 3))   # The fault is time itself.
            broker.resume()
            got_on = all(writer.wait_for_acknowledged(count) for writer, count in zip(writers, goal))
            checks.that(got_on, "F8: writers get on after a standstill", str([writer.fatal for writer in writers]))
        for writer in writers:
            writer.stop()
        operations = [operation for writer in writers for operation in writer.operations]
        polls = workload.read_everything(broker.bootstrap, "still", 3)
        checks.equal(history.verdict(operations + polls), "valid", f"F8: the history of {len(operations)} records")
        checks.that(workload.offsets_contiguous(polls), "F8: offsets are contiguous, so nothing is there twice")
