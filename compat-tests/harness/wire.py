"""Wire: Kafka requests by hand, over a raw socket, for what no client library would send.

    with Connection(broker.port) as kafka:
        answer = kafka.call("Metadata", 1, topics=[{"name": "t"}])

Messages are encoded and decoded straight from protocol/schema/api/*.msg, with the parser of
protocol/schema/generate.py; values are dictionaries with the schema's field names, and what is
not given has the schema's default. bytes given as a whole message are sent as they are.

Record batches (batch), the frames that decompress to too much (bombs) and the two checksums that
they need are made here too.
"""

import functools
import gzip
import importlib.util
import socket
import struct

from .kafka import ROOT

_spec = importlib.util.spec_from_file_location("schema_generate", ROOT / "protocol/schema/generate.py")
_generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_generate)

FORMATS = {"int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i", "int64": ">q", "float64": ">d"}
API_VERSIONS, CONTROLLED_SHUTDOWN = 18, 7


@functools.cache
def messages():
    """(name, kind) -> message, for every API."""
    found = {}
    for path in sorted((ROOT / "protocol/schema/api").glob("*.msg")):
        for message in _generate.parse(path):
            if message.kind != "record":
                found[message.name.removesuffix(message.kind.capitalize()), message.kind] = message
    return found


def apis():
    """The request messages, by API key."""
    return sorted((message for (_, kind), message in messages().items() if kind == "request"), key=lambda one: one.key)


def unsigned_varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value):
    return unsigned_varint(value << 1 if value >= 0 else (-value << 1) - 1)


def sized(data, compact, width):
    if compact:
        return unsigned_varint(0 if data is None else len(data) + 1) + (data or b"")
    return struct.pack(width, -1 if data is None else len(data)) + (data or b"")


def default(field, version):
    if field.default and field.default != "null":
        return {"true": True, "false": False}.get(field.default) if field.type == "bool" else int(field.default)
    if field.null and field.null[0] <= version <= field.null[1] and field.default == "null":
        return None
    if field.array:
        return []
    if field.type == "string":
        return ""
    if field.type in ("bytes", "records"):
        return None if field.null else b""
    if field.type == "uuid":
        return bytes(16)
    return {} if field.struct else 0


def encode_value(field, value, version, flexible):
    compact = flexible and not field.fixed
    if field.struct:
        if field.null and not field.array:
            return b"\xff" if value is None else b"\x01" + encode(field.fields, value, version, flexible)
        return encode(field.fields, value, version, flexible)
    if field.type == "string":
        return sized(None if value is None else value if isinstance(value, bytes) else value.encode(), compact, ">h")
    if field.type in ("bytes", "records"):
        return sized(value, compact, ">i")
    if field.type == "bool":
        return bytes([bool(value)])
    return value if field.type == "uuid" else struct.pack(FORMATS[field.type], value)


def encode_field(field, value, version, flexible):
    if not field.array:
        return encode_value(field, value, version, flexible)
    count = -1 if value is None else len(value)
    head = unsigned_varint(count + 1) if flexible else struct.pack(">i", count)
    one = _element(field)
    return head + b"".join(encode_value(one, each, version, flexible) for each in value or ())


def _element(field):
    return _generate.dataclasses.replace(field, array=False, null=None)


def encode(fields, values, version, flexible):
    unknown = values.keys() - {field.name for field in fields}
    if unknown:
        raise KeyError(f"no field {sorted(unknown)}")
    out, tagged = b"", []
    for field in fields:
        if field.defines or not field.low <= version <= field.high:
            continue
        value = values.get(field.name, default(field, version))
        if field.tag is None:
            out += encode_field(field, value, version, flexible)
        elif field.name in values:
            tagged.append((field.tag, encode_field(field, value, version, flexible)))
    if flexible:
        out += unsigned_varint(len(tagged))
        out += b"".join(unsigned_varint(tag) + unsigned_varint(len(data)) + data for tag, data in sorted(tagged))
    return out


class Reader:
    """Takes values off the front of an answer. ValueError when it is too short."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if count < 0 or self.at + count > len(self.data):
            raise ValueError("the answer is cut short")
        self.at += count
        return self.data[self.at - count:self.at]

    def unpack(self, width):
        return struct.unpack(width, self.take(struct.calcsize(width)))[0]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def sized(self, compact, width):
        count = self.varint() - 1 if compact else self.unpack(width)
        return None if count < 0 else self.take(count)


def decode_value(reader, field, version, flexible):
    compact = flexible and not field.fixed
    if field.struct:
        if field.null and not field.array and reader.unpack(">b") < 0:
            return None
        return decode(reader, field.fields, version, flexible)
    if field.type == "string":
        data = reader.sized(compact, ">h")
        return None if data is None else data.decode(errors="replace")
    if field.type in ("bytes", "records"):
        return reader.sized(compact, ">i")
    if field.type == "bool":
        return reader.take(1) != b"\x00"
    return reader.take(16) if field.type == "uuid" else reader.unpack(FORMATS[field.type])


def decode_field(reader, field, version, flexible):
    if not field.array:
        return decode_value(reader, field, version, flexible)
    count = reader.varint() - 1 if flexible else reader.unpack(">i")
    one = _element(field)
    return None if count < 0 else [decode_value(reader, one, version, flexible) for _ in range(count)]


def decode(reader, fields, version, flexible):
    values = {}
    here = [field for field in fields if not field.defines and field.low <= version <= field.high]
    for field in here:
        if field.tag is None:
            values[field.name] = decode_field(reader, field, version, flexible)
        else:
            values[field.name] = default(field, version)
    if flexible:
        for _ in range(reader.varint()):
            tag, size = reader.varint(), reader.varint()
            part = Reader(reader.take(size))
            for field in here:
                if field.tag == tag:
                    values[field.name] = decode_field(part, field, version, flexible)
    return values


def header(message, version, correlation=1, client="hostile"):
    """A request's header."""
    out = struct.pack(">hhi", message.key, version, correlation)
    if message.key == CONTROLLED_SHUTDOWN and version == 0:
        return out
    return out + sized(client if isinstance(client, bytes) or client is None else client.encode(), False, ">h") + (
        b"\x00" if version >= message.flexible else b"")


def request(name, version, correlation=1, client="hostile", **values):
    """A whole request with its length."""
    message = messages()[name, "request"]
    return frame(header(message, version, correlation, client) +
                 encode(message.fields, values, version, version >= message.flexible))


def frame(body):
    return struct.pack(">i", len(body)) + body


class Connection:
    """One raw connection. Every wait has a deadline; TimeoutError when it passes."""

    def __init__(self, port, seconds=60, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), seconds)
        self.socket.settimeout(seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """The next answer without its length, or None when the peer closed."""
        head = self._exactly(4)
        return None if head is None else self._exactly(struct.unpack(">i", head)[0])

    def _exactly(self, count):
        data = bytearray()
        while len(data) < count:
            try:
                piece = self.socket.recv(min(count - len(data), 1 << 20))
            except ConnectionError:
                return None
            if not piece:
                return None
            data += piece
        return bytes(data)

    def answer(self, name, version):
        """The next answer, decoded as this API's. ConnectionError when the peer closed."""
        data = self.receive()
        if data is None:
            raise ConnectionError(f"no answer to {name} v{version}: the connection was closed")
        message, reader = messages()[name, "response"], Reader(data)
        flexible = version >= message.flexible
        reader.take(4)
        if flexible and message.key != API_VERSIONS:
            for _ in range(reader.varint()):
                reader.varint()
                reader.take(reader.varint())
        return decode(reader, message.fields, version, flexible)

    def call(self, name, version, **values):
        self.send(request(name, version, **values))
        return self.answer(name, version)

    def is_closed_by_peer(self):
        """Wait for the end of the stream. False when something arrives instead, or nothing within the deadline."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False


# Record batches.

@functools.cache
def _crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


def crc32c(data):
    crc, table = 0xFFFFFFFF, _crc32c_table()
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def record(delta, value, key=None, stamp=0):
    def field(data):
        return zigzag(-1) if data is None else zigzag(len(data)) + data
    body = b"\x00" + zigzag(stamp) + zigzag(delta) + field(key) + field(value) + zigzag(0)
    return zigzag(len(body)) + body


def batch(values=(b"v",), codec=0, payload=None, count=None, last_delta=None, crc=None, producer=(-1, -1, -1),
          stamp=1700000000000, magic=2):
    """A record batch of format 2; `payload` takes the place of the records, the other arguments let it lie."""
    count = len(values) if count is None else count
    records = b"".join(record(at, value) for at, value in enumerate(values)) if payload is None else payload
    last_delta = max(count - 1, 0) if last_delta is None else last_delta
    body = struct.pack(">hiqqqhii", codec, last_delta, stamp, stamp, *producer, count) + records
    crc = crc32c(body) if crc is None else crc
    return struct.pack(">qiibI", 0, 4 + 1 + 4 + len(body), -1, magic, crc) + body


def produce(topic, records, partition=0, version=3, acks=-1):
    """A Produce request's values, for call(): the first version that takes format 2."""
    return {"acks": acks, "timeout_ms": 10000, "topic_data": [
        {"name": topic, "partition_data": [{"index": partition, "records": records}]}]}


# What inflates to far more than it is. Nothing of this is made by a library: it would need the memory.

def gzip_bomb(inflated):
    """Zeros, about a thousand to one."""
    return gzip.compress(bytes(inflated), 9)


def zstd_bomb(inflated):
    """A frame of run-length blocks: four bytes for every 128 KiB."""
    block = 128 * 1024
    count = inflated // block
    blocks = b"".join(struct.pack("<I", block << 3 | 1 << 1 | (at == count - 1))[:3] + b"\x00" for at in range(count))
    return b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([(20 - 10) << 3]) + blocks


def zstd_wide_window():
    """A frame that asks for a window of 2 GiB."""
    return b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([(31 - 10) << 3]) + b"\x03\x00\x00" + b"\x00"


def lz4_bomb(inflated):
    """A frame of 4 MiB blocks, each one long match: 255 to one."""
    descriptor = bytes([0x60, 0x70])
    out = b"\x04\x22\x4d\x18" + descriptor + bytes([xxh32(descriptor) >> 8 & 255])
    block = 4 << 20
    for _ in range(inflated // block):
        extra = block - 1 - 5 - 19          # one literal, a match of 19 and more, five literals at the end
        data = b"\x1f\x00\x01\x00" + b"\xff" * (extra // 255) + bytes([extra % 255]) + b"\x50" + bytes(5)
        out += struct.pack("<I", len(data)) + data
    return out + bytes(4)


def xxh32(data, seed=0):
    """xxHash of fewer than 16 bytes, which a frame's descriptor is."""
    prime = 2654435761, 2246822519, 3266489917, 668265263, 374761393
    mask = 0xFFFFFFFF

    def rotate(value, by):
        return (value << by | value >> 32 - by) & mask
    value, at = seed + prime[4] + len(data) & mask, 0
    while at + 4 <= len(data):
        value = rotate(value + struct.unpack_from("<I", data, at)[0] * prime[2] & mask, 17) * prime[3] & mask
        at += 4
    for byte in data[at:]:
        value = rotate(value + byte * prime[4] & mask, 11) * prime[0] & mask
    value = (value ^ value >> 15) * prime[1] & mask
    value = (value ^ value >> 13) * prime[2] & mask
    return value ^ value >> 16


def snappy_claim(length):
    """Raw snappy that announces a length and has one byte."""
    return unsigned_varint(length) + b"\x00v"


def xerial_claim(length):
    """Snappy in xerial's frame, with a chunk that says it is longer than what is there."""
    return b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1) + struct.pack(">i", length) + b"\x01\x00v"
