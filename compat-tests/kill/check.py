"""F1: the process is killed at random moments while idempotent producers write, and started again.

And the same while partitions move between log directories (moves.py), and after the
groups' offsets were compacted (compaction.py).

Three producers: one that sends each record alone, one that batches, one that batches and compresses.
A group commits what it read before each kill. After every start: nothing acknowledged is lost,
nothing is there twice, order is kept, offsets are contiguous, the group's offsets are there.
"""

import argparse
import os
import random
import time

from confluent_kafka import Consumer, TopicPartition

import compaction
import moves
from harness import brokers, history, workload
from harness.checks import Checks, exit_with
from harness.cluster import wait_until

PARTITIONS = 4
TOPIC = "killed"


def commit(bootstrap, offsets):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "committed", "enable.auto.commit": False})
    def stored():   # The coordinator may still be loading.
        consumer.commit(offsets=[TopicPartition(TOPIC, partition, offset) for partition, offset in offsets.items()],
                        asynchronous=False)
        return True
    wait_until(stored, "offsets are committed")
    consumer.close()


def committed(bootstrap):
    consumer, found = Consumer({"bootstrap.servers": bootstrap, "group.id": "committed"}), []
    def look():
        found[:] = consumer.committed([TopicPartition(TOPIC, partition) for partition in range(PARTITIONS)], timeout=30)
        return True
    wait_until(look, "offsets are asked for")
    consumer.close()
    return {partition.partition: partition.offset for partition in found}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", default="milena", choices=brokers.KINDS)
    parser.add_argument("--rounds", type=int, default=1000 if os.environ.get("TEST_ALL") else 50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    choice = random.Random(arguments.seed)
    checks = Checks()

    # Small segments, so that kills also meet rolling.
    with brokers.make(arguments.against, {"log.segment.bytes": "65536", "num.partitions": str(PARTITIONS)}) as broker:
        workload.create_topic(broker.bootstrap, TOPIC, PARTITIONS)
        numbers = workload.Numbers()
        settings = ({"batch.num.messages": 1, "linger.ms": 0}, {"linger.ms": 5}, {"linger.ms": 5, "compression.type": "lz4"})
        writers = [workload.Writer(broker.bootstrap, TOPIC, PARTITIONS, f"writer-{at}", numbers, one)
                   for at, one in enumerate(settings)]
        for writer in writers:
            writer.start()
        last_commit, starts, good = {partition: 0 for partition in range(PARTITIONS)}, [], True
        for round_number in range(arguments.rounds):
            good = good and one_round(checks, broker, writers, choice, round_number, last_commit, starts)
            if not good:
                break
        for writer in writers:
            writer.stop()
        whole = [operation for writer in writers for operation in writer.operations]
        polls = workload.read_everything(broker.bootstrap, TOPIC, PARTITIONS)
        checks.equal([str(writer.fatal) for writer in writers if writer.fatal], [], "no producer met a fatal error")
        checks.equal(sum(operation.outcome != "ok" for operation in whole), 0, "every record was acknowledged in the end")
        checks.equal(history.verdict(whole + polls), "valid", f"history of {len(whole)} records over {len(starts)} kills")
        checks.that(workload.offsets_contiguous(polls), "offsets are contiguous")
        print(f"{len(whole)} records, {len(starts)} kills; starts took "
              f"{min(starts, default=0) * 1000:.0f} to {max(starts, default=0) * 1000:.0f} ms")
        if checks.failed:
            print(f"--- the broker's last lines\n{broker.log_tail()}---")
    checks.run("offsets", compaction.run, checks, arguments.against)
    checks.run("moving", moves.run, checks, arguments.against, choice, max(arguments.rounds // 5, 1))
    exit_with(checks)


def one_round(checks, broker, writers, choice, number, last_commit, starts):
    """Write, commit, kill, start, read. Returns whether all held."""
    name = f"round {number + 1}"
    failed_before = checks.failed
    wanted = [writer.acknowledged + choice.randint(1, 150) for writer in writers]
    for writer, count in zip(writers, wanted):
        writer.allow(200)
        if not writer.wait_for_acknowledged(count):
            checks.that(False, f"{name}: the producers get on", f"{writer.acknowledged} of {count}, {writer.fatal}")
            return False
    if number % 5 == 4:
        for partition in last_commit:
            last_commit[partition] += 1
        commit(broker.bootstrap, last_commit)
    broker.kill()
    known = [operation for writer in writers for operation in list(writer.operations)]
    began = time.monotonic()
    broker.start()
    starts.append(time.monotonic() - began)
    polls = workload.read_everything(broker.bootstrap, TOPIC, PARTITIONS)
    verdict = history.verdict(known + polls)
    checks.that(verdict == "valid" and workload.offsets_contiguous(polls),
                f"{name}: {sum(len(poll.records) for one in polls for poll in one.polls())} records are as acknowledged",
                verdict)
    if number % 5 == 4:
        checks.equal(committed(broker.bootstrap), last_commit, f"{name}: the group's offsets are there")
    return checks.failed == failed_before


if __name__ == "__main__":
    main()
