"""The metadata service without a broker: zkServer.sh, zookeeper-server-start.sh, and what zoo.cfg says."""

import base64
import contextlib
import hashlib
import json
import logging
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from kazoo import exceptions
from kazoo.client import KazooClient
from kazoo.security import make_digest_acl

import jute
from harness import brokers
from harness.checks import Checks

BINARY = os.environ.get("MILENA_BINARY", str(brokers.ROOT / "build/milena"))
SCRIPTS = brokers.ROOT / "scripts"
SERVING = re.compile(r"^serving .*:\d+.* after \d+ ms$", re.M)
WAIT = 60
SESSION_SECONDS = 30    # kazoo gives a connection up when a third of this passes without an answer.
checks = Checks()


class Place:
    """A folder with a zoo.cfg in it, and the service that runs by it."""

    def __init__(self, **more):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="milena-test-zookeeper-"))
        self.port = brokers.free_port()
        self.file = self.folder / "zoo.cfg"
        self.write(**more)

    def write(self, text="", **more):
        values = {"dataDir": self.folder / "data", "clientPort": self.port, "clientPortAddress": "127.0.0.1",
                  "admin.enableServer": "false", **{key.replace("__", "."): value for key, value in more.items()}}
        self.file.write_text("".join(f"{key}={value}\n" for key, value in values.items() if value is not None) + text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.script("zkServer.sh", "stop", str(self.file))
        shutil.rmtree(self.folder, ignore_errors=True)

    def script(self, name, *words, binary=BINARY):
        return subprocess.run([SCRIPTS / name, *words], capture_output=True, text=True, timeout=WAIT, cwd=self.folder,
                              env={**os.environ, "MILENA": str(binary), "ZOO_LOG_DIR": str(self.folder), "LOG_DIR": str(self.folder)})

    def refusal(self):
        """What the service says of a file that it does not start with, and its exit code."""
        done = subprocess.run([BINARY, "metadata", str(self.file)], capture_output=True, text=True, timeout=WAIT)
        return done.returncode, [line for line in done.stderr.splitlines() if " ERROR " in line]

    @contextlib.contextmanager
    def running(self):
        process = brokers.Process([BINARY, "metadata", str(self.file)], self.folder / "log")
        try:
            process.wait_for(re.compile("^serving "), WAIT)
            yield process
        finally:
            process.end(signal.SIGKILL, WAIT)

    def word(self, word):
        return jute.four_letters(self.port, word)

    def answers(self):
        with contextlib.suppress(ConnectionError):
            return self.word("srvr") != ""
        return False

    @contextlib.contextmanager
    def client(self):
        client = KazooClient(f"127.0.0.1:{self.port}", timeout=SESSION_SECONDS)
        client.start(WAIT)
        try:
            yield client
        finally:
            client.stop()
            client.close()


def until(condition):
    """Waits for it; what it gave."""
    deadline = time.monotonic() + WAIT
    while not (seen := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return seen


def daemon():
    with Place() as place:
        started = place.script("zkServer.sh", "start", str(place.file))
        checks.that(started.returncode == 0 and "STARTED" in started.stdout, "zkServer.sh start", started)
        again = place.script("zkServer.sh", "start", str(place.file))
        checks.that(again.returncode == 1 and "already running" in again.stdout, "start of what runs is refused", again)
        with place.client() as zk:
            zk.create("/kept", b"1")
        status = place.script("zkServer.sh", "status", str(place.file))
        checks.that(status.returncode == 0 and "Mode: standalone" in status.stdout, "status", status)
        restarted = place.script("zkServer.sh", "restart", str(place.file))
        checks.that("STOPPED" in restarted.stdout and "STARTED" in restarted.stdout, "restart", restarted)
        with place.client() as zk:
            checks.equal(zk.get("/kept")[0], b"1", "what was stored is there after a restart")
        stopped = place.script("zkServer.sh", "stop", str(place.file))
        checks.that(stopped.returncode == 0 and "STOPPED" in stopped.stdout, "stop", stopped)
        status = place.script("zkServer.sh", "status", str(place.file))
        checks.that(status.returncode == 1 and "probably not running" in status.stdout, "status of what is stopped", status)
        place.write(tickTime="soon")
        failed = place.script("zkServer.sh", "start", str(place.file))
        checks.that(failed.returncode == 1 and "FAILED TO START" in failed.stdout and "tickTime" in failed.stderr,
                    "start tells why it failed", failed)


def kafkas_scripts():
    with Place(maxClientCnxns=0, clientPortAddress=None) as place:
        # Its own name: others of this machine are not to be stopped with it.
        binary, out = shutil.copy(BINARY, place.folder / "milena"), place.folder / "zookeeper.out"
        started = place.script("zookeeper-server-start.sh", "-daemon", str(place.file), binary=binary)
        checks.equal(started.returncode, 0, "zookeeper-server-start.sh -daemon")
        # The script is gone before the service is there, and the service serves before it says so.
        checks.that(until(lambda: out.exists() and SERVING.search(out.read_text())), "says that it serves", out.read_text())
        with place.client() as zk:
            checks.that(zk.exists("/zookeeper"), "and does")
        stopped = place.script("zookeeper-server-stop.sh", binary=binary)
        checks.equal(stopped.returncode, 0, "zookeeper-server-stop.sh")
        checks.that(until(lambda: not place.answers()), "stops it")
        checks.equal(place.script("zookeeper-server-start.sh").returncode, 1, "without a file it tells its usage")


def keys():
    with Place() as place:
        journal = place.folder / "journal"
        place.write(dataLogDir=journal, tickTime=500, maxSessionTimeout=30000, maxClientCnxns=2)
        with place.running() as process:
            first = jute.Client(place.port, 100_000)
            first.call(jute.CREATE, jute.create("/a", b"", [(31, "world", "anyone")], 0))
            again = jute.Client(place.port, 100_000, first.session, first.password)
            checks.equal([first.timeout, again.timeout], [30000, 30000], "maxSessionTimeout")
            first.until_closed()
            second = jute.Client(place.port)
            with socket.create_connection(("127.0.0.1", place.port), WAIT) as third:
                checks.equal(third.recv(1), b"", "maxClientCnxns")
            checks.that(process.wait_for(re.compile("Too many connections of 127.0.0.1, at most 2"), WAIT), "which is told")
            for client in (again, second):
                client.close()
        checks.that(list(journal.glob("milena-metadata-journal.0*")), "dataLogDir has the journal")
        checks.equal(list((place.folder / "data").glob("milena-metadata-journal.0*")), [], "and dataDir has not")
        place.write(dataLogDir=journal)
        with place.running():
            checks.that(place.word("srvr").startswith("Zookeeper version: "), "srvr is answered by default")
            checks.equal(place.word("stat"), "stat is not executed because it is not in the whitelist.\n", "others are not")
            checks.that(place.word("ruok") != "imok", "ruok neither")
            with place.client() as zk:
                checks.that(zk.exists("/a"), "the journal is found again")
        place.write(dataLogDir=journal, **{"4lw__commands__whitelist": "ruok, mntr"})
        with place.running():
            checks.equal(place.word("ruok"), "imok", "4lw.commands.whitelist")
        place.write(dataLogDir=journal, **{"jute__maxbuffer": "2048", "4lw__commands__whitelist": "*"})
        with place.running():
            checks.equal(place.word("isro"), "rw", "4lw.commands.whitelist=*")
            with socket.create_connection(("127.0.0.1", place.port), WAIT) as peer:
                peer.sendall(bytes.fromhex("0000002c 00000000 0000000000000000 00002710 0000000000000000 00000010") + bytes(16))
                checks.equal(len(peer.recv(100)), 40, "a client connects")
                peer.sendall(b"\0\0\x08\x01")
                checks.equal(peer.recv(1), b"", "jute.maxbuffer")


def containers():
    """One that has lost its last child goes when they are looked for."""
    with Place() as place:
        place.write(znode__container__checkIntervalMs=50)
        with place.running():
            client, everybody = jute.Client(place.port), [(31, "world", "anyone")]
            checks.equal(client.call(jute.CREATE_CONTAINER, jute.create("/c", b"", everybody, 4))[0], 0, "a container")
            client.call(jute.CREATE, jute.create("/c/a", b"", everybody, 0))
            client.call(jute.DELETE, jute.text("/c/a") + jute.integer(-1))
            no_node = -101
            checks.that(until(lambda: client.call(jute.EXISTS, jute.text("/c") + b"\0")[0] == no_node),
                        "znode.container.checkIntervalMs")
            client.close()


def room():
    """preAllocSize: the size of the journal when a little was stored, and after kill -9."""
    for size, low, high in ((0, 0, 10_000), (20, 20 * 1024, 30_000), (None, 64 * 1024, 80_000)):
        with Place(preAllocSize=size) as place:
            for value in (b"1", b"2"):
                with place.running(), place.client() as zk:
                    zk.ensure_path("/a")
                    zk.set("/a", value)
                    journal = max(file.stat().st_size for file in (place.folder / "data").glob("milena-metadata-journal.0*"))
                    checks.that(low <= journal < high, f"preAllocSize={size}", journal)
            with place.running(), place.client() as zk:
                checks.equal(zk.get("/a")[0], b"2", "and all of it is found again")


def admin():
    with Place() as place:
        port = brokers.free_port()
        place.write(admin__enableServer="true", admin__serverPort=port, admin__serverAddress="127.0.0.1")

        def ask(path):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=WAIT) as answer:
                return answer.headers.get("Content-Type"), answer.read().decode()
        with place.running(), place.client() as zk:
            zk.create("/e", b"x", ephemeral=True)
            kind, text = ask("/commands/ruok")
            checks.equal((kind, json.loads(text)), ("application/json", {"command": "ruok", "error": None}), "/commands/ruok")
            stats = json.loads(ask("/commands/stats")[1])
            checks.equal((stats["server_stats"]["server_state"], len(stats["connections"])), ("standalone", 1), "/commands/stats")
            dump = json.loads(ask("/commands/dump?x=1")[1])
            checks.equal(dump["session_id_to_ephemeral_paths"], {str(zk.client_id[0]): ["/e"]}, "/commands/dump")
            configuration = json.loads(ask("/commands/conf")[1])
            checks.equal(configuration["client_port"], place.port, "/commands/conf")
            checks.that("server_stats</a>" in ask("/commands")[1], "a list of links")
            checks.equal(json.loads(ask("/commands/none")[1])["error"], "Unknown command: none", "what is no command")
            try:
                ask("/other")
                checks.that(False, "other paths are not found")
            except urllib.error.HTTPError as error:
                checks.equal(error.code, 404, "other paths are not found")
            with socket.create_connection(("127.0.0.1", port), WAIT) as peer:
                peer.sendall(b"POST /commands/ruok HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")
                checks.that(not peer.recv(100).startswith(b"HTTP/1.1 200"), "only GET")


def powers():
    """The super digest, and quotas that are enforced."""
    with Place() as place:
        digest = base64.b64encode(hashlib.sha1(b"super:pw").digest()).decode()
        place.write(enforceQuota="true", DigestAuthenticationProvider__superDigest=f"super:{digest}")
        with place.running(), place.client() as zk:
            zk.create("/closed", b"1", acl=[make_digest_acl("u", "p", all=True)])
            zk.create("/few", b"")
            zk.create("/zookeeper/quota/few/zookeeper_limits", b"count=-1,bytes=-1=;byteHardLimit=10;countHardLimit=2",
                      makepath=True)
            zk.create("/zookeeper/quota/few/zookeeper_stats", b"")
            zk.create("/few/one", b"123")
            checks.equal(zk.get("/zookeeper/quota/few/zookeeper_stats")[0], b"count=2,bytes=3", "a quota's stats")
            for name, call in (("count", lambda: zk.create("/few/two")), ("bytes", lambda: zk.set("/few/one", b"x" * 11))):
                try:
                    call()
                    checks.that(False, f"the hard limit of {name} is kept")
                except exceptions.QuotaExceededError:
                    checks.that(True, f"the hard limit of {name} is kept")
            try:
                zk.get("/closed")
                checks.that(False, "an ACL keeps others out")
            except exceptions.NoAuthError:
                checks.that(True, "an ACL keeps others out")
            zk.add_auth("digest", "super:pw")
            checks.equal(zk.get("/closed")[0], b"1", "but not the super user")


def refusals():
    with Place() as place:
        place.write("server.1=a:2888:3888\nserver.2=b:2888:3888\nserver.3=c:2888:3888\n")
        code, lines = place.refusal()
        checks.that(code == 1 and len(lines) == 1 and "run Apache ZooKeeper for an ensemble" in lines[0] and
                    "zookeeper.connect=" in lines[0], "several servers get the way to an ensemble", lines)
        place.write(minSessionTimeout="x")
        code, lines = place.refusal()
        checks.that(code == 1 and len(lines) == 1 and "zoo.cfg:5: error: minSessionTimeout is 'x'; it must be a whole number"
                    in lines[0], "a wrong value is told by file, line and key", lines)
        place.write()
        with place.running():
            code, lines = place.refusal()
            checks.that(code == 1 and len(lines) == 1 and "in use by another process" in lines[0] and "dataDir" in lines[0],
                        "a second service on the same data is refused", lines)
            place.write(dataDir=place.folder / "other")
            code, lines = place.refusal()
            checks.that(code == 1 and len(lines) == 1 and f"port {place.port}" in lines[0] and "clientPort" in lines[0],
                        "and one on the same port", lines)
        (place.folder / "old/version-2").mkdir(parents=True)
        (place.folder / "old/version-2/snapshot.0").write_bytes(b"ZKSN")
        place.write(dataDir=place.folder / "old")
        code, lines = place.refusal()
        checks.that(code == 1 and len(lines) == 1 and "data of Apache ZooKeeper" in lines[0],
                    "ZooKeeper's own data is not taken for none", lines)


def main():
    logging.disable(logging.CRITICAL)   # kazoo tells of every broken connection
    for each in (daemon, kafkas_scripts, keys, containers, room, admin, powers, refusals):
        checks.run(each.__name__, each)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
