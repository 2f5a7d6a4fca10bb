"""Brokers: start, kill, pause, restart and stop the broker under test.

    with brokers.make(sys.argv) as broker:      # ours, or what --against names
        client(broker.bootstrap)
        broker.kill()                           # SIGKILL
        broker.start()                          # same port, same data

Each broker has a folder of its own under the system's folder for temporary files, which is
removed at the end unless MILENA_KEEP is set. Its output is in the file `log` there.

Threads: one reads the broker's output; everything else is called from the test's thread.
"""

import contextlib
import ctypes
import fcntl
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from . import kafka, wire

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SERVING = re.compile(r"\bserving PLAINTEXT://\S+")
METADATA_SERVING = re.compile(r"^serving ")
# The last that Apache ZooKeeper does at its start. It listens before; who connects then may never be answered nor closed.
ZOOKEEPER_SERVING = re.compile("Using checkIntervalMs")
START_SECONDS = 120     # In which a process serves, also on a machine that has much else to do.

# What clients' tests expect of a broker. Kafka's own defaults are made for three machines.
SETTINGS = {
    "broker.id": "0",
    "auto.create.topics.enable": "true",
    "num.partitions": "4",
    "default.replication.factor": "1",
    "delete.topic.enable": "true",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "100",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
}


def binary():
    """The program under test: build/milena, or what MILENA_BINARY names."""
    return os.environ.get("MILENA_BINARY", str(ROOT / "build/milena"))


class Ports:
    """Ports that are given out once. Whoever has one keeps it until its process ends, also while nobody listens there: a byte of
    a file is locked for each.

    Threads: any.
    """

    def __init__(self):
        self.file = open(pathlib.Path(tempfile.gettempdir(), f"milena-test-ports-{os.getuid()}"), "a+b")
        self.mine, self.lock = set(), threading.Lock()

    def take(self, port):
        """Whether it was free."""
        with self.lock, contextlib.suppress(BlockingIOError), socket.socket() as probe:
            if port in self.mine:
                return False
            fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            self.mine.add(port)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return True
        return False


_ports = Ports()


def free_ports(count):
    """The first of so many TCP ports in a row that are nobody's, below the range from which clients get theirs."""
    while not all(map(_ports.take, range(first := random.randint(15000, 31000), first + count))):
        pass
    return first


def free_port():
    return free_ports(1)


def end_with_parent():
    """In a child: be killed when the test is, however it ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Process:
    """A child process whose output goes to a file and is watched for lines."""

    def __init__(self, words, log, environment=None):
        self.seen = {}
        self.changed = threading.Condition()
        self.ended = False
        self.log = log
        self.child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True, errors="replace",
                                      env={**os.environ, **(environment or {})}, preexec_fn=end_with_parent)
        self.lines = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        with open(self.log, "a") as log:
            for line in self.child.stdout:
                log.write(line)
                log.flush()
                with self.changed:
                    self.lines.append(line)
                    self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait_for(self, pattern, seconds):
        """The first line that matches. RuntimeError when the process ends or the time is over."""
        def match():
            return next((line for line in self.lines if pattern.search(line)), None)
        with self.changed:
            self.changed.wait_for(lambda: match() or self.ended, seconds)
            line = match()
        if line is None:
            why = "ended" if self.ended else f"did not say {pattern.pattern!r} within {seconds} s"
            raise RuntimeError(f"{self.child.args[0]} {why}; its last lines:\n{''.join(self.lines[-30:])}")
        return line

    def end(self, signal_number, seconds):
        """Send a signal and wait for the end. Returns the exit code; after `seconds`, SIGKILL."""
        self.child.send_signal(signal_number)
        try:
            return self.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.wait()
            return None

    def wait(self, seconds=None):
        """Wait for the end, until all that it said is in `lines` and in the log. Returns the exit code."""
        code = self.child.wait(seconds)
        self.reader.join()
        return code


def java(home, heap, *words):
    """The words that run a class of a Kafka release."""
    return ["java", f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{home}/libs/*",
            f"-Dlog4j.configuration=file:{pathlib.Path(__file__).parent}/log4j.properties", *map(str, words)]


class Zookeeper:
    """An Apache ZooKeeper of one server: the one that comes with a Kafka release."""

    def __init__(self, folder, release="3.9.1", log=None):
        self.folder = folder
        self.home = kafka.home(release)
        self.port = free_port()
        self.log = log or folder / "zookeeper.log"
        self.process = None

    def start(self):
        """Start, or start again on the same port with the same data; nothing if it runs."""
        if self.process is not None and self.process.child.poll() is None:
            return
        properties = self.folder / "zookeeper.properties"
        properties.write_text(f"dataDir={self.folder}/zookeeper\nclientPort={self.port}\nclientPortAddress=127.0.0.1\n"
                              "admin.enableServer=false\nmaxClientCnxns=0\n4lw.commands.whitelist=*\n"
                              "extendedTypesEnabled=true\ntickTime=1000\n")
        self.process = Process(java(self.home, "128m", "org.apache.zookeeper.server.quorum.QuorumPeerMain", properties),
                               self.log)
        self.process.wait_for(ZOOKEEPER_SERVING, START_SECONDS)

    def kill(self):
        self.process.end(signal.SIGKILL, 10)

    def stop(self):
        if self.process is not None:
            self.process.end(signal.SIGTERM, 10)


class Broker:
    """What every broker under test can do. Subclasses say how it is started."""

    name = ""

    def __init__(self, settings=None, environment=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"milena-test-{self.name}-"))
        self.log = self.folder / "log"
        self.port = free_port()
        self.settings = {**SETTINGS, **(settings or {})}
        self.environment = environment or {}
        self.process = None

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    @property
    def metadata(self):
        """Where ZooKeeper's clients find the broker's nodes; None where they cannot."""
        return None

    @property
    def data(self):
        """The log directory."""
        return self.folder / "data"

    @property
    def directories(self):
        """All log directories, if it has several."""
        return [pathlib.Path(each) for each in str(self.settings.get("log.dirs", self.data)).split(",")]

    @property
    def pid(self):
        return self.process.child.pid

    def alive(self):
        return self.process is not None and self.process.child.poll() is None

    def start(self):
        """Start, and return when it serves. Keeps port and data of the last start."""
        raise NotImplementedError

    def kill(self):
        """SIGKILL, as a power switch for one process."""
        self.process.end(signal.SIGKILL, 10)

    def stop(self, seconds=120):
        """SIGTERM. Returns the exit code, or None when it had to be killed."""
        return self.process.end(signal.SIGTERM, seconds) if self.alive() else self.process.wait()

    def pause(self):
        self.process.child.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.child.send_signal(signal.SIGCONT)

    def rss_bytes(self):
        """Resident memory now."""
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) * 1024

    def descriptors(self):
        """How many are open: sockets and all else, and files of the log directory, which a broker may keep open."""
        files = others = 0
        for entry in os.scandir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):    # Closed since.
                if os.readlink(entry).startswith(str(self.data)):
                    files += 1
                else:
                    others += 1
        return others, files

    def log_tail(self, lines=40):
        return "".join(self.log.read_text(errors="replace").splitlines(True)[-lines:]) if self.log.exists() else ""

    def write_properties(self, name, values):
        file = self.folder / name
        file.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
        return file

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        if self.alive():
            self.resume()
            self.stop()
        if not os.environ.get("MILENA_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)


class Milena(Broker):
    """build/milena, or the binary that MILENA_BINARY names."""

    name = "milena"

    def __init__(self, settings=None, environment=None, prefix=()):
        super().__init__(settings, environment)
        self.binary = binary()
        self.prefix = tuple(prefix)     # words before the command, such as faketime and its argument
        # With MILENA_TEST_ZOOKEEPER every suite runs with its metadata in an Apache ZooKeeper.
        self.zookeeper = Zookeeper(self.folder) if os.environ.get("MILENA_TEST_ZOOKEEPER") else None

    @property
    def metadata(self):
        if self.zookeeper is not None:
            return f"127.0.0.1:{self.zookeeper.port}/under/test"
        port = self.settings.get("milena.metadata.port")
        return f"127.0.0.1:{port}" if port else None

    def start(self):
        self.data.mkdir(exist_ok=True)
        where = {"milena.metadata.port": "-1"}
        if self.zookeeper is not None:
            self.zookeeper.start()
            where["zookeeper.connect"] = f"127.0.0.1:{self.zookeeper.port}/under/test"
        properties = self.write_properties("server.properties", {
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port}", "log.dirs": self.data, **where, **self.settings})
        self.process = Process([*self.prefix, self.binary, "server", str(properties)], self.log, self.environment)
        self.process.wait_for(SERVING, START_SECONDS)

    def __exit__(self, *arguments):
        try:
            if self.alive():
                self.resume()
                self.stop()
        finally:
            if self.zookeeper is not None:
                self.zookeeper.stop()
            super().__exit__(*arguments)


class ApacheKafka39(Broker):
    """Apache Kafka 3.9.1 with its ZooKeeper: what a doubt is settled with."""

    name = "kafka39"
    release = "3.9.1"
    started = re.compile(r"started \(kafka\.server\.KafkaServer\)")

    def __init__(self, settings=None, environment=None):
        super().__init__(settings, environment)
        self.home = kafka.home(self.release)
        self.zookeeper = Zookeeper(self.folder, self.release, self.log)
        self.zookeeper_port = self.zookeeper.port

    @property
    def metadata(self):
        return f"127.0.0.1:{self.zookeeper_port}"

    def java(self, heap, *words):
        return java(self.home, heap, *words)

    def start_zookeeper(self):
        self.zookeeper.start()

    def prepare(self):
        """What the start of the broker itself takes for granted."""
        self.start_zookeeper()

    def start(self):
        self.prepare()
        properties = self.write_properties("server.properties", {
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port}", "log.dirs": self.data,
            "zookeeper.connect": f"127.0.0.1:{self.zookeeper_port}",
            "zookeeper.session.timeout.ms": "6000", **self.settings})
        deadline = time.monotonic() + START_SECONDS
        while True:     # after a kill, the old session's node stands until the session expires
            self.process = Process(self.java("512m", "kafka.Kafka", properties), self.log)
            try:
                self.process.wait_for(self.started, START_SECONDS)
                return self.wait_to_be_known()
            except RuntimeError as error:
                if "NodeExists" not in str(error) or time.monotonic() > deadline:
                    raise

    def wait_to_be_known(self):
        """It has started before its controller told it who is there: an admin client that hears of nobody may never ask again."""
        deadline = time.monotonic() + START_SECONDS
        with wire.Connection(self.port) as connection:
            while True:
                found = connection.call("Metadata", 4, topics=[], allow_auto_topic_creation=False)
                if found["controller_id"] in [broker["node_id"] for broker in found["brokers"]]:
                    return
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{self.name} at {self.port} does not know itself and a controller: {found}")
                time.sleep(0.02)

    def __exit__(self, *arguments):
        if self.alive():
            self.resume()
            self.stop()
        self.zookeeper.stop()
        super().__exit__(*arguments)


class ApacheKafka43(ApacheKafka39):
    """Apache Kafka 4.3.1 with its own controller in the same process."""

    name = "kafka43"
    release = "4.3.1"
    started = re.compile(r"Kafka Server started")

    def java(self, heap, *words):
        at = pathlib.Path(__file__).parent / "log4j2.properties"
        return [f"-Dlog4j2.configurationFile=file:{at}" if word.startswith("-Dlog4j.") else word
                for word in super().java(heap, *words)]

    def prepare(self):
        controller = self.zookeeper_port
        settings = {key: value for key, value in self.settings.items() if key != "broker.id"}
        node = self.settings["broker.id"]
        self.properties = self.write_properties("server.properties", {
            "process.roles": "broker,controller", "node.id": node,
            "controller.quorum.voters": f"{node}@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER", "log.dirs": self.data,
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # Its own controller takes it for dead when it did not run for nine seconds, if not told otherwise; and for alive as
            # long after a kill: until then it does not let the next one in.
            "broker.session.timeout.ms": "18000", "initial.broker.registration.timeout.ms": str(1000 * START_SECONDS), **settings})
        if not self.data.exists():
            subprocess.run(self.java("128m", "kafka.tools.StorageTool", "format", "-t", "MilenaTestCluster0000w",
                                     "-c", self.properties), check=True, stdout=subprocess.DEVNULL)

    def start(self):
        self.prepare()
        self.process = Process(self.java("512m", "kafka.Kafka", self.properties), self.log)
        self.process.wait_for(self.started, START_SECONDS)
        self.wait_to_be_known()


KINDS = {kind.name: kind for kind in (Milena, ApacheKafka39, ApacheKafka43)}


def make(kind="milena", settings=None, **more):
    """A broker of a kind, not yet started."""
    return KINDS[kind](settings, **more)
