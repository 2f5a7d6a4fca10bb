"""mntr beside Apache ZooKeeper's: after the same was done to both, what Milena tells has the same name and kind there,
and what was counted the same value. Then what srst and a restart make of it.

    monitor.py [--show]     # with all lines of both
"""

import argparse
import contextlib
import re
import sys
import time

import hostile
import jute
import model
from harness.checks import Checks

# Connections of one address: those below, and one more for the words.
CONNECTIONS_MAX = 6
CONFIGURATION = f"4lw.commands.whitelist=*\nmaxClientCnxns={CONNECTIONS_MAX}\n"
SPREAD = ("avg", "min", "max", "cnt", "sum")
COUNTED = [
    "auth_failed_count", "connection_rejected", "connection_request_count", "connection_revalidate_count",
    "connection_drop_count", "stale_sessions_expired", "global_sessions", "local_sessions", "last_client_response_size",
    "min_client_response_size", "max_client_response_size", "znode_count", "ephemerals_count", "watch_count",
    "bytes_received_count", "response_bytes", "watch_bytes", "packets_received", "num_alive_connections", "cnt_readlatency", "cnt_updatelatency",
    *(f"{which}_node_{event}_watch_count" for event in ("created", "deleted", "changed", "children") for which in SPREAD)]
checks = Checks()


def mntr(port):
    return dict(line.split("\t") for line in jute.four_letters(port, "mntr").splitlines())


def kind(value):
    for name, read in (("whole", int), ("fraction", float)):
        with contextlib.suppress(ValueError):
            read(value)
            return name
    return "text"


def node(path, data=b"", flags=0):
    return jute.create(path, data, model.OPEN, flags)


def watched(path):
    return jute.text(path) + b"\1"


def work(port):
    """What two clients do; returns both."""
    one, two = jute.Client(port), jute.Client(port)
    one.call(jute.CREATE, node("/m", b"12345"))
    for client in (one, two):
        client.call(jute.EXISTS, watched("/m/new"))
        client.call(jute.GET_CHILDREN, watched("/m"))
    one.call(jute.CREATE, node("/m/new", b"x", 1))
    one.call(jute.GET_DATA, watched("/m/new"))
    two.call(jute.SET_DATA, jute.text("/m/new") + jute.text(b"longer") + jute.integer(-1))
    two.call(jute.GET_DATA, watched("/m/new"))
    two.call(jute.DELETE, jute.text("/m/new") + jute.integer(-1))
    two.call(jute.EXISTS, watched("/m"))
    one.call(jute.CREATE2, node("/m/ephemeral", b"", 1))
    one.call(jute.EXISTS, watched("/m/never"))
    return one, two


def leave(ports, leavers):
    """They go without a word, one of each server. A connection's watches are the last thing that a server forgets of it."""
    wanted = [int(mntr(port)["zk_watch_count"]) - 1 for port in ports]
    for leaver in leavers:
        leaver.close()
    until(ports, "zk_watch_count", wanted)


def return_to(port, one, two):
    """The first comes back, twice, and others come; returns who is still connected. Whom the server closes waits for that: it is
    not to count as one that left."""
    replaced = jute.Client(port, session=one.session, password=one.password)
    replaced.ping()
    jute.Client(port, session=one.session, password=bytes(16)).until_closed()
    again = jute.Client(port, session=one.session, password=one.password)
    replaced.until_closed()
    stranger = jute.Client(port)
    stranger.call(jute.AUTH, jute.integer(0) + jute.text("nothing") + jute.text(b"x"))
    stranger.until_closed()
    leaver = jute.Client(port)
    leaver.call(jute.CLOSE_SESSION)
    leaver.until_closed()
    again.ping()
    two.ping()
    return [again, two]


def turned_away(port):
    """One connection more than there may be."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(contextlib.closing(jute.Client(port))) for _ in range(CONNECTIONS_MAX)]
        try:
            with hostile.connected(port) as more:
                closed = more.recv(1) == b""
        except (BrokenPipeError, ConnectionResetError):    # Closed before it was known to be open.
            closed = True
        for client in held:
            client.call(jute.CLOSE_SESSION)
            client.until_closed()
    return closed


def expired(port):
    """A session that says nothing until the server has enough of it."""
    jute.Client(port, timeout=1).until_closed()


def until(ports, name, wanted):
    """Waits until it is so on each. Both are asked equally often, for that is counted too."""
    deadline = time.monotonic() + model.WAIT
    while (seen := [int(mntr(port)[name]) for port in ports]) != wanted:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{name} is {seen}, not {wanted}")
        time.sleep(0.05)


def counted(now):
    """What one server counted."""
    return {name: now.get(f"zk_{name}") for name in COUNTED}


def settled(ports):
    """mntr of both once they have counted the same, or never will: Apache ZooKeeper counts bytes behind the answer, and a
    session that expires before it has closed it."""
    deadline = time.monotonic() + model.WAIT
    while True:
        seen = [mntr(port) for port in ports]
        ours, theirs = map(counted, seen)
        if ours == theirs or time.monotonic() > deadline:
            return seen
        time.sleep(0.05)


def same(places, show):
    ports = [place.port for place in places]
    for port in ports:
        checks.that(turned_away(port), "a connection too many is closed")
    silent = [hostile.connected(port) for port in ports]
    first = [work(port) for port in ports]
    leave(ports, [one for one, _ in first])
    held = [return_to(port, *clients) for port, clients in zip(ports, first)]
    for port in ports:
        expired(port)
    until(ports, "zk_stale_sessions_expired", [1, 1])    # A connection may be given up a moment before its session.
    for connection in silent:
        checks.equal(connection.recv(1), b"", "who says nothing is closed")
        connection.close()
    for clients in held:
        for client in clients:
            client.ping()
    ours, theirs = settled(ports)
    if show:
        for name in sorted(ours | theirs):
            print(f"{name}\t{ours.get(name)}\t{theirs.get(name)}")
    checks.equal([name for name in ours if name not in theirs], [], "every line has a name of Apache ZooKeeper's")
    checks.equal([name for name in ours if kind(ours[name]) != kind(theirs.get(name, ""))], [], "and is of its kind")
    for name in COUNTED:
        checks.equal(counted(ours)[name], counted(theirs)[name], f"{name} is Apache ZooKeeper's")
    # There, a silent connection of a session counts too, if it is found before the session is.
    name = "zk_sessionless_connections_expired"
    ours, theirs = int(ours[name]), int(theirs[name])
    checks.that((ours, theirs) in ((1, 1), (1, 2)), f"a connection without a session expired once, not {ours}, {theirs}")
    for port in ports:
        jute.four_letters(port, "srst")
    again = [mntr(port) for port in ports]
    for name in ("cnt_updatelatency", "cnt_fsynctime", "cnt_dbinittime", "sum_node_created_watch_count", "watch_bytes",
                 "stale_sessions_expired", "connection_request_count", "znode_count", "watch_count"):
        checks.equal(again[0][f"zk_{name}"], again[1][f"zk_{name}"], f"{name} after srst")


def restarted(place):
    """What a start tells of itself."""
    client = jute.Client(place.port)
    for number in range(20):
        client.call(jute.CREATE, node(f"/again{number}"))
    last = int(re.search("Zxid: (0x.*)", jute.four_letters(place.port, "srvr"))[1], 16)
    place.restart()
    place.process.wait_for(model.SERVING, model.WAIT)
    seen = mntr(place.port)
    checks.equal([int(seen[f"zk_{which}_startup_txns_loaded"]) for which in ("cnt", "sum")], [1, last],
                 "a start tells how many transactions it loaded")
    checks.equal([seen[f"zk_cnt_{name}"] for name in ("dbinittime", "startup_snap_load_time", "startup_txns_load_time")],
                 ["1"] * 3, "and that it has timed it")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--show", action="store_true", help="all lines of both")
    options = parser.parse_args()
    with model.ours(CONFIGURATION) as ours, model.theirs(CONFIGURATION) as theirs:
        checks.run("same", same, [ours, theirs], options.show)
        checks.run("restarted", restarted, ours)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
