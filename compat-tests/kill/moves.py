"""F1, moving: the process is killed while its partitions move between two log directories and are written to.

Every round asks for moves to random directories, every other time so slow ones that they are cut short, and kills at a
random moment.
After every start: nothing acknowledged is lost, doubled or out of order. In the end the moves come to their ends.
"""

import time

from harness import brokers, history, wire, workload

PARTITIONS = 4
TOPIC = "moved"


def ask(broker, directories, choice):
    """Ask for a move of each partition to some directory. Returns the error codes."""
    wanted = {}
    for partition in range(PARTITIONS):
        wanted.setdefault(choice.choice(directories), []).append(partition)
    with wire.Connection(broker.port) as connection:
        answer = connection.call("AlterReplicaLogDirs", 2, dirs=[
            {"path": path, "topics": [{"name": TOPIC, "partitions": partitions}]} for path, partitions in wanted.items()])
    return {one["error_code"] for topic in answer["results"] for one in topic["partitions"]}


def standing(broker):
    """Partitions by directory, and how many copies are being made."""
    with wire.Connection(broker.port) as connection:
        answer = connection.call("DescribeLogDirs", 4, topics=None)
    places, copies = {}, 0
    for result in answer["results"]:
        for topic in result["topics"]:
            for one in topic["partitions"] if topic["name"] == TOPIC else ():
                if one["is_future_key"]:
                    copies += 1
                else:
                    places.setdefault(one["partition_index"], []).append(result["log_dir"])
    return places, copies


def run(checks, kind, choice, rounds):
    broker = brokers.make(kind, {"log.segment.bytes": "65536", "num.partitions": str(PARTITIONS)})
    directories = [str(broker.data), str(broker.folder / "more")]
    broker.settings["log.dirs"] = ",".join(directories)
    throttle = "replica.alter.log.dirs.io.max.bytes.per.second"
    broker.settings[throttle] = "1000"
    with broker:
        workload.create_topic(broker.bootstrap, TOPIC, PARTITIONS)
        numbers = workload.Numbers()
        writers = [workload.Writer(broker.bootstrap, TOPIC, PARTITIONS, f"mover-{at}", numbers, one)
                   for at, one in enumerate(({"linger.ms": 0}, {"linger.ms": 5, "compression.type": "lz4"}))]
        for writer in writers:
            writer.start()
        cut_short = 0
        for number in range(rounds):
            cut_short += one_round(checks, broker, writers, directories, choice, f"moving, round {number + 1}")
            # So slow that the kill cuts it short, or as fast as may be; from the next start on.
            broker.settings[throttle] = str((1_000, 2**63 - 1)[number % 2])
        broker.settings.pop(throttle)
        for writer in writers:
            writer.stop()
        broker.kill()
        broker.start()
        deadline = time.monotonic() + 120
        while standing(broker)[1] and time.monotonic() < deadline:
            time.sleep(0.01)
        places, copies = standing(broker)
        checks.equal(copies, 0, "moving: every move comes to its end")
        checks.equal(sorted(places), list(range(PARTITIONS)), "moving: every partition is there")
        checks.that(all(len(one) == 1 for one in places.values()), "moving: each in one directory", str(places))
        whole = [operation for writer in writers for operation in writer.operations]
        polls = workload.read_everything(broker.bootstrap, TOPIC, PARTITIONS)
        checks.equal(history.verdict(whole + polls), "valid", f"moving: history of {len(whole)} records")
        checks.that(workload.offsets_contiguous(polls), "moving: offsets are contiguous")
        print(f"moving: {rounds} kills, {cut_short} with copies on their way")
        if checks.failed:
            print(f"--- the broker's last lines\n{broker.log_tail()}---")


def one_round(checks, broker, writers, directories, choice, name):
    """Move, write, kill, start, read. Returns whether the kill met copies on their way."""
    before = [writer.acknowledged for writer in writers]
    checks.equal(ask(broker, directories, choice), {0}, f"{name}: the moves begin")
    for writer, count in zip(writers, before):
        writer.allow(300)
        if not writer.wait_for_acknowledged(count + choice.randint(1, 250)):
            checks.that(False, f"{name}: the producers get on", f"{writer.acknowledged}, {writer.fatal}")
    copies = standing(broker)[1]
    broker.kill()
    known = [operation for writer in writers for operation in list(writer.operations)]
    broker.start()
    polls = workload.read_everything(broker.bootstrap, TOPIC, PARTITIONS)
    verdict = history.verdict(known + polls)
    checks.that(verdict == "valid" and workload.offsets_contiguous(polls), f"{name}: all is as acknowledged", verdict)
    return copies > 0
