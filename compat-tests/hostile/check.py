"""H1 to H11 and H16: attacks over raw sockets, each beside a control client that must not notice.

After each: the broker is alive, its memory has grown by at most 64 MB, a control client that was
connected before and one that comes new both produce and read, and descriptors have returned.
Names of tests begin with the number of a published vulnerability where others were hurt by it.
"""

import argparse
import contextlib
import os
import random
import resource
import selectors
import signal
import socket
import struct
import threading
import time

from harness import brokers, wire
from harness.checks import Checks, exit_with

MEGABYTE = 1 << 20
LONG = bool(os.environ.get("TEST_ALL"))
checks = Checks()


def many(long_form, short_form):
    return long_form if LONG else short_form


class Control:
    """An honest client: one connection kept open, records written and read back."""

    def __init__(self, broker):
        self.broker = broker
        self.connection = wire.Connection(broker.port)
        self.written = 0
        created = self.connection.call("CreateTopics", 2, timeout_ms=60000, topics=[
            {"name": "control", "num_partitions": 1, "replication_factor": 1}])
        checks.equal(created["topics"][0]["error_code"], 0, "the control topic is made")

    def works(self):
        """Whether a record goes in and comes back, over the old connection and over a new one."""
        with wire.Connection(self.broker.port) as fresh:
            for connection in (self.connection, fresh):
                value = b"control %d" % self.written
                answer = connection.call("Produce", 3, **wire.produce("control", wire.batch([value])))
                part = answer["responses"][0]["partition_responses"][0]
                if part["error_code"] or part["base_offset"] != self.written:
                    return f"produce: {part}"
                data = fetch(connection, "control", self.written)
                if value not in data:
                    return f"fetch: {data[:100]}"
                self.written += 1
        return ""


def fetch(connection, topic, offset, partition=0, version=4, **more):
    answer = connection.call("Fetch", version, replica_id=more.pop("replica_id", -1), max_wait_ms=1000, min_bytes=1,
                             max_bytes=MEGABYTE, topics=[{"topic": topic, "partitions": [
                                 {"partition": partition, "fetch_offset": offset, "partition_max_bytes": MEGABYTE}]}],
                             **more)
    return answer["responses"][0]["partitions"][0]["records"] or b""


class Arena:
    """A broker under attack, its control client, and what was measured before."""

    def __init__(self, broker):
        self.broker = broker
        self.control = Control(broker)
        self.control.works()

    def attack(self, name, body):
        descriptors, memory = self.broker.descriptors(), self.broker.rss_bytes()
        checks.run(name, lambda: body(self.broker))
        if not checks.that(self.broker.alive(), f"{name}: the broker is alive", self.broker.log_tail()):
            raise SystemExit(checks.finish())
        try:
            trouble = self.control.works()
        except (OSError, ValueError) as error:
            trouble = repr(error)
        checks.that(not trouble, f"{name}: the control client works", trouble)
        grown = self.broker.rss_bytes() - memory
        checks.that(grown <= 64 * MEGABYTE, f"{name}: memory has not grown by more than 64 MB", f"{grown // MEGABYTE} MB")
        left = until(lambda: self.broker.descriptors()[0] <= descriptors[0] + 4)
        checks.that(left, f"{name}: descriptors have returned", f"{self.broker.descriptors()}, before {descriptors}")
        open_files = self.broker.descriptors()[1]
        checks.that(open_files <= 1024, f"{name}: open files of logs are bounded", f"{open_files}")


def until(condition, seconds=120):
    """Wait for something only /proc can tell, asking a few times a second."""
    tick, over = threading.Event(), time.monotonic() + seconds
    while not condition():
        if time.monotonic() > over:
            return False
        tick.wait(0.05)
    return True


@contextlib.contextmanager
def connections(broker, count):
    opened = []
    try:
        for _ in range(count):
            opened.append(wire.Connection(broker.port, seconds=90))
        yield opened
    finally:
        for connection in opened:
            connection.close()


# H1, H2, H5 to H8: connections.

def h1_lengths(broker):
    with connections(broker, many(10000, 2000)) as opened:
        before = broker.rss_bytes()
        for connection in opened:
            connection.send(struct.pack(">i", 100 * MEGABYTE) + b"\x00\x03\x00\x01")
        with wire.Connection(broker.port) as other:
            other.call("ApiVersions", 0)
        grown = broker.rss_bytes() - before
        checks.that(grown < 64 * MEGABYTE, f"H1: {len(opened)} announced lengths of 100 MB allocate nothing",
                    f"{grown // MEGABYTE} MB")


def h1_impossible(broker):
    for name, data in {"0x7fffffff": b"\x7f\xff\xff\xff", "-1": b"\xff\xff\xff\xff", "0": bytes(4),
                       "3": b"\x00\x00\x00\x03abc"}.items():
        with wire.Connection(broker.port) as connection:
            connection.send(data + bytes(64))
            checks.that(connection.is_closed_by_peer(), f"CVE-2022-34917: a length of {name} closes the connection")


def h2_slow(broker):
    with connections(broker, many(5000, 200)) as opened:
        whole = wire.request("Metadata", 1, topics=None)
        selector = selectors.DefaultSelector()
        for connection in opened:
            connection.send(whole[:5])
            connection.at = 5
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        tick, over = threading.Event(), time.monotonic() + 240
        while selector.get_map() and time.monotonic() < over:
            for key, _ in selector.select(0):
                selector.unregister(key.fileobj)
            for key in list(selector.get_map().values()):
                connection = key.data
                if connection.at < len(whole) - 1:
                    with contextlib.suppress(OSError):
                        connection.send(whole[connection.at:connection.at + 1])
                    connection.at += 1
            tick.wait(1)
        checks.that(not selector.get_map(), f"H2: {len(opened)} senders of a byte a second are closed",
                    f"{len(selector.get_map() or ())} are still there")


def h5_connects(broker):
    count = many(20000, 5000)
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", broker.port), 60) as quick:
            quick.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with wire.Connection(broker.port) as connection:
        answer = connection.call("ApiVersions", 0)
    checks.equal(answer["error_code"], 0, f"H5: after {count} connects and closes a new one is served")


def h6_foreign(broker):
    rng = random.Random(6)
    foreign = {
        "a TLS hello": bytes.fromhex("16030100c8010000c40303") + rng.randbytes(200),
        "an HTTP request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(64),
        "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(64),
        "random bytes": b"\x7a" + rng.randbytes(4096),
        "a frame of random bytes": wire.frame(rng.randbytes(500)),
        "an unknown API": wire.frame(struct.pack(">hhih", 9999, 0, 1, -1)),
        "a version too new": wire.frame(struct.pack(">hhih", 3, 99, 1, -1)),
        "a negative version": wire.frame(struct.pack(">hhih", 3, -1, 1, -1)),
        "a client id that is cut": wire.frame(struct.pack(">hhih", 3, 1, 1, 500) + b"x"),
    }
    for name, data in foreign.items():
        with wire.Connection(broker.port) as connection:
            connection.send(data)
            checks.that(connection.is_closed_by_peer(), f"H6: {name} closes the connection without an answer")
    with wire.Connection(broker.port) as connection:
        # Forty zeros are a Produce of nothing that wants no answer, and what follows it is passed over, as by Kafka.
        connection.send(wire.frame(bytes(40) + b"\x01"))
        answer = connection.call("ApiVersions", 0)
        checks.equal(answer["error_code"], 0, "H6: a frame of zeros harms nobody")
    with wire.Connection(broker.port) as connection:
        connection.send(wire.frame(struct.pack(">hhihb", 18, 99, 7, -1, 0)))
        answer = connection.answer("ApiVersions", 0)
        checks.equal(answer["error_code"], 35, "H6: an unknown ApiVersions version is answered with v0 and error 35")


def h6_log_injection(broker):
    with wire.Connection(broker.port) as connection:
        name = "${jndi:ldap://127.0.0.1/x}\n[2026-01-01] ERROR forged \x1b[31m%n%s"
        connection.send(wire.request("Metadata", 1, client=name, topics=[{"name": name}]))
        error = connection.answer("Metadata", 1)["topics"][0]["error_code"]
        checks.equal(error, 17, "CVE-2023-25194 and log4shell: a name with control characters is invalid")
    log = broker.log.read_text(errors="replace")
    checks.that("\n[2026-01-01] ERROR forged" not in log and "\x1b[31m" not in log,
                "CVE-2023-25194 and log4shell: what a client calls itself forges no log line")


def h7_never_reads(broker):
    with wire.Connection(broker.port, seconds=5) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        piece = wire.request("ApiVersions", 3, client_software_name="x", client_software_version="1") * 1000
        before, sent = broker.rss_bytes(), 0
        try:
            for _ in range(1000):
                connection.send(piece)
                sent += 1000
        except (OSError, TimeoutError):
            pass        # the broker has stopped reading, or closed
        grown = broker.rss_bytes() - before
        checks.that(sent < 1000000, "H7: a client that never reads cannot send a million requests", str(sent))
        checks.that(grown < 64 * MEGABYTE, "H7: what is kept for it is bounded", f"{grown // MEGABYTE} MB")


def h8_parked_fetches(broker):
    count = many(10000, 2000)
    with connections(broker, count) as opened:
        wait = wire.request("Fetch", 4, replica_id=-1, max_wait_ms=2**31 - 1, min_bytes=2**31 - 1, max_bytes=1000,
                            topics=[{"topic": "control", "partitions": [
                                {"partition": 0, "fetch_offset": 0, "partition_max_bytes": 100}]}])
        for connection in opened:
            connection.send(wait)
        with wire.Connection(broker.port) as other:
            other.call("ApiVersions", 0)
        checks.that(broker.alive(), f"H8: {count} fetches without end are parked")
    with wire.Connection(broker.port) as connection:
        for _ in range(many(20000, 3000)):      # each opens a session and forgets it
            connection.send(wire.request("Fetch", 7, replica_id=-1, max_wait_ms=0, session_id=0, session_epoch=0, topics=[
                {"topic": "control", "partitions": [{"partition": 0, "fetch_offset": 0, "partition_max_bytes": 100}]}]))
            connection.answer("Fetch", 7)
        checks.that(broker.alive(), "H8: fetch sessions that nobody uses are bounded")


# H3: counts and lengths that lie, in every array, string and bytes of every request.

def bombs(message, version):
    """Requests that are right up to one count or length, which claims 2^31-1, and then end."""
    flexible = version >= message.flexible

    def walk(fields):
        """(bytes before, field), in the order of the wire; each struct of an array is entered with one element."""
        before = b""
        for field in fields:
            if field.defines or field.tag is not None or not field.low <= version <= field.high:
                continue
            if field.array or field.type in ("string", "bytes", "records"):
                yield before, field
            if field.struct and field.fields and not field.refers:
                one = (b"\x02" if flexible else struct.pack(">i", 1)) if field.array else b"\x01" if field.null else b""
                for inside, inner in walk(field.fields):
                    yield before + one + inside, inner
            before += wire.encode_field(field, wire.default(field, version), version, flexible) if not (
                field.struct and field.null and not field.array) else b"\xff"
        if flexible:
            yield before, None

    for before, field in walk(message.fields):
        if field is None:       # the count of tagged fields
            yield before + wire.unsigned_varint(2**31 - 1)
            yield before + wire.unsigned_varint(2) + b"\x00\x00\x00\x00"                    # one tag twice
            yield before + wire.unsigned_varint(2) + b"\x09\x00\x02\x00"                    # falling tags
            yield before + wire.unsigned_varint(1) + b"\x63" + wire.unsigned_varint(2**31 - 1)
        elif flexible and not field.fixed:
            yield before + wire.unsigned_varint(2**31)
            yield before + b"\xff" * 5
            yield before + b"\xff" * 12
        elif field.array or field.type != "string":
            yield before + b"\x7f\xff\xff\xff"
            yield before + b"\x80\x00\x00\x00"
        else:
            yield before + b"\x7f\xff"
            yield before + b"\x80\x00"


def h3_counts(broker):
    with wire.Connection(broker.port) as connection:
        served = {one["api_key"]: (one["min_version"], one["max_version"])
                  for one in connection.call("ApiVersions", 0)["api_keys"]}
    tried, unanswered = 0, []
    before = broker.rss_bytes()
    for message in wire.apis():
        if message.key not in served:
            continue
        low, high = served[message.key]
        for version in range(max(low, message.low), min(high, message.high) + 1):
            for body in bombs(message, version):
                tried += 1
                with wire.Connection(broker.port) as connection:
                    # Error or close, without anything else to wait for: nothing here is worth waiting for. The second request is
                    # for a Produce that wants no answer.
                    connection.send(wire.frame(wire.header(message, version) + body) + wire.request("ApiVersions", 0))
                    try:
                        connection.receive()
                    except TimeoutError:
                        unanswered.append(f"{message.name} v{version} {body.hex()}")
                        if len(unanswered) == 3:
                            checks.equal(unanswered, [], "H3: counts that lie are answered or closed")
                            return
                if not broker.alive():
                    checks.that(False, "CVE-2026-111108, CVE-2026-111115: counts that lie",
                                f"{message.name} v{version}: {body.hex()}")
                    return
    grown = broker.rss_bytes() - before
    checks.that(tried > 500, "H3: the schemas give bombs to try", str(tried))
    checks.equal(unanswered, [], f"CVE-2026-111108, CVE-2026-111115: {tried} counts that lie are answered or closed")
    checks.that(grown < 64 * MEGABYTE, "CVE-2026-111108: nothing is allocated by them", f"{grown // MEGABYTE} MB")


def h3_many_tags(broker):
    with wire.Connection(broker.port) as connection:
        message = wire.messages()["ApiVersions", "request"]
        tags = b"".join(wire.unsigned_varint(1000 + at) + b"\x00" for at in range(100000))
        body = b"\x02x\x021" + wire.unsigned_varint(100000) + tags
        connection.send(wire.frame(wire.header(message, 3) + body))
        checks.that(connection.is_closed_by_peer(), "CVE-2026-111115: 100,000 empty tags close the connection")


# H4: decompression bombs.

def h4_inflation(broker):
    with wire.Connection(broker.port) as connection:
        connection.call("CreateTopics", 2, timeout_ms=60000, topics=[
            {"name": "bombs", "num_partitions": 1, "replication_factor": 1}])
        before, most = broker.rss_bytes(), 0
        size = 128 * MEGABYTE
        payloads = {"gzip": (1, wire.gzip_bomb(size)), "lz4": (3, wire.lz4_bomb(size)), "zstd": (4, wire.zstd_bomb(size)),
                    "zstd with a window of 2 GB": (4, wire.zstd_wide_window()),
                    "snappy that claims 2 GB": (2, wire.snappy_claim(2**31 - 1)),
                    "xerial with a lying chunk": (2, wire.xerial_claim(2**31 - 1))}
        for name, (codec, payload) in payloads.items():
            if len(payload) > 900000:
                payload = payload[:900000]      # within message.max.bytes; it still inflates without end
            for version, records in ((3, wire.batch(codec=codec, payload=payload, count=1000)),
                                     (2, wrapper(1, codec, payload)), (1, wrapper(0, codec, payload))):
                if codec == 4 and version < 7:
                    version = 7 if version == 3 else version
                answer = connection.call("Produce", version, **wire.produce("bombs", records))
                error = answer["responses"][0]["partition_responses"][0]["error_code"]
                checks.that(error != 0, f"CVE-2023-34455: {name} in Produce v{version} is refused", str(error))
                most = max(most, broker.rss_bytes() - before)
        checks.that(most < 256 * MEGABYTE, "CVE-2023-34455: what they inflate to is capped", f"{most // MEGABYTE} MB")
        answer = connection.call("Produce", 3, **wire.produce("bombs", wire.batch([b"fair"])))
        part = answer["responses"][0]["partition_responses"][0]
        checks.equal((part["error_code"], part["base_offset"]), (0, 0), "H4: the partition is unharmed")


def wrapper(magic, codec, payload):
    """A message of format 0 or 1 around compressed ones."""
    import zlib
    inner = bytes([magic, codec]) + (struct.pack(">q", 1700000000000) if magic else b"") + struct.pack(
        ">i", -1) + struct.pack(">i", len(payload)) + payload
    data = struct.pack(">I", zlib.crc32(inner)) + inner
    return struct.pack(">qi", 0, len(data)) + data


def h4_lying_batches(broker):
    fair = wire.batch([b"a", b"b"])
    lies = {
        "a wrong CRC": wire.batch(crc=1),
        "a count above the records": wire.batch([b"a"], count=1000, last_delta=999),
        "a count of 2^31-1": wire.batch([b"a"], count=2**31 - 1, last_delta=2**31 - 2),
        "a negative count": wire.batch([b"a"], count=-1),
        "a last offset that does not fit": wire.batch([b"a", b"b"], last_delta=7),
        "an unknown codec": wire.batch(codec=7),
        "an unknown format": wire.batch(magic=9),
        "half a batch": fair[:len(fair) // 2],
        "no batch at all": b"\x00" * 30,
        "a length of 2^31-1": fair[:8] + b"\x7f\xff\xff\xff" + fair[12:],
        "a negative length": fair[:8] + b"\xff\xff\xff\xff" + fair[12:],
        "a control batch": wire.batch(codec=0x20),
    }
    with wire.Connection(broker.port) as connection:
        for name, records in lies.items():
            connection.send(wire.request("Produce", 3, **wire.produce("bombs", records)))
            try:
                answer = connection.answer("Produce", 3)
            except ConnectionError:
                connection.close()
                connection = wire.Connection(broker.port)
                checks.that(True, f"H4: {name} closes the connection")
                continue
            error = answer["responses"][0]["partition_responses"][0]["error_code"]
            checks.that(error != 0, f"H4: {name} is refused", str(error))
        connection.close()


# H9, H10, H11: names and ids without end.

def h9_groups(broker):
    count = many(100000, 3000)
    with wire.Connection(broker.port) as connection:
        # One of these groups is in each of the four partitions of __consumer_offsets, which are loaded one by one.
        for name in "abcd":
            connection.call("FindCoordinator", 1, key=name, key_type=0)
            ready = until(lambda: connection.call("Heartbeat", 0, group_id=name, generation_id=0, member_id="x")  # noqa: B023
                          ["error_code"] not in (14, 15, 16))
            checks.that(ready, f"H9: the coordinator of {name} is there")
        join = {"session_timeout_ms": 6000, "rebalance_timeout_ms": 6000, "member_id": "", "protocol_type": "consumer",
                "protocols": [{"name": "range", "metadata": b"x" * 50}]}
        for at in range(0, count, 100):
            for number in range(at, at + 100):
                connection.send(wire.request("JoinGroup", 4, group_id=f"h9-{number}", **join))
            errors = {connection.answer("JoinGroup", 4)["error_code"] for _ in range(100)}
            if not errors <= {79, 15, 81, 84}:
                checks.that(False, f"H9: {count} groups with a pending member each", str(errors))
                return
        checks.that(True, f"H9: {count} groups with a pending member each")
        for at in range(many(100000, 2000)):
            connection.send(wire.request("JoinGroup", 5, group_id="h9-one", group_instance_id=None, **join))
            connection.answer("JoinGroup", 5)
        checks.that(broker.alive(), "H9: pending members of one group without end")
        committed = connection.call("OffsetCommit", 2, group_id="honest", generation_id_or_member_epoch=-1, member_id="",
                                    topics=[{"name": "control", "partitions": [
                                        {"partition_index": 0, "committed_offset": 5, "committed_metadata": ""}]}])
        checks.equal(committed["topics"][0]["partitions"][0]["error_code"], 0, "H9: an honest group commits")


def h10_producer_ids(broker):
    count = many(1000000, 20000)
    with wire.Connection(broker.port) as connection:
        made = connection.call("InitProducerId", 1, transactional_id=None, transaction_timeout_ms=60000)
        producer = made["producer_id"], made["producer_epoch"]
        first = connection.call("Produce", 3, **wire.produce("bombs", wire.batch(producer=(*producer, 0))))
        part = first["responses"][0]["partition_responses"][0]
        checks.equal(part["error_code"], 0, "H10: an idempotent producer writes")
        seen = set()
        for at in range(0, count, 500):
            connection.send(wire.request("InitProducerId", 1, transactional_id=None, transaction_timeout_ms=60000) * 500)
            seen |= {connection.answer("InitProducerId", 1)["producer_id"] for _ in range(500)}
        checks.equal(len(seen), count, f"H10: {count} producer ids, no two alike")
        again = connection.call("Produce", 3, **wire.produce("bombs", wire.batch(producer=(*producer, 0))))
        repeated = again["responses"][0]["partition_responses"][0]
        checks.equal((repeated["error_code"], repeated["base_offset"]), (0, part["base_offset"]),
                     "H10: the honest producer's sequence is kept: a repeat is recognised")
        gap = connection.call("Produce", 3, **wire.produce("bombs", wire.batch(producer=(*producer, 5))))
        checks.equal(gap["responses"][0]["partition_responses"][0]["error_code"], 45, "H10: and a gap refused")


def h11_topics(broker):
    before = set(os.listdir(broker.folder)), set(os.listdir(broker.folder.parent))
    names = {"../outside": 17, "..": 17, ".": 17, "": 17, "a/b": 17, "a\x00b": 17, "x" * 250: 17, "é": 17, "a b": 17,
             "x" * 249: 0, "dotted.name": 0, "dotted_name": 17, "__consumer_offsets_": 0}
    with wire.Connection(broker.port) as connection:
        for name, expected in names.items():
            shown = f"{name[:20]!r} of {len(name)} characters"
            answer = connection.call("CreateTopics", 2, timeout_ms=60000, topics=[
                {"name": name, "num_partitions": 1, "replication_factor": 1}])
            checks.equal(answer["topics"][0]["error_code"], expected, f"H11: creating {shown}")
        automatic = connection.call("Metadata", 4, topics=[{"name": "../outside"}], allow_auto_topic_creation=True)
        checks.equal(automatic["topics"][0]["error_code"], 17, "H11: nor is it created by asking for it")
        for count, expected in ((0, 37), (-5, 37), (2**31 - 1, 44)):
            answer = connection.call("CreateTopics", 2, timeout_ms=60000, topics=[
                {"name": f"counted{count}", "num_partitions": count, "replication_factor": 1}])
            error = answer["topics"][0]["error_code"]
            checks.equal(error, expected, f"H11: {count} partitions are refused")
        many_topics = many(100000, 1500)
        for at in range(0, many_topics, 500):
            answer = connection.call("CreateTopics", 2, timeout_ms=60000, topics=[
                {"name": f"h11-{number}", "num_partitions": 1, "replication_factor": 1} for number in range(at, at + 500)])
            errors = {topic["error_code"] for topic in answer["topics"]}
            checks.equal(errors, {0}, f"H11: {at + 500} topics")
    after = set(os.listdir(broker.folder)), set(os.listdir(broker.folder.parent))
    ours = {name for name in after[1] - before[1] if "outside" in name}
    checks.equal((after[0] - before[0], ours), (set(), set()), "H11: nothing is made outside the log directories")


def follower(broker):
    with wire.Connection(broker.port) as connection:
        offsets = lambda: connection.call("ListOffsets", 1, replica_id=-1, topics=[     # noqa: E731
            {"name": "control", "partitions": [{"partition_index": 0, "timestamp": -1}]}])
        before = offsets()["topics"][0]["partitions"][0]["offset"]
        connection.send(wire.request("Fetch", 4, replica_id=1, max_wait_ms=0, min_bytes=0, max_bytes=1000, topics=[
            {"topic": "control", "partitions": [{"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1000}]}]))
        with contextlib.suppress(ConnectionError):
            connection.answer("Fetch", 4)
    with wire.Connection(broker.port) as connection:
        checks.equal(offsets()["topics"][0]["partitions"][0]["offset"], before,
                     "CVE-2018-1288: who poses as a follower moves no high watermark")


# H16: SIGTERM during all of it.

def h16_sigterm(broker, control):
    stopping = threading.Event()

    def storm(seed):
        rng = random.Random(seed)
        while not stopping.is_set():
            with contextlib.suppress(OSError, ValueError):
                with wire.Connection(broker.port, seconds=2) as connection:
                    connection.send(rng.choice([
                        wire.frame(rng.randbytes(100)), struct.pack(">i", 100 * MEGABYTE),
                        wire.request("Metadata", 1, topics=None) * 50,
                        wire.request("Fetch", 4, replica_id=-1, max_wait_ms=2**31 - 1, min_bytes=2**31 - 1, max_bytes=1,
                                     topics=[{"topic": "control", "partitions": [
                                         {"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1}]}])]))
                    connection.socket.recv(100)

    attackers = [threading.Thread(target=storm, args=(seed,), daemon=True) for seed in range(8)]
    for attacker in attackers:
        attacker.start()
    trouble = control.works()
    checks.that(not trouble, "H16: the control client works meanwhile", trouble)
    waiting = threading.Timer(0.5, lambda: broker.process.child.send_signal(signal.SIGTERM))
    waiting.start()
    acknowledged = control.written
    try:
        with wire.Connection(broker.port) as connection:
            while True:
                answer = connection.call("Produce", 3, **wire.produce("control", wire.batch([b"%d" % acknowledged])))
                if answer["responses"][0]["partition_responses"][0]["error_code"]:
                    break
                acknowledged = answer["responses"][0]["partition_responses"][0]["base_offset"] + 1
    except (OSError, ValueError):
        pass
    waiting.join()
    code = broker.process.child.wait(120)    # Not stop(): a second SIGTERM would end it in a hurry.
    checks.that(code in (0, 143), "H16: SIGTERM in the middle of it ends cleanly", f"exit code {code}")
    stopping.set()
    for attacker in attackers:
        attacker.join(10)
    broker.start()
    with wire.Connection(broker.port) as connection:
        answer = connection.call("ListOffsets", 1, replica_id=-1, topics=[
            {"name": "control", "partitions": [{"partition_index": 0, "timestamp": -1}]}])
        end = answer["topics"][0]["partitions"][0]["offset"]
    checks.that(end >= acknowledged, "H16: nothing acknowledged is lost", f"end {end}, acknowledged {acknowledged}")


ATTACKS = {"H1: lengths without bodies": h1_lengths, "H1: impossible lengths": h1_impossible, "H2: slow senders": h2_slow,
           "H3: counts that lie": h3_counts, "H3: tags without end": h3_many_tags, "H4: inflation": h4_inflation,
           "H4: batches that lie": h4_lying_batches, "H5: connects": h5_connects, "H6: other protocols": h6_foreign,
           "H6: names in the log": h6_log_injection, "H7: never reads": h7_never_reads, "H8: parked fetches": h8_parked_fetches,
           "H9: groups": h9_groups, "H10: producer ids": h10_producer_ids, "H11: topics": h11_topics,
           "H14: a false follower": follower}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", default="milena", choices=brokers.KINDS)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with brokers.make(arguments.against, {"group.min.session.timeout.ms": "1000"}) as broker:
        arena = Arena(broker)
        for name, attack in ATTACKS.items():
            if arguments.only in name:
                began = time.monotonic()
                arena.attack(name, attack)
                print(f"{name}: {time.monotonic() - began:.1f} s", flush=True)
        if arguments.only in "H16":
            checks.run("H16", h16_sigterm, broker, arena.control)
        if checks.failed:
            print(f"--- the broker's last lines\n{broker.log_tail()}---")
    exit_with(checks)


if __name__ == "__main__":
    main()
