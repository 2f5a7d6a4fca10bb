"""bench cluster: three of our brokers and our metadata service, beside three of Apache Kafka 3.9.1 and ZooKeeper.

    scripts/bench cluster [ROW...] [--seconds 5] [--no-rival] [--with-zookeeper]

--with-zookeeper: also our brokers on an Apache ZooKeeper, to see its share. The servers run on the first processor,
the load on the last; all data are on the same disk. Each row is a cluster of its own. Rows:

    produce   acks=all, 64 x 1 KiB a request, three topics of four partitions with three replicas, one led by each
              broker: MB a second, and CPU-seconds per GB over all brokers, followers included
    latency   acks=all, 1 x 1 KiB, 200 requests a second to one broker's partitions, open loop
    create    one topic of 1,000 partitions with three replicas: until a broker tells all their leaders
    failover  1,000 partitions, kill -9 of the leader of the first: from the end of its session to the next
              acknowledged write
    office    20,000 partitions, kill -9 of the controller: from the end of its session until a broker tells who is
              the next
    catch-up  a follower is away while 2 GB are written: MB a second until it is in every ISR; and then the same files
              copied with cp, on the processor of the servers

Sessions are of 6 s. When one has ended is asked of the metadata service every 2 ms (the four-letter word dump). Other
work on the machine makes every figure here worthless: the load average at the start is printed.
"""

import argparse
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "compat-tests"))
from harness import brokers, kafka, wire  # noqa: E402

TOOLS = ROOT / "build/bench-tools"
CPUS = sorted(os.sched_getaffinity(0))
PIN = ["taskset", "-c", str(CPUS[0])]
IDS = (1, 2, 3)
WAIT = 180
SETTINGS = {
    "auto.create.topics.enable": "false", "default.replication.factor": "3", "min.insync.replicas": "2",
    "zookeeper.session.timeout.ms": "6000", "auto.leader.rebalance.enable": "false",
}


def until(holds, what):
    """What it says as soon as it says something; asked every 2 ms."""
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if found := holds():
                return found
        time.sleep(0.002)
    raise RuntimeError(f"{what}: not within {WAIT} s")


class Tree:
    """A metadata service: ours or Apache ZooKeeper."""

    def __init__(self, ours):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="milena-bench-", dir=os.environ.get("MILENA_BENCH_DIR")))
        self.port = brokers.free_port()
        (self.folder / "zoo.cfg").write_text(
            f"dataDir={self.folder / 'data'}\nclientPort={self.port}\ntickTime=1000\nmaxClientCnxns=0\n"
            "admin.enableServer=false\n4lw.commands.whitelist=*\n")
        words = [brokers.binary(), "metadata"] if ours else [
            "java", "-Xmx1g", "-cp", f"{kafka.home('3.9.1')}/libs/*", "org.apache.zookeeper.server.quorum.QuorumPeerMain"]
        self.process = brokers.Process([*PIN, *words, str(self.folder / "zoo.cfg")], self.folder / "log")
        try:
            until(lambda: self.ask(b"srvr").startswith("Zookeeper"), "the metadata service serves")
        except RuntimeError as why:
            raise RuntimeError(f"{why}:\n{''.join(self.process.lines[-20:])}") from None

    def ask(self, word):
        # Apache ZooKeeper never answers who asks in a certain moment of its start; who asks again is answered.
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            connection.sendall(word)
            with connection.makefile("rb") as answer:
                return answer.read().decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.end(9, WAIT)
        shutil.rmtree(self.folder, ignore_errors=True)


class Ours(brokers.Milena):
    def __init__(self, number, tree):
        super().__init__({**SETTINGS, "broker.id": str(number), "zookeeper.connect": f"127.0.0.1:{tree.port}"}, prefix=PIN)


class Theirs(brokers.ApacheKafka39):
    """With the flags of Apache Kafka's own start script; on a ZooKeeper that is somebody else's."""

    def __init__(self, number, tree):
        super().__init__({**SETTINGS, "broker.id": str(number)})
        self.zookeeper_port = tree.port
        self.settings["zookeeper.connect"] = f"127.0.0.1:{tree.port}"

    def prepare(self):
        pass

    def java(self, heap, *words):
        made = super().java(heap, *words)
        stock = ["-Xmx1g", "-Xms1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
                 "-XX:+ExplicitGCInvokesConcurrent"]
        return [*PIN, "java", *stock, *made[made.index("-cp"):]]

    def __exit__(self, *arguments):
        brokers.Broker.__exit__(self, *arguments)


class Cluster:
    def __init__(self, kind, tree):
        self.tree, self.members = tree, [kind(number, tree) for number in IDS]

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            for broker in self.members:
                stack.enter_context(broker)
            until(lambda: len(self.metadata(self.members[-1])["brokers"]) == len(IDS), "the brokers are one cluster")
            self.ending = stack.pop_all()
        return self

    def __exit__(self, *arguments):
        for broker in self.members:     # Nobody waits for a leader elsewhere.
            if broker.alive():
                broker.kill()
        self.ending.__exit__(*arguments)

    def metadata(self, broker, *topics):
        with wire.Connection(broker.port, seconds=WAIT) as connection:
            return connection.call("Metadata", 4, topics=[{"name": name} for name in topics], allow_auto_topic_creation=False)

    def controller(self, asked):
        return self.metadata(asked)["controller_id"]

    def partitions(self, broker, topic):
        return self.metadata(broker, topic)["topics"][0]["partitions"]

    def create(self, topic, assignments):
        """Make it, and wait until every broker tells all its leaders."""
        def asked():
            with wire.Connection(self.members[self.controller(self.members[0]) - 1].port, seconds=WAIT) as connection:
                return connection.call("CreateTopics", 2, timeout_ms=60000, topics=[{
                    "name": topic, "num_partitions": -1, "replication_factor": -1,
                    "assignments": [{"partition_index": at, "broker_ids": list(ids)} for at, ids in enumerate(assignments)]}])
        answer = asked()["topics"][0]
        if answer["error_code"] != 0:
            raise RuntimeError(f"{topic}: error {answer['error_code']}: {answer['error_message']}")
        for broker in self.members:
            self.wait_for_leaders(broker, topic, len(assignments))

    def wait_for_leaders(self, broker, topic, count):
        def all_led():
            seen = self.partitions(broker, topic)
            return len(seen) == count and all(each["leader_id"] >= 0 for each in seen)
        until(all_led, f"{topic} has leaders")

    def wait_for_isr(self, broker, topic):
        until(lambda: all(len(each["isr_nodes"]) == len(IDS) for each in self.partitions(broker, topic)), f"{topic} is in sync")

    def wait_for_expiry(self, number):
        until(lambda: f"/brokers/ids/{number}" not in self.tree.ask(b"dump"), f"the session of {number} ends")

    def cpu_seconds(self):
        ticks = 0
        for broker in self.members:
            fields = pathlib.Path(f"/proc/{broker.pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def by_number(self, number):
        return self.members[number - 1]


def turned(count, first=0):
    """Assignments whose leaders take turns, from the first-th broker on."""
    return [[IDS[(first + at + step) % len(IDS)] for step in range(len(IDS))] for at in range(count)]


def led_by(number, count):
    return [[number, *(other for other in IDS if other != number)]] * count


def blast(broker, topic, *words):
    return subprocess.Popen(["taskset", "-c", str(CPUS[-1]), TOOLS / "blast", "--broker", broker.bootstrap, "--topic", topic,
                             "--partitions", "4", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def figures(process):
    out, err = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"blast: {err.strip() or out.strip()}")
    found = dict(word.split("=", 1) for word in out.split() if "=" in word)
    if found.get("errors", "0") != "0":
        raise RuntimeError(f"blast: {out.strip()}")
    return {key: float(value) for key, value in found.items() if value.replace(".", "", 1).isdigit()}


def warmed_up(rate, options):
    """Load until a further time makes it no faster; a JVM takes a minute. The last rate."""
    best, last = 0, rate(options.warm_up)
    while last > 1.1 * best:
        best, last = last, rate(options.warm_up)
    return last


def load(cluster, numbers, seconds):
    """MB a second of full batches to what each of these brokers leads."""
    running = [blast(cluster.by_number(number), f"bench-{number}", "--records", 64, "--connections", 2, "--seconds", seconds)
               for number in numbers]
    return sum(figures(each)["MB_s"] for each in running)


def produce(cluster, options):
    for number in IDS:
        cluster.create(f"bench-{number}", led_by(number, 4))
    warmed_up(lambda seconds: load(cluster, IDS, seconds), options)
    before = cluster.cpu_seconds()
    rate = load(cluster, IDS, options.seconds)
    for number in IDS:
        cluster.wait_for_isr(cluster.members[0], f"bench-{number}")
    used = cluster.cpu_seconds() - before
    return {"MB_s": rate, "cpu_s_per_GB": used / (rate * options.seconds / 1000)}


def latency(cluster, options):
    cluster.create("bench-1", led_by(1, 4))
    single = ["--records", 1, "--connections", 4]
    warmed_up(lambda seconds: figures(blast(cluster.by_number(1), "bench-1", *single, "--seconds", seconds))["req_s"], options)
    found = figures(blast(cluster.by_number(1), "bench-1", *single, "--rate", 200, "--seconds", options.seconds))
    return {key: found[key] for key in ("p50_us", "p99_us", "p99.9_us")}


def create(cluster, _):
    begun = time.monotonic()
    cluster.create("bench", turned(1000))
    return {"ms": 1000 * (time.monotonic() - begun)}


def acknowledged(port, topic):
    """Whether a record is acknowledged by all that must have it."""
    with wire.Connection(port, seconds=WAIT) as connection:
        answer = connection.call("Produce", 5, **wire.produce(topic, wire.batch(), version=5))
        return answer["responses"][0]["partition_responses"][0]["error_code"] == 0


def failover(cluster, options):
    away = next(number for number in IDS if number != cluster.controller(cluster.members[0]))
    rest = [number for number in IDS if number != away]
    cluster.create("bench", [[away, *rest]] * 1000)
    cluster.wait_for_isr(cluster.by_number(rest[0]), "bench")
    until(lambda: acknowledged(cluster.by_number(away).port, "bench"), "a record is acknowledged")
    cluster.by_number(away).kill()
    cluster.wait_for_expiry(away)
    begun = time.monotonic()
    until(lambda: acknowledged(cluster.by_number(rest[0]).port, "bench"), "a record is acknowledged again")
    first = time.monotonic()
    cluster.wait_for_leaders(cluster.by_number(rest[0]), "bench", 1000)
    return {"ms": 1000 * (first - begun), "all_led_ms": 1000 * (time.monotonic() - begun)}


def office(cluster, _):
    for number in range(20):
        cluster.create(f"bench-{number}", turned(1000, number))
    holder = cluster.controller(cluster.members[0])
    asked = cluster.by_number(next(number for number in IDS if number != holder))
    cluster.by_number(holder).kill()
    cluster.wait_for_expiry(holder)
    begun = time.monotonic()
    until(lambda: cluster.controller(asked) not in (-1, holder), "there is another controller")
    known = time.monotonic()
    for number in range(20):
        until(lambda number=number: all(each["leader_id"] not in (-1, holder) for each in
                                        cluster.partitions(asked, f"bench-{number}")), "everything is led by others")
    return {"ms": 1000 * (known - begun), "all_led_ms": 1000 * (time.monotonic() - begun)}


def catch_up(cluster, options):
    cluster.create("bench-1", led_by(1, 4))
    away = cluster.by_number(next(number for number in (2, 3) if number != cluster.controller(cluster.members[0])))
    warmed_up(lambda seconds: load(cluster, [1], seconds), options)
    cluster.wait_for_isr(cluster.members[0], "bench-1")
    away.stop()
    written = 0
    while written < 2000:
        written += 2 * load(cluster, [1], 2)
    away.start()
    begun = time.monotonic()
    cluster.wait_for_isr(cluster.members[0], "bench-1")
    figures = {"MB_s": written / (time.monotonic() - begun), "MB": written}
    return figures | {"cp_MB_s": copied(away.data)}


def copied(directory):
    """MB a second of cp: what the page cache and the disk give to one that only copies."""
    begun = time.monotonic()
    subprocess.run([*PIN, "cp", "-r", directory, f"{directory}.copy"], check=True)
    took = time.monotonic() - begun
    files = [path for path in pathlib.Path(f"{directory}.copy").rglob("*") if path.is_file()]
    size = sum(path.stat().st_blocks * 512 for path in files)
    shutil.rmtree(f"{directory}.copy")
    return size / took / 1e6


ROWS = {"produce": produce, "latency": latency, "create": create, "failover": failover, "office": office, "catch-up": catch_up}


def main(words):
    parser = argparse.ArgumentParser(prog="bench cluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", default=[], help=", ".join(ROWS))
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--no-rival", action="store_true")
    parser.add_argument("--with-zookeeper", action="store_true")
    options = parser.parse_args(words)
    systems = [("milena", Ours, True)]
    if options.with_zookeeper:
        systems.append(("milena+zk", Ours, False))
    if not options.no_rival:
        systems.append(("kafka", Theirs, False))
    print(f"load average {os.getloadavg()[0]:.2f}")
    for row in options.rows or ROWS:
        for name, kind, ours in systems:
            os.sync()       # what the one before has left to write would be this one's delay
            options.warm_up = 20 if kind is Theirs else 2
            with Tree(ours) as tree, Cluster(kind, tree) as cluster:
                found = ROWS[row](cluster, options)
            print(f"{row:10} {name:10}", *(f"{key}={value:.4g}" for key, value in found.items()), flush=True)
