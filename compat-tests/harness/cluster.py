"""Cluster: what is asked of several brokers that are one cluster, and waited for.

Threads: the test's.
"""

import contextlib
import re
import signal
import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from . import brokers, kafka
from .proxy import Proxy


def wait_until(holds, what, seconds=120):
    """Ask until it holds. RuntimeError with what was seen last."""
    deadline, seen = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        with contextlib.suppress(KafkaException):
            seen = holds()
            if seen is True:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{what}: not within {seconds} s; seen last: {seen}")


def partitions(bootstrap, topic):
    """partition -> (leader, sorted ISR), as the broker says."""
    found = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(topic, timeout=30)
    return {number: (each.leader, sorted(each.isrs)) for number, each in found.topics[topic].partitions.items()}


def in_sync(bootstrap, topic, *members, count=None):
    """There are partitions, as many as said, and every one's ISR has these members, and no others."""
    def look():
        seen = partitions(bootstrap, topic)
        are_there = len(seen) == count if count is not None else len(seen) > 0
        return are_there and all(isr == sorted(members) for _, isr in seen.values()) or seen
    wait_until(look, f"the ISR of {topic} is {members}")


def led_by(bootstrap, topic, leaders):
    """Each partition has this leader."""
    def look():
        seen = {number: leader for number, (leader, _) in partitions(bootstrap, topic).items()}
        return seen == leaders or seen
    wait_until(look, f"the leaders of {topic} are {leaders}")


def agreed_controller(cluster):
    """The number of the broker that all of them say is controller, once they do."""
    seen = []
    def look():
        seen[:] = [AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0}).list_topics(timeout=10).controller_id
                   for broker in cluster]
        return len({*seen}) == 1 and str(seen[0]) in {broker.settings["broker.id"] for broker in cluster} or seen
    wait_until(look, "all say the same broker is controller")
    return seen[0]


def elect(bootstrap):
    """kafka-leader-election for the preferred leaders of everything, once all are in sync: whether it could, and what it said."""
    def look():
        topics = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=10).topics
        missing = [(name, number) for name, topic in topics.items() for number, each in topic.partitions.items()
                   if not each.replicas or each.replicas[0] not in each.isrs]
        return len(topics) > 0 and not missing or missing
    wait_until(look, "all preferred leaders are in sync")
    code, out, err = kafka.run_tool("3.9.1", "kafka-leader-election", "--bootstrap-server", bootstrap,
                                    "--election-type", "preferred", "--all-topic-partitions")
    return code == 0, out + err


def names_of_logs(cluster):
    return {path.name for broker in cluster for folder in broker.directories for path in folder.iterdir()
            if re.fullmatch(r"\S+-\d+", path.name)}


def until_replicated(checks, cluster):
    """All brokers have logs of the same lengths, so that who stops now, stops with all of it. Nobody may be writing."""
    def look():
        lengths = {}
        for name in names_of_logs(cluster):
            lengths[name] = []
            for broker in cluster:
                lengths[name].append(0)
                for file in (file for folder in broker.directories for file in (folder / name).glob("*.log")):
                    with contextlib.suppress(FileNotFoundError):    # Deleted since.
                        lengths[name][-1] += file.stat().st_size
        behind = {name: each for name, each in lengths.items() if len({*each}) > 1}
        return not behind or behind
    wait_until(look, "every replica has what the others have")
    checks.that(True, "every replica has what the others have")


def same_directories(checks, cluster, topic):
    """All brokers have the same logs, byte for byte: offsets, epochs, records; `topic` has some."""
    names = names_of_logs(cluster)
    for name in sorted(names):
        logs = [b"".join(file.read_bytes() for folder in broker.directories for file in sorted((folder / name).glob("*.log")))
                for broker in cluster]
        checks.that(len(logs[0]) > 0 or not name.startswith(f"{topic}-"), f"{name} has records")
        checks.equal([len(log) for log in logs], [len(logs[0])] * len(logs), f"{name}: as long at every broker")
        checks.that(all(log == logs[0] for log in logs), f"{name}: the same bytes at every broker")


def stop_the_same(checks, cluster, topic):
    """They stop, the last first, and have the same logs."""
    if checks.failed == 0:
        checks.run("the replicas", until_replicated, checks, cluster)
    for broker in reversed(cluster):
        broker.stop()
    if checks.failed == 0:
        checks.run("the directories", same_directories, checks, cluster, topic)


def readable_directory(checks, broker, topic):
    """Apache Kafka's own kafka-dump-log finds nothing wrong with the topic's logs."""
    files = [str(file) for file in sorted(broker.data.glob(f"{topic}-*/*.log"))]
    code, out, err = kafka.run_tool("3.9.1", "kafka-dump-log", "--deep-iteration", "--files", ",".join(files))
    checks.that(code == 0 and "isvalid: false" not in out and "Exception" not in out + err,
                f"kafka-dump-log reads the replicas of {topic}", err[-300:])


class Metadata:
    """Our metadata service alone; on an island, when there is one."""

    def __init__(self, folder, tick_ms=500, island=None):
        self.folder, self.port, self.log = folder, brokers.free_port(), folder / "metadata.log"
        self.file, self.island = folder / "zoo.cfg", island
        self.prefix, self.address = (island.prefix, island.address) if island else ((), "127.0.0.1")
        self.file.write_text(f"dataDir={folder}/metadata\nclientPort={self.port}\nclientPortAddress={self.address}\n"
                             f"tickTime={tick_ms}\nadmin.enableServer=false\nmaxClientCnxns=0\n")
        self.process = None

    def start(self):
        self.process = brokers.Process([*self.prefix, brokers.binary(), "metadata", str(self.file)], self.log)
        self.process.wait_for(brokers.METADATA_SERVING, brokers.START_SECONDS)

    def kill(self):
        self.process.end(signal.SIGKILL, 10)

    def stop(self):
        return self.process.end(signal.SIGTERM, 120)

    def pause(self):
        self.process.child.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.child.send_signal(signal.SIGCONT)


class Member(brokers.Milena):
    """One of ours in a cluster, whose links are proxies: to the metadata, from clients, from the other brokers."""

    def __init__(self, number, metadata_port, settings):
        super().__init__()
        self.number, self.zookeeper, self.proxies = number, None, contextlib.ExitStack()
        peers = brokers.free_port()
        self.to_metadata, self.from_clients, self.from_peers = Proxy(metadata_port), Proxy(self.port), Proxy(peers)
        self.settings = {
            **self.settings, **settings, "broker.id": str(number),
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},PEERS://127.0.0.1:{peers}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.from_clients.port},PEERS://127.0.0.1:{self.from_peers.port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PEERS:PLAINTEXT",
            "inter.broker.listener.name": "PEERS",
            "zookeeper.connect": f"127.0.0.1:{self.to_metadata.port}"}

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.from_clients.port}"

    @property
    def links(self):
        return self.to_metadata, self.from_clients, self.from_peers

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            for link in self.links:
                stack.enter_context(link)
            super().__enter__()
            self.proxies = stack.pop_all()
        return self

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        self.proxies.close()


class Islander(brokers.Milena):
    """One of ours in a cluster, on an island of its own."""

    def __init__(self, number, metadata, settings, island):
        super().__init__(prefix=island.prefix)
        self.number, self.zookeeper, self.island = number, None, island
        self.settings = {**self.settings, **settings, "broker.id": str(number),
                         "listeners": f"PLAINTEXT://{island.address}:{self.port}",
                         "zookeeper.connect": f"{metadata.address}:{metadata.port}"}

    @property
    def bootstrap(self):
        return f"{self.island.address}:{self.port}"
