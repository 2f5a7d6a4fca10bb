"""Random sequences of operations, compared reply for reply and event for event with Apache ZooKeeper beside it.

    model.py [--seeds 1-20] [--steps 250]

Not compared: zxids but for which are the same, times, the order of children and that of the ids that `auth` stands for;
and a character outside the basic plane, which Apache ZooKeeper writes as two surrogates that its own client cannot read.
A seed that shows a difference is printed with its last steps; run it alone with --seeds N.
"""

import argparse
import base64
import contextlib
import hashlib
import itertools
import os
import pathlib
import random
import re
import shutil
import signal
import struct
import sys
import tempfile
import zlib

import jute
from harness import brokers, kafka
from harness.checks import Checks

BINARY = os.environ.get("MILENA_BINARY", str(brokers.ROOT / "build/milena"))
WAIT = 60
SERVING = re.compile("^serving ")
# Each server looks for containers to delete at a time of its own; none of them does within this test.
NO_REAPING = "znode.container.checkIntervalMs"
A_DAY_MS = 86_400_000
CONNECTIONS = 3
NAMES = "abc"
FACE, FACE_OF_SURROGATES = "\U0001f600".encode(), "\ud83d\ude00".encode(errors="surrogatepass")
ODD_PATHS = ["", "/", "a", "/a/", "//", "/a//b", "/./a", "/a/..", "/a\0b", "/\x01", "/\x85", "/\ue000", "/\ufff1", "/\xe9",
             "/\u4e2d", "/" + FACE.decode(), "/zookeeper", "/zookeeper/quota", "/zookeeper/config", "/zookeeper/x", "/.", "/a.b",
             None, "/zookeeper/config/x", "/a/\x7f"]


def digest(user):
    return user.split(":")[0] + ":" + base64.b64encode(hashlib.sha1(user.encode()).digest()).decode()


OPEN = [(31, "world", "anyone")]
ACLS = [OPEN] * 12 + [
    [(1, "world", "anyone")], [(31, "auth", "")], [(31, "digest", digest("u:p"))],
    [(31, "digest", digest("v:q")), (1, "world", "anyone")], [(9, "world", "anyone")], [(5, "world", "anyone")],
    [(31, "ip", "127.0.0.1")], [(31, "ip", "127.0.0.0/8")], [(31, "ip", "10.0.0.1")], [(31, "ip", "::1/200")],
    [(31, "ip", "127.0.0.1/33")], [(31, "ip", "x")], [(31, "world", "someone")], [(31, "digest", "u:")],
    [(31, "digest", ":x")], [(31, "digest", "a:b:c")], [(31, "nothing", "x")], [], None, [(0, "world", "anyone")],
    [(31, "world", "anyone"), (31, "world", "anyone")], [(64, "world", "anyone")], [(31, "super", "x")],
    [(31, "digest", digest("u:p")), (4, "auth", "ignored")], [(31, None, "x")]]


def proven_in_order(values):
    """Entries of an ACL; those that stand for `auth` come in the order of a hash of Java's."""
    entries = []
    for head, run in itertools.groupby(values, lambda value: value[:2] if isinstance(value, tuple) else None):
        entries += sorted(run) if head and head[1] == b"digest" else run
    return entries


class Place:
    """A server of either kind, on a port of its own."""

    def __init__(self, words, more=""):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="milena-test-model-"))
        self.port = brokers.free_port()
        (self.folder / "zoo.cfg").write_text(
            f"dataDir={self.folder / 'data'}\nclientPort={self.port}\nclientPortAddress=127.0.0.1\ntickTime=2000\n"
            f"admin.enableServer=false\nmaxSessionTimeout={jute.LASTING_MS}\n{NO_REAPING}={A_DAY_MS}\n{more}")
        self.words = [*words, str(self.folder / "zoo.cfg")]
        self.process = brokers.Process(self.words, self.folder / "log")

    def restart(self):
        """kill -9, and the same again."""
        self.process.end(signal.SIGKILL, WAIT)
        self.process = brokers.Process(self.words, self.folder / "log")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.end(signal.SIGKILL, WAIT)
        shutil.rmtree(self.folder, ignore_errors=True)


def ours(more="maxClientCnxns=0\n"):
    place = Place([BINARY, "metadata"], more)
    place.process.wait_for(SERVING, brokers.START_SECONDS)
    return place


def theirs(more="maxClientCnxns=0\n"):
    home = kafka.home("3.9.1")
    place = Place(["java", "-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dzookeeper.extendedTypesEnabled=true",
                   "-Dzookeeper.digest.enabled=false", f"-D{NO_REAPING}={A_DAY_MS}", "-Dlog4j.configuration=file:" +
                   str(pathlib.Path(__file__).resolve().parent.parent / "harness/log4j.properties"),
                   "-cp", f"{home}/libs/*", "org.apache.zookeeper.server.quorum.QuorumPeerMain"], more)
    place.process.wait_for(brokers.ZOOKEEPER_SERVING, brokers.START_SECONDS)
    return place


class Side:
    """One server as the sequence sees it; what differs by nature is given names in the order of appearance."""

    def __init__(self, port, root):
        self.port, self.root = port, root
        self.zxids, self.owners = {0: "none"}, {0: "nobody"}
        self.clients = [self.connect() for _ in range(CONNECTIONS)]

    def connect(self, **more):
        client = jute.Client(self.port, **more)
        self.owners.setdefault(client.session, f"session {len(self.owners)}")
        return client

    def masked(self, value):
        if isinstance(value, dict):
            # A setACL changes no zxid and a node without data has length 0, so all the rest is compared as it is.
            value = dict(value)
            for key in ("czxid", "mzxid", "pzxid"):
                value[key] = self.zxids.setdefault(value[key], f"zxid {len(self.zxids)}")
            value["ctime"], value["mtime"] = bool(value["ctime"]), bool(value["mtime"])
            if value["czxid"] == "none":    # /zookeeper/config has an aversion of -1 there; ours began with 0 once.
                value["aversion"] = 0
            value["owner"] = self.owners.get(value["owner"], f"an unknown session {value['owner']:#x}")
            return value
        if isinstance(value, list):
            value = proven_in_order(value)
        if isinstance(value, (tuple, list)):
            return type(value)(self.masked(each) for each in value)
        return value.replace(FACE_OF_SURROGATES, FACE) if isinstance(value, bytes) else value

    def step(self, index, kind, payload):
        """What one request does to all connections."""
        client = self.clients[index]
        try:
            outcome = self.masked(client.call(kind, payload))
        except jute.Closed:
            outcome = "closed"
        if outcome != "closed":
            with contextlib.suppress(jute.Closed):
                client.ping()    # What closes behind its answer may answer this one yet, but none that is sent after it.
        for other in self.clients:
            if other is not client:
                with contextlib.suppress(jute.Closed):
                    other.ping()
        events = [self.masked(client.take_events()) for client in self.clients]
        # The ephemerals of a session go in the order of a hash of Java's.
        return outcome, [sorted(each) for each in events] if kind == jute.CLOSE_SESSION else events

    def lives(self, index):
        try:
            self.clients[index].ping()
            return True
        except jute.Closed:
            return False

    def end(self):
        """No session is left, and nothing of it."""
        for client in self.clients:
            client.close()
            with contextlib.suppress(jute.Closed):
                again = self.connect(session=client.session, password=client.password)
                again.call(jute.CLOSE_SESSION)
                again.close()


class Sequence:
    """Draws requests: as (name, kind, payload)."""

    def __init__(self, seed):
        self.draw = random.Random(seed)
        self.root = f"/s{seed}"
        self.index = 0      # Of the connection that asks.

    def path(self):
        if self.draw.random() < 0.06:
            return self.draw.choice(ODD_PATHS)
        return self.root + "".join("/" + self.draw.choice(NAMES) for _ in range(self.draw.choice([0, 1, 1, 1, 2, 2, 3])))

    def data(self):
        return self.draw.choice([None, b"", b"x", b"some data", b"\0\xff" * 20])

    def version(self):
        return self.draw.choice([-1, -1, -1, 0, 0, 1, 2, 7, -2])

    def acl(self):
        return self.draw.choice(ACLS)

    def write_op(self, in_multi=False):
        which = self.draw.choice(["create"] * 5 + ["create2"] * 2 + ["delete"] * 4 + ["set"] * 4 + ["container", "ttl"] +
                                 (["check"] * 3 if in_multi else ["acl"] * 2))
        if which in ("create", "create2"):
            flags = self.draw.choice([0, 0, 0, 0, 1, 1, 2, 2, 3, 4])
            if not in_multi and self.draw.random() < 0.03:
                flags = self.draw.choice([5, 6, 7, -1, 100])
            return jute.CREATE if which == "create" else jute.CREATE2, jute.create(self.path(), self.data(), self.acl(), flags)
        if which == "container":
            return jute.CREATE_CONTAINER, jute.create(self.path(), self.data(), self.acl(), 4)
        if which == "ttl":
            ttl = self.draw.choice([3600000, 1, 2**40 - 1] if in_multi else [3600000, 0, -1, 2**40, 2**40 - 1])
            ttl = 3600000 if ttl == 1 else ttl
            return jute.CREATE_TTL, (jute.create(self.path(), self.data(), self.acl(), self.draw.choice([5, 6])) +
                                     struct.pack(">q", ttl))
        if which == "delete":
            return jute.DELETE, jute.text(self.path()) + jute.integer(self.version())
        if which == "set":
            return jute.SET_DATA, jute.text(self.path()) + jute.text(self.data()) + jute.integer(self.version())
        if which == "acl":
            return jute.SET_ACL, jute.text(self.path()) + jute.acls(self.acl()) + jute.integer(self.version())
        return jute.CHECK, jute.text(self.path()) + jute.integer(self.version())

    def read_op(self):
        kind = self.draw.choice([jute.EXISTS, jute.GET_DATA, jute.GET_CHILDREN, jute.GET_CHILDREN2])
        return kind, jute.text(self.path()) + jute.boolean(self.draw.random() < 0.5 and not self.is_persistent())

    def is_persistent(self):
        """Whether the connection is the one for persistent watches. In 3.8 a watch that fires once takes the place of a
        persistent one of the same path, and a persistent one can be removed by half; 3.9 mended the first."""
        return self.index == CONNECTIONS - 1

    def paths(self):
        return None if self.draw.random() < 0.05 else [self.path() or "/" for _ in range(self.draw.randrange(4))]

    def other_op(self):
        draw = self.draw
        which = draw.randrange(12)
        if which == 0:
            return draw.choice([jute.GET_ACL, jute.SYNC, jute.GET_ALL_CHILDREN_NUMBER]), jute.text(self.path())
        if which == 1 and self.is_persistent():
            path, mode = self.path(), draw.choice([0, 1, 0, 1, 2, -1])
            if mode in (0, 1):      # In 3.8 the second mode of a path takes the place of the first, in 3.9 there are both.
                mode = zlib.crc32((path or "").encode()) % 2
            return jute.ADD_WATCH, jute.text(path) + jute.integer(mode)
        if which == 2:
            kinds = [3, 3, 0, 4] if self.is_persistent() else [1, 2, 3, 3, 0, 4]
            if draw.random() < 0.2:     # With a right type 3.8 takes the watches of others for the client's own.
                return jute.CHECK_WATCHES, jute.text(self.path()) + jute.integer(draw.choice([0, 4]))
            return jute.REMOVE_WATCHES, jute.text(self.path()) + jute.integer(draw.choice(kinds))
        if which == 3 and not self.is_persistent():
            lists = b"".join(jute.vector(self.paths(), jute.text) for _ in range(3))
            since = struct.pack(">q", draw.choice([0, 2**62]))
            if draw.random() < 0.5:
                return jute.SET_WATCHES, since + lists
            return jute.SET_WATCHES2, since + lists + jute.vector([], jute.text) * 2
        if which == 4:
            return jute.AUTH, jute.integer(0) + jute.text("digest") + jute.text(draw.choice(["u:p", "v:q", "", "nobody", "a:b:c"]))
        if which == 5:
            return jute.AUTH, (jute.integer(0) + jute.text(draw.choice(["ip", "world", "digest", "nothing", None])) +
                               jute.text(draw.choice([None, b"x:y"])))
        if which == 6:
            return jute.WHO_AM_I, b""
        if which == 7:
            return jute.GET_EPHEMERALS, jute.text(draw.choice(["/", "", " ", None, self.root, self.root + "/a"]))
        if which == 8:
            return draw.choice([jute.RECONFIG, jute.DELETE_CONTAINER, jute.SASL, 0, 10, 99, 200, -5, jute.CLOSE_SESSION]), bytes(40)
        if which == 9:
            reads = [self.read_op() for _ in range(draw.randrange(4))]
            reads = [each for each in reads if each[0] in (jute.GET_DATA, jute.GET_CHILDREN) or draw.random() < 0.1]
            return jute.MULTI_READ, jute.multi(reads)
        if which == 10:
            kind, payload = draw.choice([self.write_op, self.read_op])()
            return kind, payload[:draw.randrange(len(payload))]
        return jute.GET_ACL, jute.text(self.path())

    def multi(self):
        ops = [self.write_op(True) for _ in range(self.draw.randrange(5))]
        if self.draw.random() < 0.05:
            odd = self.draw.choice([(jute.MULTI, jute.multi([])), (jute.GET_DATA, jute.text("/") + b"\0"), (77, b""),
                                    (jute.SET_ACL, jute.text("/") + jute.acls(OPEN) + jute.integer(-1))])
            ops.insert(self.draw.randrange(len(ops) + 1), odd)
        return jute.MULTI, jute.multi(ops)

    def next(self, index):
        self.index = index
        which = self.draw.random()
        if which < 0.4:
            return self.write_op()
        if which < 0.6:
            return self.read_op()
        return self.multi() if which < 0.75 else self.other_op()


def withheld(theirs, index, kind, seen):
    """Whether all that differs are events of a setWatches for nodes that the client may not read: there Apache ZooKeeper
    3.8.4 tells of them, as it no longer does elsewhere (CVE-2024-23944), and Milena does not."""
    (outcome, ours_events), (their_outcome, their_events) = seen
    if kind not in (jute.SET_WATCHES, jute.SET_WATCHES2) or outcome != their_outcome:
        return False
    more = [event for event in their_events[index] if event not in ours_events[index]]
    told = [event for event in their_events[index] if event in ours_events[index]]
    return told == ours_events[index] and all(
        theirs.clients[index].call(jute.EXISTS, jute.text(path) + b"\0")[0] == -102 for _, _, path in more)


def compare(seed, steps, ports):
    """The first difference, as lines; none when there is none."""
    sequence = Sequence(seed)
    sides = [Side(port, sequence.root) for port in ports]
    trail = []
    try:
        for side in sides:
            side.clients[0].call(jute.CREATE, jute.create(sequence.root, b"", OPEN, 0))
        for _ in range(steps):
            index = sequence.draw.randrange(CONNECTIONS)
            kind, payload = sequence.next(index)
            seen = [side.step(index, kind, payload) for side in sides]
            trail.append(f"connection {index}: {kind} {payload!r}")
            if seen[0] != seen[1] and not withheld(sides[1], index, kind, seen):
                return [*trail[-8:], f"ours:   {seen[0]}", f"theirs: {seen[1]}"]
            lives = [side.lives(index) for side in sides]
            if lives[0] != lives[1]:
                return [*trail[-8:], f"the connection lives: ours {lives[0]}, theirs {lives[1]}"]
            reconnects = sequence.draw.random()
            if not lives[0] or reconnects < 0.01:
                trail.append(f"connection {index} comes back")
                for side in sides:
                    client = side.clients[index]
                    client.close()
                    side.clients[index] = side.connect(session=client.session, password=client.password)
                timeouts = [side.clients[index].timeout for side in sides]
                if timeouts[0] != timeouts[1]:
                    return [*trail[-8:], f"the time-outs differ: {timeouts}"]
                if timeouts[0] == 0:    # The session was closed.
                    for side in sides:
                        side.clients[index].close()
                        side.clients[index] = side.connect()
        return []
    finally:
        for side in sides:
            side.end()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", default="1-12")
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--ports", help="servers that run already: OURS,THEIRS")
    options = parser.parse_args()
    first, _, last = options.seeds.partition("-")
    checks = Checks()
    with contextlib.ExitStack() as stack:
        if options.ports:
            ports = [int(port) for port in options.ports.split(",")]
        else:
            ports = [stack.enter_context(each()).port for each in (ours, theirs)]
        for seed in range(int(first), int(last or first) + 1):
            difference = compare(seed, options.steps, ports)
            checks.that(not difference, f"seed {seed}: {options.steps} operations as Apache ZooKeeper answers them",
                        "\n" + "\n".join(difference))
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
