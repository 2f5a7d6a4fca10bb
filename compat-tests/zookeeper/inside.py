"""The service inside a broker: where it listens, and the ids that brokers without one take from it."""

import contextlib
import errno
import logging
import re
import socket
import sys

from kazoo.client import KazooClient

from harness import brokers
from harness.checks import Checks

WAIT = 60
# Another address of this machine: nobody listens there who listens on 127.0.0.1.
ELSEWHERE = "127.0.0.2"
WARNING = "milena.metadata.listener is not an address of this machine alone"
checks = Checks()


def answers(host, port):
    """Whether the service does, there."""
    try:
        with socket.create_connection((host, port), WAIT) as connection:
            connection.sendall(b"ruok")
            return connection.recv(4) == b"imok"
    except OSError as error:
        if error.errno not in (errno.ECONNREFUSED, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            raise
    return False


@contextlib.contextmanager
def serving(**settings):
    """A broker and the port of its service. The name of a key has _ for each dot."""
    port = brokers.free_port()
    more = {key.replace("_", "."): value for key, value in settings.items()}
    with brokers.Milena({"milena.metadata.port": str(port), **more}) as broker:
        yield broker, port


def listening():
    with serving() as (broker, port):
        hosts = [host for host in ("127.0.0.1", "::1", ELSEWHERE) if answers(host, port)]
        # A machine without IPv6 has no ::1.
        checks.that(hosts in (["127.0.0.1", "::1"], ["127.0.0.1"]), "the service is for this machine alone", hosts)
        said = "".join(broker.process.lines)
        checks.that(WARNING not in said, "and nobody is warned", said)
    with serving(milena_metadata_listener=ELSEWHERE) as (broker, port):
        checks.equal([host for host in ("127.0.0.1", ELSEWHERE) if answers(host, port)], [ELSEWHERE], "or where it is told to be")
    with serving(milena_metadata_listener="0.0.0.0") as (broker, port):
        checks.that(answers("127.0.0.1", port) and answers(ELSEWHERE, port), "everywhere, too")
        broker.process.wait_for(re.compile(f"{WARNING}: whoever reaches port {port} can change the cluster"), WAIT)
        checks.that(True, "with a warning of who can change the cluster")


def numbered():
    """broker.id=-1, Kafka's default with ZooKeeper: the first is 1001."""
    with serving(broker_id="-1") as (first, port):
        elsewhere = {"zookeeper.connect": f"127.0.0.1:{port}", "broker.id": "-1"}
        zk = KazooClient(f"127.0.0.1:{port}", timeout=30.0)
        zk.start(WAIT)
        with brokers.Milena(elsewhere) as second:
            checks.equal(sorted(zk.get_children("/brokers/ids")), ["1001", "1002"], "brokers without a number get the next one")
            checks.equal(zk.get("/brokers/seqid")[1].version, 2, "from /brokers/seqid")
            second.kill()
            second.start()
            checks.equal(sorted(zk.get_children("/brokers/ids")), ["1001", "1002"], "and keep it")
            checks.equal(zk.get("/brokers/seqid")[1].version, 2, "without a look there")
        checks.equal(zk.get_children("/brokers/ids"), ["1001"], "who ends well is gone at once")
        zk.stop()
        zk.close()


def main():
    logging.disable(logging.CRITICAL)   # kazoo tells of every broken connection
    for each in (listening, numbered):
        checks.run(each.__name__, each)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
