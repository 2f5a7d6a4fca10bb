"""Faults that a process meets in its life, one after the other, against a real broker.

F5   the last segment or an index is cut at some length: what was before is served, the broker starts
F7   a sync fails, or a file system is made read-only: its log directory goes offline, nothing is tried again and
     promised (stops.py)
F8   the broker stands still for a while, or one of its writes does (stops.py)
F9   a network that delays, splits, stalls and cuts: idempotent producers lose and double nothing
F10  a wall clock that jumps by days: sessions and retention do not care
F11  members of a group that join, leave, crash and come back: no partition twice, offsets never back
"""

import argparse
import os
import random
import re
import shutil
import struct
import threading
import time

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

import stops
from harness import brokers, history, wire, workload
from harness.checks import Checks, exit_with
from harness.proxy import Proxy

LONG = bool(os.environ.get("TEST_ALL"))
checks = Checks()


def produce_numbers(bootstrap, topic, numbers, partition=0, **settings):
    """Produce numbers in order and return their offsets; KafkaException when one fails."""
    offsets, errors = [], []

    def delivered(error, message):
        if error:
            errors.append(error)
        else:
            offsets.append(message.offset())

    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 0,
                         "batch.num.messages": 10, "log_level": 0, **settings})
    for number in numbers:
        producer.produce(topic, b"%d" % number, partition=partition, on_delivery=delivered)
        producer.poll(0)
    left = producer.flush(120)
    if errors:
        raise KafkaException(errors[0])
    if left:
        raise RuntimeError(f"{topic}: {left} records are neither acknowledged nor failed")
    return offsets


def read_numbers(bootstrap, topic):
    polls = workload.read_everything(bootstrap, topic, 1)
    return [(offset, value) for operation in polls for poll in operation.polls() for _, offset, value in poll.records]


# F5

def truncation(kind, rng):
    """Cut the files of a stopped or killed broker and start it again."""
    with brokers.make(kind, {"log.segment.bytes": "16384", "log.index.interval.bytes": "512"}) as broker:
        workload.create_topic(broker.bootstrap, "cut", 1)
        produce_numbers(broker.bootstrap, "cut", range(3000))
        expected = [(number, number) for number in range(3000)]
        folder = broker.data / "cut-0"
        cuts = 40 if LONG else 8
        broker.kill()
        for file in sorted(folder.glob("*.index")) + sorted(folder.glob("*.timeindex")):
            with open(file, "r+b") as cut:
                cut.truncate(rng.randrange(0, max(file.stat().st_size, 1)))
        broker.start()
        checks.equal(read_numbers(broker.bootstrap, "cut"), expected, "F5: indexes cut at any length are built anew")
        cut_synced = 0
        for _ in range(cuts):
            broker.kill()
            last = sorted(folder.glob("*.log"))[-1]
            whole = last.read_bytes()
            keep = rng.randrange(0, len(whole)) if whole else 0
            name = f"F5: {last.name} cut from {len(whole)} to {keep} bytes"
            with open(last, "r+b") as cut:
                cut.truncate(keep)
            if kind == "milena" and end_of_whole_batches(last) < recovery_point(broker.data, "cut"):
                # What a disk said it had kept is gone: not for the broker to decide. Nothing is served or
                # deleted, and what puts the file right puts the partition right.
                cut_synced += 1
                broker.start()
                checks.equal(list_offsets_error(broker), 56, f"{name}, below what was synced: is not served")
                checks.equal(last.stat().st_size, keep, f"{name}, below what was synced: left as it is")
                broker.kill()
                last.write_bytes(whole)
                broker.start()
                checks.equal(len(read_numbers(broker.bootstrap, "cut")), 3000, f"{name}, put right: is served again")
                continue
            broker.start()
            read = read_numbers(broker.bootstrap, "cut")
            good = read == expected[:len(read)] and len(read) >= int(last.stem)
            checks.that(good, f"{name}: a prefix of {len(read)} records is served", f"{read[-3:]}")
            offsets = produce_numbers(broker.bootstrap, "cut", range(len(read), 3000))
            checks.equal(offsets, list(range(len(read), 3000)), "F5: and writing goes on behind it")
        print(f"F5: {cut_synced} of {cuts} cuts were below what was synced")


def end_of_whole_batches(segment):
    """The offset behind the last whole batch of a segment file."""
    content, at, end = segment.read_bytes(), 0, int(segment.stem)
    while at + 61 <= len(content):
        base, length = struct.unpack_from(">qi", content, at)
        if at + 12 + length > len(content):
            break
        end = base + struct.unpack_from(">i", content, at + 23)[0] + 1
        at += 12 + length
    return end


def recovery_point(data, topic):
    """Of partition 0: everything below it was synced to the disk."""
    checkpoint = data / "recovery-point-offset-checkpoint"
    if not checkpoint.exists():
        return 0
    lines = checkpoint.read_text().splitlines()[2:]
    points = {(name, number): int(offset) for name, number, offset in (line.rsplit(None, 2) for line in lines)}
    return points.get((topic, "0"), 0)


def list_offsets_error(broker):
    with wire.Connection(broker.port) as connection:
        answer = connection.call("ListOffsets", 1, replica_id=-1, topics=[
            {"name": "cut", "partitions": [{"partition_index": 0, "timestamp": -1}]}])
        return answer["topics"][0]["partitions"][0]["error_code"]


# F9

def bad_network(kind, rng):
    """Idempotent writers and a reader through a proxy that does everything a network can do."""
    port = brokers.free_port()
    with brokers.make(kind, {"num.partitions": "3"}) as broker, Proxy(broker.port) as proxy:
        broker.stop()
        broker.settings["advertised.listeners"] = f"PLAINTEXT://127.0.0.1:{proxy.port}"
        broker.start()
        through = f"127.0.0.1:{proxy.port}"
        workload.create_topic(through, "network", 3)
        numbers = workload.Numbers()
        quick = {"socket.timeout.ms": 3000, "request.timeout.ms": 2000, "message.timeout.ms": 60000}
        writers = [workload.Writer(through, "network", 3, f"writer-{at}", numbers, {**quick, "linger.ms": at * 5})
                   for at in range(2)]
        for writer in writers:
            writer.start()
        faults = {
            "delay": lambda: proxy.delay(0.05),
            "one byte at a time": lambda: proxy.byte_by_byte(True),
            "reset in mid-frame": lambda: proxy.reset(after=rng.randint(1, 3000)),
            "cut": proxy.cut,
            "stalled towards the broker": lambda: proxy.stall("to_broker"),
            "stalled towards the client": lambda: proxy.stall("to_client"),
            "half-open": lambda: proxy.stall("to_broker", "to_client"),
        }
        rounds = 20 if LONG else 2
        for name, fault in list(faults.items()) * rounds:
            resets = proxy.resets
            for writer in writers:
                writer.allow(60)
            goal = [writer.acknowledged + 5 for writer in writers]
            fault()
            if name == "reset in mid-frame":
                wait_until(lambda: proxy.resets > resets, 60)
            elif name.startswith("stalled") or name == "half-open":
                wait_until(lambda: all(writer.in_flight for writer in writers), 5)
                proxy.cut()
            got_on = all(writer.wait_for_acknowledged(count) for writer, count in zip(writers, goal)) \
                if name in ("delay", "one byte at a time") else True
            proxy.heal()
            got_on = got_on and all(writer.wait_for_acknowledged(count) for writer, count in zip(writers, goal))
            checks.that(got_on, f"F9: writers get on, during or after: {name}", str([one.fatal for one in writers]))
        for writer in writers:
            writer.stop()
        operations = [operation for writer in writers for operation in writer.operations]
        polls = workload.read_everything(broker.bootstrap, "network", 3)
        checks.equal(history.verdict(operations + polls), "valid", f"F9: the history of {len(operations)} records")
        checks.that(workload.offsets_contiguous(polls), "F9: offsets are contiguous, so nothing is there twice")
        proxy.heal()


def idle_connections(kind, _):
    with brokers.make(kind, {"connections.max.idle.ms": "2000"}) as broker:
        with wire.Connection(broker.port, seconds=120) as silent, that_spoke(broker.port) as used:
            checks.that(silent.is_closed_by_peer(), "F9: a connection that never says anything is closed when idle")
            checks.that(used.is_closed_by_peer(), "F9: so is one that has fallen silent")


def that_spoke(port):
    """A connection that said something. One that came to it too late is closed, and another takes its place."""
    for _ in range(100):
        connection = wire.Connection(port, seconds=120)
        try:
            connection.call("ApiVersions", 0)
            return connection
        except ConnectionError:
            connection.close()
    raise RuntimeError("every connection is closed before it could say anything")


def wait_until(condition, seconds):
    """Wait for what the proxy or a writer counts. Whether it came to be so: it may have passed since."""
    tick, over = threading.Event(), time.monotonic() + seconds
    while not condition():
        if time.monotonic() > over:
            return False
        tick.wait(0.02)
    return True


# F10

def jumping_clock(kind, _):
    """The broker lives in a wall clock of its own that jumps a day ahead and two days back."""
    if kind != "milena" or not shutil.which("faketime"):
        checks.that(kind != "milena", "F10: faketime is installed")
        return
    library = next((path for path in ("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
                                      "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1") if os.path.exists(path)), "")
    checks.that(library, "F10: faketime's library is installed")
    clock = f"/tmp/milena-clock-{os.getpid()}"
    write_file(clock, "+0d")
    environment = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": clock, "FAKETIME_NO_CACHE": "1",
                   "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    try:
        with brokers.Milena({"log.retention.hours": "168", "log.retention.check.interval.ms": "200"}, environment) as broker:
            workload.create_topic(broker.bootstrap, "clock", 1)
            produce_numbers(broker.bootstrap, "clock", range(100))
            member = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "clock", "session.timeout.ms": 6000,
                               "heartbeat.interval.ms": 500, "auto.offset.reset": "earliest"})
            revoked = []
            member.subscribe(["clock"], on_revoke=lambda _, partitions: revoked.extend(partitions))
            seen = consume(member, 100)
            written = 100
            for jump in ("+1d", "-1d", "+0d", "+500", "-500") * (10 if LONG else 1):
                write_file(clock, jump)
                offsets = produce_numbers(broker.bootstrap, "clock", range(written, written + 20))
                written += 20
                checks.equal(offsets, list(range(written - 20, written)), f"F10: clock {jump}: writing goes on")
                seen += consume(member, 20)
            write_file(clock, "+0d")
            checks.equal(seen, list(range(written)), "F10: the member reads everything, in order")
            checks.equal(revoked, [], "F10: its session has not expired")
            member.close()
            earliest = [offset for offset, _ in read_numbers(broker.bootstrap, "clock")][:1]
            checks.equal(earliest, [0], "F10: retention has deleted nothing")
    finally:
        os.unlink(clock)


def write_file(path, text):
    with open(path + ".new", "w") as out:
        out.write(text + "\n")
    os.rename(path + ".new", path)


def consume(consumer, count, seconds=120):
    read, over = [], time.monotonic() + seconds
    while len(read) < count and time.monotonic() < over:
        message = consumer.poll(0.2)
        if message is not None and not message.error():
            read.append(int(message.value()))
    return read


# F11

class Member(threading.Thread):
    """A member that joins, commits what it reads, and leaves or vanishes.

    Threads: its own; the ledger is shared under a lock.
    """

    def __init__(self, bootstrap, ledger, number, static):
        super().__init__(daemon=True)
        self.ledger, self.number = ledger, number
        self.ending = threading.Event()
        settings = {"bootstrap.servers": bootstrap, "group.id": "churn", "session.timeout.ms": 6000,
                    "heartbeat.interval.ms": 300, "enable.auto.commit": False, "auto.offset.reset": "earliest",
                    "log_level": 0, "reconnect.backoff.max.ms": 100}
        if static:
            settings["group.instance.id"] = f"static-{number}"
        self.consumer = Consumer(settings)

    def run(self):
        self.consumer.subscribe(["churn"])
        while not self.ending.is_set():
            message = self.consumer.poll(0.1)
            if message is None or message.error():
                continue
            try:
                self.consumer.commit(message, asynchronous=False)
                self.ledger.committed(message.partition(), message.offset() + 1)
            except KafkaException as error:
                if error.args[0].code() not in ALLOWED_FOR_THE_LATE:
                    self.ledger.problem(f"member {self.number}: {error}")
        self.consumer.close()


# What a member may be told that was put out of the group, or whose generation has passed.
ALLOWED_FOR_THE_LATE = {KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.REBALANCE_IN_PROGRESS,
                        KafkaError.FENCED_INSTANCE_ID, KafkaError._STATE, KafkaError._NO_OFFSET,
                        KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE,
                        KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError._TRANSPORT, KafkaError._TIMED_OUT,
                        KafkaError._ASSIGNMENT_LOST, KafkaError.REQUEST_TIMED_OUT, KafkaError._WAIT_COORD}


class Ledger:
    """How far each partition was committed, and what went wrong."""

    def __init__(self):
        self.lock = threading.Lock()
        self.offsets, self.problems = {}, []

    def committed(self, partition, offset):
        with self.lock:
            self.offsets[partition] = max(offset, self.offsets.get(partition, 0))

    def problem(self, text):
        with self.lock:
            self.problems.append(text)


def stable_assignment(port, group):
    """(generation's state, [(member, partitions)]) as the broker describes it."""
    with wire.Connection(port) as connection:
        described = connection.call("DescribeGroups", 4, groups=[group])["groups"][0]
    owned = []
    for member in described["members"]:
        reader = wire.Reader(member["member_assignment"] or b"\x00\x00\x00\x00\x00\x00")
        reader.unpack(">h")
        partitions = []
        for _ in range(reader.unpack(">i")):
            reader.sized(False, ">h")
            partitions += [reader.unpack(">i") for _ in range(reader.unpack(">i"))]
        owned.append((member["member_id"], sorted(partitions)))
    return described["group_state"], owned


def group_churn(kind, rng):
    partitions = 12
    with brokers.make(kind, {"group.min.session.timeout.ms": "1000"}) as broker:
        workload.create_topic(broker.bootstrap, "churn", partitions)
        numbers = workload.Numbers()
        writer = workload.Writer(broker.bootstrap, "churn", partitions, "writer", numbers, {"linger.ms": 5})
        writer.start()
        ledger, members, left, next_number = Ledger(), [], [], 0
        rounds, most = (500, 200) if LONG else (25, 8)
        for round_number in range(rounds):
            writer.allow(60)
            if len(members) < 2 or (len(members) < most and rng.random() < 0.6):
                static = rng.random() < 0.3
                members.append(Member(broker.bootstrap, ledger, next_number, static))
                members[-1].start()
                next_number += 1
            else:
                leaver = members.pop(rng.randrange(len(members)))
                leaver.ending.set()
                left.append(leaver)
                if rng.random() < 0.5:
                    leaver.join(150)
            if round_number == rounds // 2:
                broker.kill()
                broker.start()
            if round_number % 5 == 4:
                settled(broker, members, partitions, f"F11: round {round_number + 1}")
        zombie(broker)
        for member in members:
            member.ending.set()
        for member in (*members, *left):
            member.join(150)
        checks.equal([member.number for member in (*members, *left) if member.is_alive()], [], "F11: every member has ended")
        writer.stop()
        client = AdminClient({"bootstrap.servers": broker.bootstrap})
        found = client.list_consumer_group_offsets([ConsumerGroupTopicPartitions("churn")])["churn"].result(60)
        behind = {one.partition: (one.offset, ledger.offsets[one.partition]) for one in found.topic_partitions
                  if one.partition in ledger.offsets and one.offset < ledger.offsets[one.partition]}
        checks.equal(behind, {}, "F11: no committed offset has gone back")
        checks.equal(ledger.problems, [], "F11: a late commit gets one of the errors meant for it")


def settled(broker, members, partitions, name):
    """The group becomes Stable, with every partition owned once."""
    state = []

    def is_whole():
        try:
            state[:] = stable_assignment(broker.port, "churn")
        except (OSError, ValueError) as error:
            state[:] = [repr(error), []]
        owned = [partition for _, mine in state[1] for partition in mine]
        return state[0] == "Stable" and sorted(owned) == list(range(partitions))
    checks.that(wait_until(is_whole, 120), f"{name}: Stable, each partition owned once, among {len(members)}", str(state))


def zombie(broker):
    with wire.Connection(broker.port) as connection:
        commit = {"group_id": "churn", "topics": [{"name": "churn", "partitions": [
            {"partition_index": 0, "committed_offset": 0, "committed_leader_epoch": -1, "committed_metadata": ""}]}]}
        for name, member in {"an unknown member": {"generation_id_or_member_epoch": 1, "member_id": "nobody"},
                             "no member of a live group": {"generation_id_or_member_epoch": -1, "member_id": ""}}.items():
            answer = connection.call("OffsetCommit", 7, **commit, **member)
            error = answer["topics"][0]["partitions"][0]["error_code"]
            checks.equal(error, 25, f"F11: a commit of {name} is refused")
        _, owned = stable_assignment(broker.port, "churn")
        answer = connection.call("OffsetCommit", 7, **commit, generation_id_or_member_epoch=0, member_id=owned[0][0])
        error = answer["topics"][0]["partitions"][0]["error_code"]
        checks.that(error in (22, 27), "F11: a commit with an old generation is refused", str(error))


def failed_sync(*_):
    stops.failed_sync_of_the_last_directory(checks, produce_numbers, read_numbers, wait_until)
    stops.failed_sync_of_one_directory(checks, produce_numbers, read_numbers, wait_until)
    stops.read_only_directory(checks, produce_numbers, read_numbers, wait_until)


def standstill(_, rng):
    stops.slow_writes(checks, produce_numbers, read_numbers, wait_until)
    stops.standstill(checks, 200 if LONG else 3, rng, wait_until)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", default="milena", choices=brokers.KINDS)
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    for name, body in {"F5": truncation, "F7": failed_sync, "F8": standstill, "F9": bad_network, "F9 idle": idle_connections, "F10": jumping_clock,
                       "F11": group_churn}.items():
        if re.match(arguments.only, name):
            began = time.monotonic()
            checks.run(name, body, arguments.against, random.Random(arguments.seed))
            print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    exit_with(checks)


if __name__ == "__main__":
    main()
