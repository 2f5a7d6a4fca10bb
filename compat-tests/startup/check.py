"""The process: its configuration, its mistakes told in one line, its signals, its place in a service manager."""

import contextlib
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

from harness import brokers, wire
from harness.checks import Checks, exit_with

BINARY = os.environ.get("MILENA_BINARY", str(brokers.ROOT / "build/milena"))
SAMPLES = {
    # What the server.properties of Apache Kafka 3.x and 4.x set, apart from where they listen and write.
    "3.x": {"broker.id": "0", "num.network.threads": "3", "num.io.threads": "8", "socket.send.buffer.bytes": "102400",
            "socket.receive.buffer.bytes": "102400", "socket.request.max.bytes": "104857600", "num.partitions": "1",
            "num.recovery.threads.per.data.dir": "1", "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1",
            "log.retention.hours": "168", "log.segment.bytes": "1073741824", "log.retention.check.interval.ms": "300000",
            "zookeeper.connection.timeout.ms": "18000", "group.initial.rebalance.delay.ms": "0"},
    "4.x": {"node.id": "1", "process.roles": "broker,controller", "num.network.threads": "3", "num.io.threads": "8",
            "controller.quorum.bootstrap.servers": "localhost:9093", "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT", "num.partitions": "1", "num.recovery.threads.per.data.dir": "1",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
            "offsets.topic.replication.factor": "1", "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1", "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1", "log.retention.hours": "168", "log.segment.bytes": "1073741824",
            "log.retention.check.interval.ms": "300000"},
}
checks = Checks()


class Place:
    """A folder with a properties file in it, and processes that end with it."""

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="milena-test-startup-"))
        self.data, self.file = self.folder / "data", self.folder / "server.properties"
        self.data.mkdir()
        self.port, self.running = brokers.free_port(), []
        return self

    def __exit__(self, *_):
        for process in self.running:
            process.end(signal.SIGKILL, 10)
        subprocess.run(["umount", str(self.data)], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, more=None, text=""):
        values = {"listeners": f"PLAINTEXT://127.0.0.1:{self.port}", "log.dirs": self.data, **(more or {})}
        self.file.write_text("".join(f"{key}={value}\n" for key, value in values.items() if value is not None) + text)

    def start(self, *words, environment=None, wait=True):
        process = brokers.Process([BINARY, "server", str(self.file), *words], self.folder / "log", environment)
        self.running.append(process)
        if wait:
            process.wait_for(brokers.SERVING, brokers.START_SECONDS)
        return process

    def refusal(self, *words, environment=None, user=None):
        """Start what cannot start. Returns (exit code, the lines that say so)."""
        done = subprocess.run([BINARY, "server", str(self.file), *words], capture_output=True, text=True, timeout=120,
                              env={**os.environ, **(environment or {})}, user=user)
        lines = (done.stdout + done.stderr).splitlines()
        return done.returncode, [line for line in lines if "ERROR" in line or line.startswith("milena")]


def serves(port, host="127.0.0.1"):
    with socket.create_connection((host, port), 30):
        pass
    if host != "127.0.0.1":
        return True
    with wire.Connection(port) as connection:
        return connection.call("ApiVersions", 0)["error_code"] == 0


def config_value(port, name):
    with wire.Connection(port) as connection:
        broker = connection.call("Metadata", 1, topics=[])["brokers"][0]["node_id"]
        answer = connection.call("DescribeConfigs", 1, resources=[
            {"resource_type": 4, "resource_name": str(broker), "configuration_keys": [name]}], include_synonyms=False)
    return answer["results"][0]["configs"][0]["value"]


def samples():
    for name, values in SAMPLES.items():
        with Place() as place:
            more = dict(values)
            if name == "4.x":   # Its file has a listener for the controller, too.
                more["listeners"] = f"PLAINTEXT://127.0.0.1:{place.port},CONTROLLER://127.0.0.1:{brokers.free_port()}"
            place.write(more)
            place.start()
            checks.that(serves(place.port), f"a server.properties of {name} starts as it is")
            done = subprocess.run([BINARY, "config", "check", str(place.file)], capture_output=True, text=True, timeout=120)
            checks.equal(done.returncode, 0, f"config check has nothing against it ({name})")


def precedence():
    with Place() as place:
        place.write({"log.retention.ms": "1000", "num.partitions": "2", "message.max.bytes": "1000"})
        environment = {"KAFKA_NUM_PARTITIONS": "3", "KAFKA_MESSAGE_MAX_BYTES": "2000", "KAFKA_LOG_SEGMENT_MS": "77000",
                       "KAFKA_HEAP_OPTS": "-Xmx1g"}
        place.start("--env", "--override", "message.max.bytes=3000", environment=environment)
        names = ("log.retention.ms", "num.partitions", "message.max.bytes")
        checks.equal([config_value(place.port, name) for name in names], ["1000", "3", "3000"],
                     "file, then environment, then --override")
    with Place() as place:
        place.write({"num.partitions": "2"})
        place.start(environment={"KAFKA_NUM_PARTITIONS": "3"})
        checks.equal(config_value(place.port, "num.partitions"), "2", "without --env the environment is not read")


def mistakes():
    with Place() as place:
        cases = {
            "a word for a number": ({}, "log.retention.hours=soon\n", [":3:", "log.retention.hours", '"soon"', "whole number"]),
            "a number out of range": ({}, "min.insync.replicas=0\n", [":3:", "min.insync.replicas"]),
            "a choice that is none": ({}, "compression.type=brotli\n", [":3:", "compression.type", "zstd"]),
            "a listener without a port": ({"listeners": "PLAINTEXT://127.0.0.1"}, "", ["listeners"]),
            "a protocol that is none": ({"listeners": "NOPE://127.0.0.1:1"}, "", ["NOPE"]),
        }
        for name, (more, text, wanted) in cases.items():
            place.write(more, text)
            code, lines = place.refusal()
            checks.that(code == 1 and len(lines) == 1 and all(word in lines[0] for word in wanted) and
                        str(place.file) in lines[0], f"{name}: one line with file, key and remedy", f"{code} {lines}")
        place.write()
        code, lines = place.refusal("--override", "num.partitions=many")
        checks.that(code == 1 and len(lines) == 1 and "--override num.partitions" in lines[0],
                    "a wrong --override is named", f"{code} {lines}")
        code, lines = place.refusal("--env", environment={"KAFKA_NUM_PARTITIONS": "many"})
        checks.that(code == 1 and len(lines) == 1 and "KAFKA_NUM_PARTITIONS" in lines[0],
                    "a wrong variable is named", f"{code} {lines}")
        place.write(text="log.retention.hours=soon\nnum.partitions=many\nno.such.key=1\n")
        done = subprocess.run([BINARY, "config", "check", str(place.file)], capture_output=True, text=True, timeout=120)
        said = done.stdout + done.stderr
        checks.that(done.returncode == 1 and ":3:" in said and ":4:" in said and "no.such.key" in said,
                    "config check tells everything at once", said)
        place.file.unlink()
        code, lines = place.refusal()
        checks.that(code == 1 and len(lines) == 1 and str(place.file) in lines[0], "a file that is not there", str(lines))


def taken():
    with Place() as place, socket.socket() as other:
        place.write()
        other.bind(("127.0.0.1", place.port))
        other.listen()
        code, lines = place.refusal()
        checks.that(code == 1 and len(lines) == 1 and str(place.port) in lines[0] and "listeners" in lines[0],
                    "a port in use: one line with the port and the key", f"{code} {lines}")
    with Place() as place:
        place.write()
        place.start()
        place.write({"listeners": f"PLAINTEXT://127.0.0.1:{brokers.free_port()}"})
        code, lines = place.refusal()
        checks.that(code == 1 and len(lines) == 1 and str(place.data) in lines[0] and "lock" in lines[0],
                    "a locked log directory: one line that names it", f"{code} {lines}")
        checks.that(serves(place.port), "and the broker that has it goes on")


def bad_directories():
    """Without root's powers, since root may write anywhere."""
    if os.geteuid() != 0:
        raise RuntimeError("this part mounts a file system and wants to be root")
    with Place() as place:
        os.chmod(place.folder, 0o755)
        place.write()
        os.chmod(place.data, 0o555)
        code, lines = place.refusal(user=65534)
        checks.that(code == 1 and any(str(place.data) in line for line in lines),
                    "a read-only log directory: refused by name", f"{code} {lines}")
    with Place() as place:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place.data)], check=True)
        place.write({"log.segment.bytes": "1048576"})
        place.start()
        big = wire.batch([b"x" * 60000])
        errors, acknowledged = set(), -1
        with wire.Connection(place.port, seconds=60) as connection:
            connection.call("CreateTopics", 2, timeout_ms=30000, topics=[
                {"name": "full", "num_partitions": 1, "replication_factor": 1}])
            for _ in range(400):
                part = connection.call("Produce", 5, **wire.produce("full", big, version=5))["responses"][0]["partition_responses"][0]
                errors.add(part["error_code"])
                if part["error_code"]:
                    break
                acknowledged = part["base_offset"]
            checks.equal(errors, {0, 56}, "a full disk: KAFKA_STORAGE_ERROR, and not before it is full")
            answer = connection.call("Fetch", 4, replica_id=-1, max_wait_ms=0, min_bytes=0, max_bytes=200000, isolation_level=0,
                                     topics=[{"topic": "full", "partitions": [
                                         {"partition": 0, "fetch_offset": 0, "partition_max_bytes": 200000}]}])
            found = answer["responses"][0]["partitions"][0]
            checks.that(found["error_code"] == 0 and found["records"], "and what is there can be read", str(found)[:200])
            late = {"timeout_ms": 30000, "topics": [{"name": "late", "num_partitions": 1, "replication_factor": 1}]}
            refused = connection.call("CreateTopics", 2, **late)["topics"][0]
            checks.that(refused["error_code"] == 38 and "milena.log.dir.free.percentage.min" in refused["error_message"],
                        "a nearly full directory gets no new partition: INVALID_REPLICATION_FACTOR, and the key", str(refused))
            refused = connection.call("CreatePartitions", 1, timeout_ms=30000, validate_only=False, topics=[
                {"name": "full", "count": 2, "assignments": None}])["results"][0]
            checks.equal(refused["error_code"], 38, "nor does a topic that is there get more of them")
        subprocess.run(["mount", "-o", "remount,size=64m", str(place.data)], check=True)
        with wire.Connection(place.port, seconds=60) as connection:
            part = connection.call("Produce", 5, **wire.produce("full", big, version=5))["responses"][0]["partition_responses"][0]
            checks.equal((part["error_code"], part["base_offset"]), (0, acknowledged + 1),
                         "with room again it takes records without a restart, at the next offset")
            checks.equal(connection.call("CreateTopics", 2, **late)["topics"][0]["error_code"], 0, "and new partitions")
        for process in place.running:
            process.end(signal.SIGKILL, 10)


def signals():
    with Place() as place:
        place.write()
        process = place.start()
        checks.equal(process.end(signal.SIGTERM, 120), 0, "SIGTERM stops it cleanly")
        checks.that((place.data / ".kafka_cleanshutdown").exists(), "and leaves the marker of a clean stop")
        process = place.start()
        checks.that(not (place.data / ".kafka_cleanshutdown").exists(), "which a start takes away")
        for number in (signal.SIGHUP, signal.SIGPIPE):
            process.child.send_signal(number)
        checks.that(serves(place.port), "SIGHUP and SIGPIPE do nothing")
        checks.equal(process.end(signal.SIGINT, 120), 0, "SIGINT is a stop, too")


def listeners():
    with Place() as place:
        place.write({"listeners": f"PLAINTEXT://[::1]:{place.port}"})
        place.start()
        checks.that(serves(place.port, "::1"), "an IPv6 literal is a listener")
    with Place() as place:
        place.write({"advertised.listeners": "PLAINTEXT://example.net:19092"})
        process = place.start()
        with wire.Connection(place.port) as connection:
            broker = connection.call("Metadata", 1, topics=[])["brokers"][0]
        checks.equal((broker["host"], broker["port"]), ("example.net", 19092), "clients are told what is advertised")
        checks.that(any("example.net:19092" in line for line in process.lines), "and the banner shows it", process.lines)
    with Place() as place:
        place.write({"listeners": f"PLAINTEXT://0.0.0.0:{place.port}"})
        place.start()
        with wire.Connection(place.port) as connection:
            broker = connection.call("Metadata", 1, topics=[])["brokers"][0]
        checks.equal((broker["host"], broker["port"]), ("127.0.0.1", place.port),
                     "without one, the address that the client connected to")


def service_manager():
    with Place() as place, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(place.folder / "notify"))
        notified.settimeout(brokers.START_SECONDS)
        place.write()
        process = place.start(environment={"NOTIFY_SOCKET": str(place.folder / "notify")})
        checks.equal(notified.recv(100), b"READY=1", "the service manager is told that it serves")
        ending = threading.Thread(target=process.end, args=(signal.SIGTERM, 120))
        ending.start()
        checks.equal(notified.recv(100), b"STOPPING=1", "and that it stops")
        ending.join()


def descriptors():
    with Place() as place:
        place.write()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
        try:
            process = place.start()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        limit = re.search(r"Max open files\s+(\d+)", pathlib.Path(f"/proc/{process.child.pid}/limits").read_text())[1]
        checks.equal(int(limit), hard, "the soft limit of descriptors is raised to the hard one")
        checks.that(any(f"File descriptors: at most {hard}" in line for line in process.lines), "and printed", process.lines)


def anyone():
    if os.geteuid() != 0:
        raise RuntimeError("this part becomes another user and wants to be root")
    with Place() as place:
        os.chmod(place.folder, 0o755)
        os.chown(place.data, 65534, 65534)
        place.write()
        with subprocess.Popen([BINARY, "server", str(place.file)], user=65534, stdout=subprocess.PIPE, text=True,
                              cwd="/", preexec_fn=None) as child:
            line = next((line for line in child.stdout if brokers.SERVING.search(line)), None)
            checks.that(line and serves(place.port), "it runs as nobody", line)
            child.terminate()
            checks.equal(child.wait(120), 0, "and stops as nobody")


def main():
    for name, body in {"samples": samples, "precedence": precedence, "mistakes": mistakes, "what others hold": taken,
                       "directories": bad_directories, "signals": signals, "listeners": listeners,
                       "service manager": service_manager, "descriptors": descriptors, "any user": anyone}.items():
        checks.run(name, body)
    exit_with(checks)


if __name__ == "__main__":
    main()
