"""Islands: processes in network namespaces of their own, with a switch between them. Linux; as root.

    with Network() as network:
        island = network.island()
        Process([*island.prefix, ...])      # serves at island.address; this side is network.address
        island.lift()                       # its cable is pulled: packets go nowhere, and nobody is told
        one.away_from(other)                # what `one` sends to `other` does not get there, all else does
        island.heal()

Unlike a proxy, nobody sees a connection end when the network does.

Threads: the test's.
"""

import ipaddress
import itertools
import os
import subprocess


def ip(*words):
    """Run ip(8). RuntimeError with what it said."""
    done = subprocess.run(["ip", *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(map(str, words))}: {done.stderr.strip()}")


class Island:
    def __init__(self, name, bridge, address, prefix_length):
        self.name, self.address, self.cable, self.barred = name, address, f"{name}o", set()
        self.prefix = ("ip", "netns", "exec", name)
        ip("netns", "add", name)
        ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("link", "set", self.cable, "master", bridge, "up")
        ip("-n", name, "addr", "add", f"{address}/{prefix_length}", "dev", "eth0")
        for device in ("lo", "eth0"):
            ip("-n", name, "link", "set", device, "up")

    def lift(self):
        ip("link", "set", self.cable, "down")

    def away_from(self, other):
        ip("-n", self.name, "route", "add", "blackhole", other.address)
        self.barred.add(other.address)

    def heal(self):
        ip("link", "set", self.cable, "up")
        while self.barred:
            ip("-n", self.name, "route", "del", "blackhole", self.barred.pop())

    def remove(self):
        ip("netns", "del", self.name)       # The cable goes with it.


class Network:
    """A bridge of this machine, 10.213.x.0/24, and islands at it."""

    def __init__(self):
        self.tag = f"mil{os.getpid() % 100000}"
        self.hosts = ipaddress.ip_network(f"10.213.{os.getpid() % 256}.0/24")
        self.free, self.islands = itertools.count(1), []

    def __enter__(self):
        ip("link", "add", self.tag, "type", "bridge")
        self.address = self._next_address()
        ip("addr", "add", f"{self.address}/{self.hosts.prefixlen}", "dev", self.tag)
        ip("link", "set", self.tag, "up")
        return self

    def _next_address(self):
        return str(self.hosts[next(self.free)])

    def island(self):
        self.islands.append(Island(f"{self.tag}n{len(self.islands)}", self.tag, self._next_address(), self.hosts.prefixlen))
        return self.islands[-1]

    def __exit__(self, *_):
        for island in self.islands:
            island.remove()
        ip("link", "del", self.tag)
