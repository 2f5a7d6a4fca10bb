"""Thousands of sessions that say nothing: what each costs, with its connection, and that the server has no work with them."""

import pathlib
import resource
import struct
import sys
import time

import hostile
import jute
import model
from harness.checks import Checks

SESSIONS = 8000
BYTES_MAX = 2048        # Of one session and its connection: 1,860 on x86-64 with glibc 2.36.
FIRST = 1000            # What the server takes once, it has taken then.
AT_ONCE = 250           # On their way together: they share a few fsyncs, and take no more memory than the first did.
DESCRIPTORS = FIRST + SESSIONS + 500
TIMEOUT = 1_000_000     # Nobody pings here.


def sessions(port, count):
    """So many sessions."""
    hello = hostile.frame(hostile.connect_request(timeout=TIMEOUT))
    opened = []
    while len(opened) < count:
        some = [hostile.connected(port) for _ in range(min(AT_ONCE, count - len(opened)))]
        for connection in some:
            connection.sendall(hello)
        for connection in some:
            size = struct.unpack(">i", exactly(connection, 4))[0]
            assert struct.unpack(">iiq", exactly(connection, size)[:16])[1] == TIMEOUT
        opened += some
    return opened


def exactly(connection, size):
    data = b""
    while len(data) < size:
        got = connection.recv(size - len(data))
        if not got:
            raise jute.Closed
        data += got
    return data


def switches(pid):
    """How often the server's threads have gone to sleep."""
    return sum(int(line.split()[1]) for thread in pathlib.Path(f"/proc/{pid}/task").iterdir()
               for line in (thread / "status").read_text().splitlines() if line.startswith("voluntary_ctxt_switches"))


def idle(checks):
    with model.ours(f"maxClientCnxns=0\nmaxSessionTimeout={TIMEOUT}\n") as place:
        pid = place.process.child.pid
        held = sessions(place.port, FIRST)
        before = hostile.resident_kib(pid)
        count = min(SESSIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - FIRST - 500)
        held += sessions(place.port, count)
        each = (hostile.resident_kib(pid) - before) * 1024 / count
        checks.that(each <= BYTES_MAX, f"an idle session costs at most {BYTES_MAX} bytes", each)
        print(f"an idle session costs {each:.0f} bytes")
        # Two ticks of the clock that sessions end by: who looked at each session would show.
        begun = switches(pid)
        time.sleep(4)
        checks.that(switches(pid) - begun < 100, "and no work", switches(pid) - begun)
        for connection in held:
            connection.close()


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, DESCRIPTORS)), hard))
    checks = Checks()
    checks.run("idle", idle, checks)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
