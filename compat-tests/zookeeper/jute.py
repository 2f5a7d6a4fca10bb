"""ZooKeeper's protocol as the model test speaks it: requests from plain values, replies back to them."""

import contextlib
import socket
import struct

CREATE, DELETE, EXISTS, GET_DATA, SET_DATA, GET_ACL, SET_ACL, GET_CHILDREN, SYNC = range(1, 10)
PING, GET_CHILDREN2, CHECK, MULTI, CREATE2, RECONFIG, CHECK_WATCHES, REMOVE_WATCHES, CREATE_CONTAINER = range(11, 20)
DELETE_CONTAINER, CREATE_TTL, MULTI_READ = 20, 21, 22
AUTH, SET_WATCHES, SASL, GET_EPHEMERALS, GET_ALL_CHILDREN_NUMBER, SET_WATCHES2, ADD_WATCH, WHO_AM_I = range(100, 108)
CLOSE_SESSION = -11

SECONDS = 60            # Of patience with a server.
LASTING_MS = 600_000    # A session that outlives whatever stands still for a while, where maxSessionTimeout allows it.


def integer(value):
    return struct.pack(">i", value)


def text(value):
    """A string or a buffer: bytes, str or None."""
    if value is None:
        return integer(-1)
    value = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    return integer(len(value)) + value


def vector(values, write):
    return integer(-1) if values is None else integer(len(values)) + b"".join(map(write, values))


def boolean(value):
    return b"\1" if value else b"\0"


def acls(values):
    return vector(values, lambda acl: integer(acl[0]) + text(acl[1]) + text(acl[2]))


def create(path, data, acl, flags):
    return text(path) + text(data) + acls(acl) + integer(flags)


def multi(ops):
    """`ops`: (type, body) each."""
    return b"".join(integer(kind) + b"\0" + integer(-1) + body for kind, body in ops) + integer(-1) + b"\1" + integer(-1)


class Short(Exception):
    """A body that ends too soon."""


class Body:
    """A reply's body, read from its front."""

    def __init__(self, data):
        self.data = data

    def take(self, size):
        if len(self.data) < size:
            raise Short
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def integer(self):
        return struct.unpack(">i", self.take(4))[0]

    def long(self):
        return struct.unpack(">q", self.take(8))[0]

    def text(self):
        size = self.integer()
        return None if size < 0 else self.take(size)

    def vector(self, read):
        return [read() for _ in range(self.integer())]

    def stat(self):
        names = ("czxid", "mzxid", "ctime", "mtime", "version", "cversion", "aversion", "owner", "length", "children", "pzxid")
        return dict(zip(names, struct.unpack(">qqqqiiiqiiq", self.take(68))))

    def acl(self):
        return self.vector(lambda: (self.integer(), self.text(), self.text()))


def read_body(kind, body):
    """What a successful reply to a request of `kind` holds."""
    if kind in (CREATE, SYNC):
        return body.text()
    if kind in (CREATE2, CREATE_CONTAINER, CREATE_TTL):
        return body.text(), body.stat()
    if kind in (EXISTS, SET_DATA, SET_ACL):
        return body.stat()
    if kind == GET_DATA:
        return body.text(), body.stat()
    if kind == GET_ACL:
        return body.acl(), body.stat()
    if kind in (GET_CHILDREN, GET_EPHEMERALS):
        return sorted(body.vector(body.text))
    if kind == GET_CHILDREN2:
        return sorted(body.vector(body.text)), body.stat()
    if kind in (GET_ALL_CHILDREN_NUMBER, ADD_WATCH):
        return body.integer()
    if kind == WHO_AM_I:
        return sorted(body.vector(lambda: (body.text(), body.text())))
    if kind == SASL:
        return body.text()
    if kind in (MULTI, MULTI_READ):
        results = []
        while True:
            each, done, err = body.integer(), body.take(1), body.integer()
            if done == b"\1":
                return results
            results.append((each, err, body.integer() if each == -1 else read_body(each, body)))
    return None


class Closed(Exception):
    """The server closed the connection."""


class Client:
    """One connection with its session."""

    def __init__(self, port, timeout=LASTING_MS, session=0, password=bytes(16), last_zxid=0):
        self.socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.events, self.xid = [], 0
        self.send(struct.pack(">iqiq", 0, last_zxid, timeout, session) + text(password) + b"\0")
        answer = Body(self.frame())
        answer.integer()
        self.timeout, self.session, self.password = answer.integer(), answer.long(), answer.text()

    def send(self, payload):
        try:
            self.socket.sendall(integer(len(payload)) + payload)
        except OSError as error:
            raise Closed from error

    def exactly(self, size):
        data = b""
        while len(data) < size:
            try:
                got = self.socket.recv(size - len(data))
            except ConnectionError as error:
                raise Closed from error
            if not got:
                raise Closed
            data += got
        return data

    def frame(self):
        return self.exactly(struct.unpack(">i", self.exactly(4))[0])

    def call(self, kind, payload=b"", xid=None):
        """(err, body) of the reply; events that came before it go to `events`. Closed when there was none."""
        if xid is None:
            self.xid += 1
            xid = self.xid
        self.send(integer(xid) + integer(kind) + payload)
        while True:
            body = Body(self.frame())
            answered, _, err = body.integer(), body.long(), body.integer()
            if answered == -1 and xid != -1:
                self.events.append((body.integer(), body.integer(), body.text()))
                continue
            if answered != xid:
                raise AssertionError(f"reply to {answered} instead of {xid}")
            if err != 0:    # What may stand behind an error is nobody's business: clients do not look.
                return err, None
            try:
                read = read_body(kind, body)
            except Short:
                return err, "a body that is too short"
            return err, read if not body.data else ("and bytes behind it", body.data)

    def ping(self):
        """Events that were on their way are in `events` then."""
        self.call(PING, xid=-2)

    def take_events(self):
        taken, self.events = self.events, []
        return taken

    def close(self):
        self.socket.close()

    def until_closed(self):
        """Waits for the server to close."""
        with contextlib.suppress(Closed):
            while True:
                self.frame()
        self.close()


def four_letters(port, word):
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.sendall(word.encode())
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
