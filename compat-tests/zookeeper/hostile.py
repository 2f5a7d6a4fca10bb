"""What no client should send: the same bytes to Apache ZooKeeper and to Milena, and what becomes of each connection.

    hostile.py [same] [passwords] [storm] [deaf]

A script is what one connection sends; its outcome is every frame that came back, with what differs by nature masked, and
whether the server closed behind them. A witness with a session of its own is served after each. Then what only Milena is
held to: a client that never reads costs a bounded amount of memory.
"""

import argparse
import contextlib
import pathlib
import select
import socket
import struct
import sys

import jute
import model
from harness.checks import Checks

STORM = 2000
ASKED_BYTES_MAX = 64 << 20      # More than the buffers of two sockets hold.
checks = Checks()


def frame(payload):
    return jute.integer(len(payload)) + payload


def connect_request(session=0, password=bytes(16), last_zxid=0, protocol=0, timeout=30000):
    return struct.pack(">iqiq", protocol, last_zxid, timeout, session) + jute.text(password) + b"\0"


def request(xid, kind, payload=b""):
    return frame(jute.integer(xid) + jute.integer(kind) + payload)


HELLO = frame(connect_request())
PING = request(-2, jute.PING)
GET_ROOT = request(7, jute.GET_CHILDREN, jute.text("/") + b"\0")
LENGTHS = {"negative": -2, "-2147483648": -2**31, "2147483647": 2**31 - 1, "a byte more than there is": 2}

SCRIPTS = {
    # What ends with an error is not pinged behind it: Apache ZooKeeper may answer that before it closes, or not.
    "a second connect": [HELLO, HELLO],
    "a second connect with another session's id": [HELLO, frame(connect_request(session=0x1234))],
    "a ping before the connect": [PING],
    "a read before the connect": [GET_ROOT],
    "a create before the connect": [request(1, jute.CREATE, jute.create("/early", b"x" * 40, model.OPEN, 0))],
    "closeSession before the connect": [request(1, jute.CLOSE_SESSION)],
    "a connect cut short": [frame(connect_request()[:20])],
    "a connect with more behind it": [frame(connect_request() + b"more"), PING],
    "a connect without a flag": [frame(connect_request()[:-1]), PING],
    "a connect of another protocol version": [frame(connect_request(protocol=77)), PING],
    "a negative time-out": [frame(connect_request(timeout=-5)), PING],
    "a null password": [frame(connect_request(password=None)), PING],
    "a short password": [frame(connect_request(password=b"short")), PING],
    "a long password": [frame(connect_request(password=b"long" * 100)), PING],
    "a session that there is not": [frame(connect_request(session=0x100000000000007)), PING],
    "a later state than there is": [frame(connect_request(last_zxid=2**62)), PING],
    "an empty first frame": [frame(b"")],
    "an empty frame": [HELLO, frame(b""), PING],
    "a request without its type": [HELLO, frame(jute.integer(1)), PING],
    "a first length that is negative": [jute.integer(-1)],
    "a first length over the limit": [jute.integer(0x100000)],
    "a length that is negative": [HELLO, jute.integer(-1)],
    "a length over the limit": [HELLO, jute.integer(0x7fffffff)],
    "data over the limit": [HELLO, request(1, jute.CREATE, jute.create("/big", b"x" * 0x100000, model.OPEN, 0))[:8000]],
    "a multi in a multi": [HELLO, request(1, jute.MULTI, jute.multi([(jute.MULTI, jute.multi([]))])), PING],
    "a path of 900,000 bytes": [HELLO, request(3, jute.EXISTS, jute.text("/" + "p" * 899_999) + b"\0"), PING],
    "a path over the limit": [HELLO, request(3, jute.EXISTS, jute.text("/" + "p" * 0x100000) + b"\0")[:8000]],
    "closeSession": [HELLO, request(1, jute.CLOSE_SESSION)],
    **{f"a path whose length is {name}": [HELLO, request(3, jute.EXISTS, jute.integer(value) + b"/"), PING]
       for name, value in LENGTHS.items()},
    **{f"a list whose count is {name}": [HELLO, request(3, jute.CREATE, jute.text("/list") + jute.text(b"") +
                                                         jute.integer(value) + jute.integer(0)), PING]
       for name, value in LENGTHS.items()},
    **{f"data whose length is {name}": [HELLO, request(3, jute.SET_DATA, jute.text("/") + jute.integer(value)), PING]
       for name, value in LENGTHS.items()},
}


def masked(payload, is_first):
    """A frame without what two servers cannot have in common."""
    if is_first:
        protocol, timeout, session = struct.unpack(">iiq", payload[:16])
        return "connected", protocol, timeout, session != 0, len(payload)
    xid, _, err = struct.unpack(">iqi", payload[:16])
    return "reply", xid, err, b"" if err else payload[16:]


def connected(port):
    return socket.create_connection(("127.0.0.1", port), jute.SECONDS)


def outcome(port, script):
    """What came back, and whether the server closed. It is open if it answers to the last frame, or to a ping, still."""
    seen, waits = [], script
    with connected(port) as connection:
        data = b""
        while True:
            while len(data) >= 4 and len(data) >= 4 + struct.unpack(">i", data[:4])[0]:
                size = struct.unpack(">i", data[:4])[0]
                seen.append(masked(data[4:4 + size], not seen))
                data = data[4 + size:]
            # The rest once there is a session: who is cut off meanwhile may not be told of it.
            now, waits = (waits[:1], waits[1:]) if waits is script else (waits, []) if seen else ([], waits)
            with contextlib.suppress(OSError):
                connection.sendall(b"".join(now))
            if script[-1] == PING and seen and seen[-1][:2] == ("reply", -2):
                return seen, "open"
            try:
                got = connection.recv(65536)
            except ConnectionError:
                got = b""
            if not got:
                return seen, "closed"
            data += got


def same(sides):
    witnesses = [jute.Client(port) for port in sides]
    for name, script in SCRIPTS.items():
        ours, theirs = [outcome(port, script) for port in sides]
        checks.equal(ours, theirs, f"{name}: as Apache ZooKeeper")
        for witness in witnesses:
            witness.ping()
    for witness in witnesses:
        witness.close()


def passwords(sides):
    """A session is nobody's who lacks its password. Its owner does not notice the try; Apache ZooKeeper's has to come back."""
    for port in sides:
        owner = jute.Client(port)
        owner.call(jute.CREATE, jute.create("/mine", b"", model.OPEN, 1))
        for password in (bytes(16), owner.password[:-1] + bytes([owner.password[-1] ^ 1]), owner.password[:15], b""):
            seen = outcome(port, [frame(connect_request(session=owner.session, password=password)), GET_ROOT])
            checks.equal(seen, ([("connected", 0, 0, False, 37)], "closed"), f"{len(password)} wrong bytes get no session")
        if port == sides[0]:
            owner.ping()
        else:
            owner.close()
            owner = jute.Client(port, session=owner.session, password=owner.password)
        checks.equal(owner.call(jute.EXISTS, jute.text("/mine") + b"\0")[0], 0, "its owner keeps it, and what is its own")
        owner.call(jute.CLOSE_SESSION)
        owner.close()


def storm(sides):
    """Thousands of connections that say nothing: others are served, and they are closed after a while."""
    for port in sides:
        witness = jute.Client(port)
        silent = [connected(port) for _ in range(STORM)]
        witness.ping()
        jute.Client(port).close()
        checks.equal(sum(connection.recv(1) == b"" for connection in silent), STORM, "who says nothing is closed")
        for connection in silent:
            connection.close()
        witness.ping()
        witness.close()


def resident_kib(pid):
    return int(pathlib.Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0])


def deaf(place):
    """Clients that do not read: the one of its answers, the other of its events."""
    port, pid = place.port, place.process.child.pid
    writer = jute.Client(port)
    writer.call(jute.CREATE, jute.create("/big", b"x" * 1_000_000, model.OPEN, 0))
    before = resident_kib(pid)
    asker = jute.Client(port)
    asker.socket.setblocking(False)
    asked = 0
    # Until the server takes no more of them while it answers others; each is answered with a megabyte.
    get = request(1, jute.GET_DATA, jute.text("/big") + b"\0")
    refusals = 0
    while refusals < 2 and asked < ASKED_BYTES_MAX:
        if select.select([], [asker.socket], [], 2)[1]:
            refusals = 0
            with contextlib.suppress(BlockingIOError):
                asked += asker.socket.send(get * 1000)
        else:
            refusals += 1
        writer.ping()
    checks.that(asked < ASKED_BYTES_MAX, "a client that does not read its answers is not read from", asked)
    asker.close()

    name = "/" + "n" * 400_000
    writer.call(jute.CREATE, jute.create(name, b"", model.OPEN, 0))
    watcher = jute.Client(port)
    watcher.call(jute.ADD_WATCH, jute.text(name) + jute.integer(1))
    told = 0
    for told in range(1000):     # 400 MB of events.
        writer.call(jute.SET_DATA, jute.text(name) + jute.text(b"") + jute.integer(-1))
        if told % 50 == 49 and "\nConnections: 2\n" in jute.four_letters(port, "srvr"):
            break                # The writer, and who asks.
    checks.that(told < 999, "a client that does not read its events is closed")
    checks.that(resident_kib(pid) - before < 256 * 1024, "and memory is bounded", (before, resident_kib(pid)))
    writer.ping()
    writer.close()
    watcher.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="same, passwords, storm, deaf")
    options = parser.parse_args()
    wanted = options.names or ["same", "passwords", "storm", "deaf"]
    with contextlib.ExitStack() as stack:
        places = [stack.enter_context(each()) for each in (model.ours, model.theirs)]
        ports = [place.port for place in places]
        for each in (same, passwords, storm):
            if each.__name__ in wanted:
                checks.run(each.__name__, each, ports)
        if "deaf" in wanted:
            checks.run("deaf", deaf, places[0])
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
