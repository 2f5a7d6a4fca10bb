"""Three of our brokers and a metadata service under random faults; what clients did and saw is checked. F14.

    check.py [--seconds 60] [--seed N]          # a seed repeats the faults, not the scheduling
    check.py --islands                          # on a network of their own instead of behind proxies; as root

For three quarters of the time something is wrong: a broker killed, paused, stopped or cut off from the others, the
metadata or its clients, or the metadata service killed, paused or cut off. In the end all is healed, everything is read, the
checker of history.py finds nothing that Kafka does not allow, and all replicas are the same byte for byte.
"""

import argparse
import contextlib
import pathlib
import random
import shutil
import sys
import tempfile
import threading
import time

from confluent_kafka import Consumer, ConsumerGroupState, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from harness import history, workload
from harness.checks import Checks, exit_with
from harness.cluster import Islander, Member, Metadata, in_sync, same_directories, until_replicated, wait_until
from harness.history import Operation, Poll
from harness.islands import Network

TOPIC, PARTITIONS, GROUP = "numbers", 4, "nemesis"
MEMBERS = (1, 2, 3)
SETTINGS = {
    "auto.create.topics.enable": "false", "default.replication.factor": "3", "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3", "offsets.topic.num.partitions": "3",
    "zookeeper.session.timeout.ms": "2000", "replica.lag.time.max.ms": "2000",
    "controlled.shutdown.retry.backoff.ms": "200", "leader.imbalance.check.interval.seconds": "5",
}
checks = Checks()


class Reader(threading.Thread):
    """Polls for ever, by assignment or by subscription, and keeps what it saw as operations."""

    def __init__(self, bootstrap, process, group=None):
        super().__init__(daemon=True)
        self.process, self.subscribed = process, group is not None
        self.operations, self.trouble, self.stopping = [], [], threading.Event()
        # An assigned reader that is sent elsewhere has lost something: no reset.
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": group or "unused", "enable.auto.commit": self.subscribed,
            "auto.commit.interval.ms": 500, "auto.offset.reset": "earliest" if self.subscribed else "error",
            "session.timeout.ms": 6000, "check.crcs": True, "log_level": 0, "fetch.wait.max.ms": 100,
            "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 200, "isolation.level": "read_committed"})
        if self.subscribed:
            self.consumer.subscribe([TOPIC])
        else:
            self.consumer.assign([TopicPartition(TOPIC, number, 0) for number in range(PARTITIONS)])

    def run(self):
        while not self.stopping.is_set():
            began = time.monotonic()
            # A subscription may move between any two messages.
            messages = self.consumer.consume(1 if self.subscribed else 200, 0.1)
            for message in messages:
                if (error := message.error()) and error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION):
                    self.trouble.append(str(error))
            records = tuple((f"{TOPIC}-{message.partition()}", message.offset(), int(message.value()))
                            for message in messages if not message.error())
            if records:
                self.operations.append(Operation(self.process, (Poll(records, self.subscribed),), "ok", began,
                                                 time.monotonic()))
        self.consumer.close()

    def stop(self):
        self.stopping.set()
        self.join(150)


class Load:
    """Two idempotent producers and a plain one; a reader by assignment and two by subscription."""

    def __init__(self, bootstrap):
        numbers = workload.Numbers()
        quiet = {"linger.ms": 2, "topic.metadata.refresh.interval.ms": 1000, "socket.timeout.ms": 10000}
        plain = {**quiet, "enable.idempotence": False, "max.in.flight": 1}
        self.writers = [workload.Writer(bootstrap, TOPIC, PARTITIONS, name, numbers, settings)
                        for name, settings in (("idempotent-1", quiet), ("idempotent-2", quiet), ("plain", plain))]
        self.writers[-1].idempotent = False
        self.readers = [Reader(bootstrap, "assigned"), Reader(bootstrap, "member-1", GROUP), Reader(bootstrap, "member-2", GROUP)]
        self.over = threading.Event()
        self.feeder = threading.Thread(target=self._feed, daemon=True)

    def _feed(self):
        while not self.over.wait(0.05):
            for writer in self.writers:
                if writer.allowed - writer.sent < 100:      # Nobody piles up what cannot be sent.
                    writer.allow(3)

    def __enter__(self):
        for thread in (*self.writers, *self.readers, self.feeder):
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in (*self.writers, *self.readers):
            thread.stop()

    @property
    def acknowledged(self):
        return sum(writer.acknowledged for writer in self.writers)

    @property
    def operations(self):
        return [operation for each in (*self.writers, *self.readers) for operation in each.operations]


class Nemesis:
    """What goes wrong. Each fault is a context: it begins, holds for a while, and is healed."""

    def __init__(self, cluster, metadata, seed):
        self.cluster, self.metadata, self.random = cluster, metadata, random.Random(seed)
        self.faults = [self.killed, self.killed, self.paused, self.stopped, self.metadata_killed, self.metadata_paused,
                       *self.faults_of_network()]
        self.done = 0

    def faults_of_network(self):
        return [self.cut_from_metadata, self.cut_from_peers, self.cut_from_clients, self.reset]

    def rage(self, seconds):
        began = time.monotonic()
        while (now := time.monotonic() - began) < seconds:
            fault, broker, length = self.random.choice(self.faults), self.random.choice(self.cluster), self.random.uniform(0.2, 6)
            print(f"{now:6.1f} s: broker {broker.number} {fault.__name__} for {length:.1f} s", flush=True)
            with fault(broker):
                time.sleep(length)
            self.done += 1
            time.sleep(self.random.uniform(0, 2))

    @contextlib.contextmanager
    def killed(self, broker):
        broker.kill()
        yield
        broker.start()

    @contextlib.contextmanager
    def stopped(self, broker):
        checks.equal(broker.stop(), 0, f"broker {broker.number} ends cleanly")
        yield
        broker.start()

    @contextlib.contextmanager
    def paused(self, broker):
        broker.pause()
        yield
        broker.resume()

    @contextlib.contextmanager
    def metadata_killed(self, _):
        self.metadata.kill()
        yield
        self.metadata.start()

    @contextlib.contextmanager
    def metadata_paused(self, _):
        self.metadata.pause()
        yield
        self.metadata.resume()

    @contextlib.contextmanager
    def cut(self, link):
        link.stall("to_broker", "to_client")
        yield
        link.cut()      # What was held back is lost with its connection.
        link.heal()

    def cut_from_metadata(self, broker):
        return self.cut(broker.to_metadata)

    def cut_from_peers(self, broker):
        return self.cut(broker.from_peers)

    def cut_from_clients(self, broker):
        return self.cut(broker.from_clients)

    @contextlib.contextmanager
    def reset(self, broker):
        for link in broker.links:
            link.reset(after=self.random.randrange(20000))
        yield
        for link in broker.links:
            link.cut()
            link.heal()


class IslandNemesis(Nemesis):
    """Here nobody sees a connection end when the network does."""

    def faults_of_network(self):
        return [self.alone, self.alone, self.apart, self.one_way, self.without_metadata, self.metadata_alone]

    @contextlib.contextmanager
    def healed(self, *islands):
        yield
        for island in islands:
            island.heal()

    def alone(self, broker):
        broker.island.lift()
        return self.healed(broker.island)

    def apart(self, broker):
        other = self.random.choice([each for each in self.cluster if each is not broker])
        broker.island.away_from(other.island)
        other.island.away_from(broker.island)
        return self.healed(broker.island, other.island)

    def one_way(self, broker):
        broker.island.away_from(self.random.choice([each for each in self.cluster if each is not broker]).island)
        return self.healed(broker.island)

    def without_metadata(self, broker):
        broker.island.away_from(self.metadata.island)
        return self.healed(broker.island)

    def metadata_alone(self, _):
        self.metadata.island.lift()
        return self.healed(self.metadata.island)


def plain_as_plain(operations):
    """The plain producer may have sent again what it had no answer to; the client does not say when."""
    return [Operation(one.process, one.steps, one.outcome, one.start, one.end, idempotent=one.process != "plain",
                      retried=one.process == "plain") for one in operations]


def is_made(client, topic):
    """Sessions are so short that the controller may change before it answers, or miss a broker."""
    try:
        client.create_topics([topic])[topic.topic].result(60)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
    return True


def state_of_group(client):
    return client.describe_consumer_groups([GROUP])[GROUP].result(60).state


def happen(cluster, metadata, options):
    bootstrap = ",".join(broker.bootstrap for broker in cluster)
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    wait_until(lambda: sorted(client.list_topics(timeout=10).brokers) == [*MEMBERS], "the brokers are one cluster")
    # The groups' topic too: made for the first member while a broker is away, it would have fewer replicas.
    for topic in (NewTopic(TOPIC, PARTITIONS, 3), NewTopic("__consumer_offsets", 3, 3, config={"cleanup.policy": "compact"})):
        wait_until(lambda topic=topic: is_made(client, topic), f"{topic.topic} is made")
    in_sync(bootstrap, TOPIC, *MEMBERS)
    nemesis = (IslandNemesis if options.islands else Nemesis)(cluster, metadata, options.seed)
    with Load(bootstrap) as load:
        nemesis.rage(options.seconds)
        healed_at = load.acknowledged
        wait_until(lambda: load.acknowledged > healed_at + 100, "records are acknowledged again")
        for broker in cluster:
            in_sync(broker.bootstrap, TOPIC, *MEMBERS)
    for writer in load.writers:
        checks.that(not writer.fatal, f"{writer.process}: it could go on", writer.fatal)
    for reader in load.readers:
        checks.that(not reader.trouble, f"{reader.process}: no offset that it had read to was gone", reader.trouble[:3])
    operations = plain_as_plain(load.operations)
    for broker in cluster:
        polls = workload.read_everything(broker.bootstrap, TOPIC, PARTITIONS, f"reader-{broker.number}", operations)
        checks.that(workload.offsets_contiguous(polls), f"offsets are contiguous by way of broker {broker.number}")
        operations += polls
    checks.equal(history.verdict(operations), "valid", f"{nemesis.done} faults, {load.acknowledged} records")
    in_sync(bootstrap, "__consumer_offsets", *MEMBERS)
    # Who could not say that it left is put out later, which is written too.
    wait_until(lambda: state_of_group(client) == ConsumerGroupState.EMPTY or state_of_group(client), "nobody is in the group")
    until_replicated(checks, cluster)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--islands", action="store_true")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="milena-test-nemesis-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        network = stack.enter_context(Network()) if options.islands else None
        metadata = Metadata(folder, island=network and network.island())
        metadata.start()
        stack.callback(metadata.kill)
        cluster = [stack.enter_context(Islander(number, metadata, SETTINGS, network.island()) if network else
                                       Member(number, metadata.port, SETTINGS)) for number in MEMBERS]
        checks.run("three brokers under a nemesis", happen, cluster, metadata, options)
        for broker in cluster:
            checks.equal(broker.stop(), 0, f"broker {broker.number} ends cleanly at the end")
        if checks.failed == 0:
            checks.run("the directories", same_directories, checks, cluster, TOPIC)
        if checks.failed:
            print(f"--- the seed was {options.seed}; the last lines of the metadata service\n{metadata.log.read_text()[-2000:]}---")
            for broker in cluster:
                print(f"--- the last lines of broker {broker.number}\n{broker.log_tail(60)}---")
    exit_with(checks)


if __name__ == "__main__":
    sys.exit(main())
