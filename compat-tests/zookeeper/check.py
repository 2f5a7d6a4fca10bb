"""ZooKeeper's clients on the metadata port: kazoo, a socket of our own, and Apache ZooKeeper's shell.

    check.py [--against kafka39]     # Apache Kafka 3.9.1 with Apache ZooKeeper 3.8.4, when in doubt
"""

import argparse
import contextlib
import json
import logging
import queue
import socket
import struct
import subprocess
import sys
import tempfile
import threading

from kazoo import exceptions
from kazoo.client import KazooClient, KazooState
from kazoo.security import make_digest_acl

from harness import brokers, kafka, wire
from harness.checks import Checks

WAIT = 60
SESSION_SECONDS = 30    # kazoo gives a connection up when a third of this passes without an answer.
ERRORS = {exceptions.NoNodeError: "no node", exceptions.NodeExistsError: "exists", exceptions.BadVersionError: "version",
          exceptions.NotEmptyError: "not empty", exceptions.NoAuthError: "no auth",
          exceptions.InvalidACLError: "invalid acl", exceptions.BadArgumentsError: "bad arguments",
          exceptions.NoChildrenForEphemeralsError: "ephemeral", exceptions.RolledBackError: "rolled back",
          exceptions.RuntimeInconsistency: "not tried"}
checks = Checks()


def error_of(call, *arguments, **named):
    """The name of the error that a call raises, None when it raises none."""
    try:
        call(*arguments, **named)
    except tuple(ERRORS) as error:
        return ERRORS[type(error)]
    return None


class Host:
    """The broker and the address of its metadata."""

    def __init__(self, broker, port):
        self.broker, self.port = broker, port
        self.address = f"127.0.0.1:{port}"

    @contextlib.contextmanager
    def client(self, **options):
        client = KazooClient(self.address, timeout=SESSION_SECONDS, **options)
        client.start(WAIT)
        try:
            yield client
        finally:
            with contextlib.suppress(exceptions.KazooException):
                client.stop()
            client.close()

    def create_topic(self, name):
        with wire.Connection(self.broker.port) as connection:
            answer = connection.call("CreateTopics", 2, timeout_ms=30000, validate_only=False, topics=[
                {"name": name, "num_partitions": 2, "replication_factor": 1, "assignments": [], "configs": []}])
        return answer["topics"][0]["error_code"]


def nodes(host):
    with host.client() as zk:
        checks.equal(zk.create("/k", b"one"), "/k", "create")
        data, stat = zk.get("/k")
        checks.equal((data, stat.version, stat.dataLength, stat.ephemeralOwner), (b"one", 0, 3, 0), "get, and its Stat")
        checks.equal(stat.czxid, stat.mzxid, "a new node's czxid is its mzxid")
        stat = zk.set("/k", b"two")
        checks.equal((stat.version, stat.mzxid > stat.czxid), (1, True), "set")
        checks.equal(error_of(zk.set, "/k", b"", version=7), "version", "set of another version")
        checks.equal(error_of(zk.create, "/k"), "exists", "create of what is there")
        checks.equal(error_of(zk.create, "/none/a"), "no node", "create without a parent")
        checks.equal(error_of(zk.get, "/none"), "no node", "get of what is not there")
        checks.equal(zk.exists("/none"), None, "exists of what is not there")
        path, stat = zk.create("/k/a", b"", include_data=True)
        checks.equal((path, stat.version), ("/k/a", 0), "create2")
        checks.equal(error_of(zk.delete, "/k"), "not empty", "delete of a parent")
        checks.equal(zk.exists("/k").numChildren, 1, "a parent counts its children")
        zk.delete("/k/a")
        names = [zk.create("/k/s-", sequence=True) for _ in range(3)]
        checks.equal(names, [f"/k/s-{n:010d}" for n in (1, 2, 3)], "sequence numbers count every create in the parent")
        checks.equal(sorted(zk.get_children("/k")), [name[3:] for name in names], "children")
        children, stat = zk.get_children("/k", include_data=True)
        checks.equal((len(children), stat.numChildren, stat.cversion), (3, 3, 5), "children with Stat")
        zk.create("/k/large", b"x" * 900_000)
        checks.equal(len(zk.get("/k/large")[0]), 900_000, "900,000 bytes in one node")
        zk.ensure_path("/k/a/b/c")
        checks.that(zk.exists("/k/a/b/c"), "a path is made")
        checks.equal(zk.sync("/k"), "/k", "sync")
        results = [zk.create_async(f"/k/many-{n:03d}") for n in range(500)]
        checks.equal([each.get(timeout=WAIT) for each in results], [f"/k/many-{n:03d}" for n in range(500)],
                     "500 creates in flight, answered in order")
        zk.delete("/k", recursive=True)
        checks.equal(zk.exists("/k"), None, "deleted with all below")


def ephemerals(host):
    gone = threading.Event()
    with host.client() as zk:
        with host.client() as owner:
            checks.equal(owner.create("/e", b"", ephemeral=True), "/e", "ephemeral")
            checks.equal(zk.exists("/e", watch=lambda event: gone.set()).ephemeralOwner, owner.client_id[0],
                         "its owner is the session")
            checks.equal(error_of(owner.create, "/e/a"), "ephemeral", "ephemerals have no children")
            checks.equal(owner.create("/e-", ephemeral=True, sequence=True)[:3], "/e-", "ephemeral and sequential")
        checks.that(gone.wait(WAIT), "it goes with its session, and its watcher is told")
        checks.equal([name for name in zk.get_children("/") if name.startswith("e")], [], "so do all of the session")


def watches(host):
    seen = queue.Queue()
    with host.client() as zk, host.client() as other:
        def next_event():
            event = seen.get(timeout=WAIT)
            return event.type, event.path
        zk.exists("/w", watch=seen.put)
        other.create("/w", b"1")
        checks.equal(next_event(), ("CREATED", "/w"), "exists of what is not there watches its creation")
        zk.get("/w", watch=seen.put)
        other.set("/w", b"2")
        checks.equal(next_event(), ("CHANGED", "/w"), "get watches data")
        other.set("/w", b"3")
        zk.get_children("/w", watch=seen.put)
        other.create("/w/a")
        checks.equal(next_event(), ("CHILD", "/w"), "get_children watches children; a watch fires once")
        zk.get("/w/a", watch=seen.put)
        zk.set("/w/a", b"own")
        checks.equal(next_event(), ("CHANGED", "/w/a"), "a client's own change fires its watch")
        zk.get_children("/w", watch=seen.put)
        zk.get("/w/a", watch=seen.put)
        other.delete("/w/a")
        checks.equal([next_event(), next_event()], [("DELETED", "/w/a"), ("CHILD", "/w")], "the node before its parent")
        other.delete("/w")
    everybody = [KazooClient(host.address, timeout=SESSION_SECONDS) for _ in range(20)]
    counted = queue.Queue()
    for each in everybody:
        each.start(WAIT)
        each.exists("/all", watch=counted.put)
    with host.client() as zk:
        zk.create("/all", ephemeral=True)
        checks.equal([counted.get(timeout=WAIT).type for _ in everybody], ["CREATED"] * 20, "20 watchers are told")
    for each in everybody:
        each.stop()
        each.close()


def transactions(host):
    with host.client() as zk:
        multi = zk.transaction()
        multi.create("/t", b"1")
        multi.set_data("/t", b"2", version=0)
        multi.check("/t", version=1)
        multi.create("/t/s-", sequence=True)
        path, stat, _, sequence = multi.commit()
        checks.equal((path, stat.version, sequence), ("/t", 1, "/t/s-0000000000"), "a transaction, each op upon the last")
        multi = zk.transaction()
        multi.create("/t/a")
        multi.check("/t", version=9)
        multi.delete("/t")
        checks.equal([ERRORS.get(type(each)) for each in multi.commit()], ["rolled back", "version", "not tried"],
                     "a transaction that fails says where")
        checks.equal(zk.exists("/t/a"), None, "and leaves nothing")
        zk.delete("/t", recursive=True)


def access(host):
    acl = [make_digest_acl("user", "secret", all=True)]
    with host.client(auth_data=[("digest", "user:secret")]) as owner, host.client() as other:
        owner.create("/acl", b"hidden", acl=acl)
        checks.equal(error_of(other.get, "/acl"), "no auth", "a node of another's is not read")
        checks.equal(error_of(other.set, "/acl", b""), "no auth", "nor written")
        checks.equal(error_of(other.create, "/acl2", acl=[]), None, "kazoo's default list")
        other.add_auth("digest", "user:secret")
        checks.equal(other.get("/acl")[0], b"hidden", "but with its password")
        read, stat = owner.get_acls("/acl")
        checks.equal((read, stat.aversion), (acl, 0), "the list comes back")
        stat = owner.set_acls("/acl", [make_digest_acl("nobody", "else", read=True)])
        checks.equal(stat.aversion, 1, "a list is set")
        checks.equal(error_of(owner.get, "/acl"), "no auth", "and holds")
        owner.delete("/acl")
        owner.delete("/acl2")


class RawClient:
    """A client that says what it is told to and nothing else: no pings. What is `behind` is sent with the request to connect."""

    def __init__(self, port, timeout_ms, session=0, password=b"\0" * 16, behind=None):
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT)
        self.send(struct.pack(">iqiqi16s", 0, 0, timeout_ms, session, 16, password), *([behind] if behind else []))
        answer = self.frame()
        self.length = len(answer)
        _, self.timeout_ms, self.session, _ = struct.unpack_from(">iiqi", answer)
        self.password = answer[20:36]

    def send(self, *payloads):
        self.socket.sendall(b"".join(struct.pack(">i", len(payload)) + payload for payload in payloads))

    def exactly(self, count):
        read = b""
        while len(read) < count:
            more = self.socket.recv(count - len(read))
            if not more:
                raise EOFError
            read += more
        return read

    def frame(self):
        return self.exactly(struct.unpack(">i", self.exactly(4))[0])

    def error(self):
        """Of the answer that comes next."""
        return struct.unpack_from(">iqi", self.frame())[2]


def make_ephemeral(path):
    name = path.encode()
    return struct.pack(f">iii{len(name)}siiii5si6si", 1, 1, len(name), name, 0, 1, 31, 5, b"world", 6, b"anyone", 1)


def sessions(host):
    raw = RawClient(host.port, 1, behind=make_ephemeral("/silent"))
    checks.that(raw.timeout_ms >= 4000, "the time-out is brought within bounds", raw.timeout_ms)
    checks.equal(raw.length, 36, "no flag that was not sent")
    checks.equal(raw.error(), 0, "an ephemeral of a client that then says nothing")
    gone = threading.Event()
    with host.client() as zk:
        # It may have gone before anybody could look.
        is_there = zk.exists("/silent", watch=lambda event: gone.set())
        checks.that(not is_there or gone.wait(WAIT), "its session expires")
    try:
        raw.frame()
        checks.that(False, "its connection is closed", "a frame came")
    except (EOFError, ConnectionError):
        checks.that(True, "its connection is closed")
    again = RawClient(host.port, 4000, raw.session, raw.password)
    checks.equal((again.timeout_ms, again.session, again.password), (0, 0, b"\0" * 16), "it cannot be resumed")

    first = RawClient(host.port, 20000, behind=make_ephemeral("/moved"))
    checks.equal(first.error(), 0, "an ephemeral of a client that comes back")
    thief = RawClient(host.port, 20000, first.session, b"x" * 16)
    checks.equal(thief.timeout_ms, 0, "a wrong password is refused")
    first.socket.close()
    second = RawClient(host.port, 20000, first.session, first.password)
    checks.equal((second.session, second.timeout_ms), (first.session, 20000), "a session is resumed on another connection")
    with host.client() as zk:
        checks.that(zk.exists("/moved"), "with its ephemerals")
    second.send(struct.pack(">ii", 2, -11))
    checks.equal(second.error(), 0, "it is closed")
    second.socket.close()


def restart(host):
    states = queue.Queue()
    with host.client() as zk:
        zk.create("/mine", b"kept", ephemeral=True)
        session, told = zk.client_id, queue.Queue()
        # kazoo forgets plain watches when a connection breaks; this kind it sets again.
        zk.DataWatch("/mine", lambda data, stat: told.put(data))
        zk.add_listener(states.put)
        host.broker.kill()
        host.broker.start()
        while states.get(timeout=WAIT) != KazooState.CONNECTED:
            pass
        checks.equal(zk.client_id, session, "a session survives kill -9 of the broker")
        checks.equal(zk.get("/mine")[0], b"kept", "and its ephemeral")
        multi = zk.transaction()
        multi.set_data("/mine", b"again")
        multi.create("/missing", ephemeral=True)
        multi.commit()
        while told.get(timeout=WAIT) != b"again":
            pass
        checks.equal(zk.exists("/missing").ephemeralOwner, session[0], "and it writes and watches on")


def words(host):
    def say(word):
        with socket.create_connection(("127.0.0.1", host.port), WAIT) as connection:
            connection.sendall(word.encode() + b"\n")
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    checks.equal(say("ruok"), "imok", "ruok")
    checks.equal(say("isro"), "rw", "isro")
    checks.that("\nMode: standalone\n" in say("srvr"), "srvr", say("srvr"))
    with host.client() as zk:
        checks.equal(zk.server_version()[:2], (3, 8), "kazoo reads the version")
        said = say("stat")
        checks.that(said.startswith("Zookeeper version: 3.") and "\nClients:\n /" in said, "stat", said)
        figures = dict(line.split("\t") for line in say("mntr").splitlines())
        checks.equal(int(figures["zk_znode_count"]) > 20, True, "mntr")
        checks.that("sid=0x" in say("cons"), "cons", say("cons"))
    checks.equal(say("GET "), "", "what is no word is not answered")


def kafkas_nodes(host):
    with host.client() as zk:
        checks.equal(zk.get_children("/brokers/ids"), ["0"], "/brokers/ids")
        data, stat = zk.get("/brokers/ids/0")
        registration = json.loads(data)
        checks.equal(registration["endpoints"], [f"PLAINTEXT://127.0.0.1:{host.broker.port}"], "the broker's end points")
        checks.that(stat.ephemeralOwner != 0, "it is ephemeral")
        checks.equal(json.loads(zk.get("/controller")[0])["brokerid"], 0, "/controller")
        checks.equal(len(json.loads(zk.get("/cluster/id")[0])["id"]), 22, "/cluster/id")
        told = threading.Event()
        zk.get_children("/brokers/topics", watch=lambda event: told.set())
        checks.equal(host.create_topic("seen"), 0, "a topic is created over Kafka's protocol")
        checks.that(told.wait(WAIT), "who watches /brokers/topics is told")
        topic = json.loads(zk.get("/brokers/topics/seen")[0])
        checks.equal(topic["partitions"], {"0": [0], "1": [0]}, "its assignment is there")
        state = json.loads(zk.get("/brokers/topics/seen/partitions/1/state")[0])
        checks.equal((state["leader"], state["isr"]), (0, [0]), "and its partitions' states")


def shell(host):
    """Apache ZooKeeper's own shell, one for all commands."""
    commands = ["ls /brokers/ids", "get /brokers/topics/seen", "create /z one", "get -w /z", "set /z two", "stat /z",
                "create -e -s /z/n- x", "ls /z", "create -c /z/c", "create -t 100000 /z/t ttl", "addauth digest a:b",
                "getAcl /z", "whoami", "getEphemerals /", "getAllChildrenNumber /z", "ls -R /z", "addWatch /z",
                "create /z/deep", "removewatches /z", "set -v 9 /z no", "sync /z", "deleteall /z", "ls /z"]
    home = kafka.home("3.9.1")
    with tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(["java", "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{home}/libs/*",
                                  "org.apache.zookeeper.ZooKeeperMain", "-waitforconnection", "-server", host.address],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
        patience = threading.Timer(2 * WAIT, child.kill)    # Ends what waits for an event that does not come.
        patience.start()
        child.stdin.write("\n".join(commands) + "\n")
        child.stdin.flush()
        text = ""
        for line in child.stdout:
            text += line
            # Events are another thread's to print, which the end of the shell does not wait for.
            if not child.stdin.closed and all(event in text for event in ("NodeDataChanged path:/z", "NodeCreated path:/z/deep")):
                child.stdin.write("close\n")
                child.stdin.close()
        child.wait()
        patience.cancel()
        errors.seek(0)
        text += errors.read()
    for wanted in ("[0]", '"partitions":{', "Created /z\n", "type:NodeDataChanged path:/z", "dataLength = 3",
                   "Created /z/n-0000000000", "[n-0000000000]", "Created /z/c", "Created /z/t", "'world,'anyone",
                   "digest: a", "/z/n-0000000000", "type:NodeCreated path:/z/deep", "/z/deep", "version No is not valid",
                   "Sync is OK", "Node does not exist: /z"):
        checks.that(wanted in text, f"the shell says {wanted.strip()}", text[-3000:])


def meddling(host):
    """What clients do to Kafka's own nodes does the broker no harm."""
    with host.client() as zk:
        zk.set("/brokers/topics/seen", b"\xff{not json")
        zk.set("/latest_producer_id_block", b"[]")
        zk.create("/brokers/topics/junk", b"{}")
        zk.create("/admin/delete_topics/junk2")
        zk.delete("/controller")
        zk.delete("/brokers/ids/0")
        zk.delete("/brokers/topics/seen/partitions", recursive=True)
        zk.delete("/config", recursive=True)
    checks.equal(host.create_topic("after"), 0, "the broker goes on creating topics")
    checks.that(host.broker.alive(), "and lives")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", default="milena", choices=brokers.KINDS)
    against = parser.parse_args().against
    logging.disable(logging.CRITICAL)   # kazoo tells of every broken connection
    settings = {"milena.metadata.port": str(brokers.free_port())} if against == "milena" else {}
    with brokers.make(against, settings) as broker:
        host = Host(broker, int(settings.get("milena.metadata.port", 0)) or broker.zookeeper_port)
        for each in (kafkas_nodes, nodes, ephemerals, watches, transactions, access, sessions, words, shell):
            checks.run(each.__name__, each, host)
        if against == "milena":     # Elsewhere the broker and its ZooKeeper are two.
            checks.run("restart", restart, host)
            checks.run("meddling", meddling, host)
            checks.equal(broker.stop(), 0, "the broker ends cleanly")
        if checks.failed:
            print(f"--- the broker's last lines\n{broker.log_tail()}---")
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
