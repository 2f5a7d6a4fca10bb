"""bench metadata: the metadata service beside Apache ZooKeeper in the same run, fsync on for both.

    scripts/bench metadata [ROW...] [--seconds 5] [--nodes 1000000] [--no-rival]

The server runs on the first processor, the load on the last; the data of both are on the same disk. Rows:

    start    from the start of the process to an answer to srvr, empty; resident memory then
    create1, create200, set200, get1, get200, mix200   requests at that depth; mix is 90 % get
    watch    a set of a node that 1,000 clients watch, until the last has its event
    slow200  create200 with a sync of 2 ms more
    million  nodes of 100 bytes: time to make them, memory then; kill -9, and the time to serve again

Each row is a server of its own. Other work on the machine makes every figure here worthless: the load average at
the start is printed.
"""

import argparse
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "compat-tests"))
from harness import brokers, kafka  # noqa: E402

TOOLS = ROOT / "build/bench-tools"
CPUS = sorted(os.sched_getaffinity(0))
SLOW = {"LD_PRELOAD": str(TOOLS / "slow_sync.so"), "FSYNC_DELAY_US": "2000"}
WAIT = 120
LOADS = {
    "create1": ["--op", "create", "--depth", "1"],
    "create200": ["--op", "create", "--depth", "200"],
    "set200": ["--op", "set", "--depth", "200"],
    "get1": ["--op", "get", "--depth", "1"],
    "get200": ["--op", "get", "--depth", "200"],
    "mix200": ["--op", "mix", "--depth", "200"],
    "watch": ["--op", "watch", "--connections", "1000"],
    "slow200": ["--op", "create", "--depth", "200"],
}
ROWS = ["start", *LOADS, "million"]
SHOWN = ("ms", "ops_s", "p50_us", "p99_us", "p99.9_us", "cpu_us_per_op", "rss_KiB", "seconds", "again_ms")


class Server:
    """One of the two, on data of its own."""

    def __init__(self, name, environment=None):
        self.name, self.environment = name, environment or {}
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="milena-bench-", dir=os.environ.get("MILENA_BENCH_DIR")))
        self.port = brokers.free_port()
        (self.folder / "zoo.cfg").write_text(
            f"dataDir={self.folder / 'data'}\nclientPort={self.port}\ntickTime=2000\nmaxClientCnxns=0\n"
            "admin.enableServer=false\n4lw.commands.whitelist=*\n")
        if name == "milena":
            self.words = [os.environ.get("MILENA_BINARY", str(ROOT / "build/milena")), "metadata"]
        else:
            self.words = ["java", "-Xmx1g", "-cp", f"{kafka.home('3.9.1')}/libs/*",
                          "org.apache.zookeeper.server.quorum.QuorumPeerMain"]
        self.start_ms = self.start()

    def start(self):
        """Milliseconds until it serves."""
        begun = time.monotonic()
        self.process = brokers.Process(["taskset", "-c", str(CPUS[0]), *self.words, str(self.folder / "zoo.cfg")],
                                       self.folder / "log", self.environment)
        while time.monotonic() < begun + WAIT:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), WAIT) as connection:
                connection.sendall(b"srvr")
                if connection.recv(9) == b"Zookeeper":      # before it serves, it says that it does not
                    return 1000 * (time.monotonic() - begun)
        raise RuntimeError(f"{self.name} does not start: {''.join(self.process.lines[-20:])}")

    @property
    def pid(self):
        return self.process.child.pid

    def rss_kib(self):
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0])

    def load(self, *words):
        done = subprocess.run(["taskset", "-c", str(CPUS[-1]), TOOLS / "zk_load", "--port", str(self.port), "--pid",
                               str(self.pid), *words], capture_output=True, text=True, check=True)
        return dict(word.split("=") for word in done.stdout.split())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.end(signal.SIGKILL, WAIT)
        shutil.rmtree(self.folder, ignore_errors=True)


def measure(name, row, options):
    with Server(name, SLOW if row == "slow200" else None) as server:
        if row == "start":
            return {"ms": f"{server.start_ms:.0f}", "rss_KiB": str(server.rss_kib())}
        if row == "million":
            figures = server.load("--op", "fill", "--depth", "1000", "--nodes", str(options.nodes))
            server.process.end(signal.SIGKILL, WAIT)
            figures["again_ms"] = f"{server.start():.0f}"
            figures["rss_KiB"] = str(server.rss_kib())
            return {key: figures[key] for key in ("seconds", "ops_s", "rss_KiB", "again_ms")}
        figures = server.load(*LOADS[row], "--seconds", str(options.seconds))
        del figures["seconds"]
        return figures


def main(words):
    parser = argparse.ArgumentParser(prog="bench metadata")
    parser.add_argument("rows", nargs="*", default=[], help=", ".join(ROWS))
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--no-rival", action="store_true")
    options = parser.parse_args(words)
    print(f"load average {os.getloadavg()[0]:.2f}")
    for row in options.rows or ROWS:
        for name in ["milena"] if options.no_rival else ["milena", "zookeeper"]:
            figures = measure(name, row, options)
            print(f"{row:10} {name:10}", *(f"{key}={figures[key]}" for key in SHOWN if key in figures), flush=True)
