"""F7 and F8: a disk that cannot keep what it was told to, and a broker that stands still for a while."""

import contextlib
import os
import pathlib
import subprocess
import tempfile
import threading

from confluent_kafka import KafkaException

from harness import brokers, history, wire, workload

STORAGE_ERROR = 56


@contextlib.contextmanager
def bad_disk():
    """(environment for a broker, function that makes the next sync of a path with such a part fail)."""
    source = pathlib.Path(__file__).parent / "bad_disk.c"
    with tempfile.TemporaryDirectory(prefix="milena-bad-disk-") as folder:
        library, command = pathlib.Path(folder, "bad_disk.so"), pathlib.Path(folder, "command")
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)

        def fail_next_sync_of(part):
            (command.parent / "next").write_text(part)
            os.rename(command.parent / "next", command)
        yield {"LD_PRELOAD": str(library), "BAD_DISK": str(command)}, fail_next_sync_of


def list_offsets(port, topic, partition):
    """(error code, end offset)"""
    with wire.Connection(port) as connection:
        answer = connection.call("ListOffsets", 1, replica_id=-1, topics=[
            {"name": topic, "partitions": [{"partition_index": partition, "timestamp": -1}]}])
        found = answer["topics"][0]["partitions"][0]
        return found["error_code"], found["offset"]


def failed_sync_of_the_last_directory(checks, produce_numbers, read_numbers, wait_until):
    """Nothing that a sync did not keep can be promised: the process ends, and says why."""
    with bad_disk() as (environment, fail_next_sync_of), brokers.Milena({}, environment) as broker:
        workload.create_topic(broker.bootstrap, "eio", 1)
        produce_numbers(broker.bootstrap, "eio", range(100))
        fail_next_sync_of("/eio-0/")
        with contextlib.suppress(KafkaException):
            produce_numbers(broker.bootstrap, "eio", range(100, 101), **{"message.timeout.ms": 5000})
        checks.that(wait_until(lambda: not broker.alive(), 60), "F7: a broker whose only log directory fails a sync ends")
        checks.that(broker.process.child.returncode not in (0, None), "F7: with an exit code that says so")
        said = broker.log.read_text()
        checks.that("Input/output error" in said and str(broker.data) in said, "F7: and names the error and the place", said[-400:])
        broker.start()
        read = read_numbers(broker.bootstrap, "eio")
        checks.equal(read[:100], [(number, number) for number in range(100)], "F7: what was acknowledged is there again")


def failed_sync_of_one_directory(checks, produce_numbers, read_numbers, wait_until):
    """Its partitions go offline, all others stay."""
    with bad_disk() as (environment, fail_next_sync_of), brokers.Milena({}, environment) as broker:
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
        fail_next_sync_of(str(other))
        produce_numbers(broker.bootstrap, "two", range(100, 101), failing[0])
        gone = wait_until(lambda: all(list_offsets(broker.port, "two", each)[0] == STORAGE_ERROR for each in failing), 60)
        checks.that(gone, "F7: the partitions of a directory that fails a sync go offline, with KAFKA_STORAGE_ERROR")
        for partition in staying:
            offsets = produce_numbers(broker.bootstrap, "two", range(100, 200), partition)
            checks.equal(offsets, list(range(100, 200)), f"F7: partition {partition} of the other directory goes on")
        broker.stop()
        broker.start()
        ends = [list_offsets(broker.port, "two", partition) for partition in range(4)]
        lost = [partition for partition, (error, end) in enumerate(ends) if error or end < (200 if partition in staying else 100)]
        checks.equal(lost, [], "F7: after a restart everything acknowledged is there")


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
