"""Batches: records as clients of every age send them, and what a broker gives back, decoded.

    batch(…)             format 2: harness.wire.batch, compressed
    message(…)           formats 0 and 1, one message
    message_set(…)       several, or several in one compressed message
    decode(data)         any of these, as dictionaries to compare

Compression is by the libraries that Debian has, so that what a broker compressed anew is compared by what is
in it.
"""

import ctypes
import ctypes.util
import gzip
import struct
import time
import zlib

from harness import wire

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
CODECS = {"none": 0, "gzip": GZIP, "snappy": SNAPPY, "lz4": LZ4, "zstd": ZSTD}
XERIAL = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)
STAMP = 1700000000000
INFLATED_MAX = 1 << 20


def _library(name):
    return ctypes.CDLL(f"lib{name}.so.1")


def deflate(codec, data, broken_lz4=False):
    """Compress; small data that are stored are as good as any."""
    if codec == GZIP:
        return gzip.compress(data, mtime=0)
    if codec == SNAPPY:
        size = ctypes.c_size_t(32 + len(data) * 7 // 6)
        out = ctypes.create_string_buffer(size.value)
        _library("snappy").snappy_compress(data, ctypes.c_size_t(len(data)), out, ctypes.byref(size))
        return XERIAL + struct.pack(">i", size.value) + out.raw[:size.value]
    if codec == LZ4:
        descriptor = b"\x60\x40"
        covered = (b"\x04\x22\x4d\x18" if broken_lz4 else b"") + descriptor
        check = bytes([wire.xxh32(covered) >> 8 & 255])
        return (b"\x04\x22\x4d\x18" + descriptor + check + struct.pack("<I", len(data) | 1 << 31) + data + bytes(4))
    if codec == ZSTD:
        zstd = _library("zstd")
        zstd.ZSTD_compressBound.restype = zstd.ZSTD_compress.restype = ctypes.c_size_t
        out = ctypes.create_string_buffer(zstd.ZSTD_compressBound(ctypes.c_size_t(len(data))))
        size = zstd.ZSTD_compress(out, ctypes.c_size_t(len(out)), data, ctypes.c_size_t(len(data)), 3)
        return out.raw[:size]
    return data


def inflate(codec, data):
    if codec == GZIP:
        return gzip.decompress(data)
    if codec == SNAPPY:
        return _snappy(data)
    if codec == LZ4:
        return _lz4(data)
    if codec == ZSTD:
        zstd = _library("zstd")
        zstd.ZSTD_decompressStream.restype = ctypes.c_size_t
        zstd.ZSTD_createDStream.restype = ctypes.c_void_p
        return _stream(lambda state, out, into: zstd.ZSTD_decompressStream(ctypes.c_void_p(state), out, into),
                       zstd.ZSTD_createDStream(), zstd.ZSTD_freeDStream, data)
    return data


class _Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("at", ctypes.c_size_t)]


def _stream(step, state, free, data):
    out = ctypes.create_string_buffer(INFLATED_MAX)
    held = ctypes.create_string_buffer(data, len(data))
    source = _Buffer(ctypes.addressof(held), len(data), 0)
    target = _Buffer(ctypes.addressof(out), len(out), 0)
    while source.at < source.size:
        before = source.at
        step(state, ctypes.byref(target), ctypes.byref(source))
        if source.at == before:
            break
    free(ctypes.c_void_p(state))
    return out.raw[:target.at]


def _snappy(data):
    chunks = [data]
    if data.startswith(XERIAL[:8]):
        chunks, at = [], 16
        while at < len(data):
            size = struct.unpack_from(">i", data, at)[0]
            chunks.append(data[at + 4:at + 4 + size])
            at += 4 + size
    out = b""
    for chunk in chunks:
        size = ctypes.c_size_t(INFLATED_MAX)
        into = ctypes.create_string_buffer(size.value)
        _library("snappy").snappy_uncompress(chunk, ctypes.c_size_t(len(chunk)), into, ctypes.byref(size))
        out += into.raw[:size.value]
    return out


def _lz4(data):
    library = _library("lz4")
    library.LZ4F_decompress.restype = ctypes.c_size_t
    state = ctypes.c_void_p()
    library.LZ4F_createDecompressionContext(ctypes.byref(state), 100)
    out, size, used = ctypes.create_string_buffer(INFLATED_MAX), ctypes.c_size_t(INFLATED_MAX), \
        ctypes.c_size_t(len(data))
    library.LZ4F_decompress(state, out, ctypes.byref(size), data, ctypes.byref(used), None)
    library.LZ4F_freeDecompressionContext(state)
    return out.raw[:size.value]


def batch(values=(b"v",), codec=0, attributes=0, keys=None, **more):
    """A batch of format 2, its records compressed."""
    keys = keys or [None] * len(values)
    plain = b"".join(wire.record(at, value, key) for at, (value, key) in enumerate(zip(values, keys)))
    return wire.batch(values, codec=codec | attributes, payload=more.pop("payload", deflate(codec, plain)), **more)


def record(delta, value, key=None, stamp=0, headers=()):
    """A record of format 2, with headers."""
    def field(data):
        return wire.zigzag(-1) if data is None else wire.zigzag(len(data)) + data
    body = (b"\x00" + wire.zigzag(stamp) + wire.zigzag(delta) + field(key) + field(value) +
            wire.zigzag(len(headers)) + b"".join(field(name) + field(data) for name, data in headers))
    return wire.zigzag(len(body)) + body


def message(value, key=None, magic=0, codec=0, stamp=STAMP, offset=0, crc=None):
    """One message of format 0 or 1, with its offset and size."""
    body = struct.pack(">bb", magic, codec) + (struct.pack(">q", stamp) if magic else b"")
    for data in (key, value):
        body += struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data
    crc = zlib.crc32(body) if crc is None else crc
    return struct.pack(">qiI", offset, len(body) + 4, crc) + body


def message_set(values=(b"v",), magic=0, codec=0, **more):
    """Messages, in one compressed message when there is a codec. Offsets inside count from 0."""
    inner = b"".join(message(value, magic=magic, offset=at if codec else 0, **more)
                     for at, value in enumerate(values))
    if not codec:
        return inner
    return message(deflate(codec, inner, broken_lz4=magic == 0), magic=magic, codec=codec, offset=len(values) - 1)


def decode(data, producers=()):
    """What an answer's records hold: a list of batches and messages; what is cut off at the end is left out."""
    found, at = [], 0
    while at + 17 <= len(data):
        size = struct.unpack_from(">i", data, at + 8)[0] + 12
        if size < 17 or at + size > len(data):
            break
        one = data[at:at + size]
        found.append(_batch(one, producers) if one[16] == 2 else _message(one))
        at += size
    return found


def _batch(data, producers):
    base, size, epoch, magic, crc, attributes, last, first_time, max_time, producer, producer_epoch, sequence, \
        count = struct.unpack_from(">qiibIhiqqqhii", data)
    plain = inflate(attributes & 7, data[61:])
    return {"magic": magic, "base_offset": base, "partition_leader_epoch": epoch,
            "crc": "right" if crc == wire.crc32c(data[21:]) else "wrong", "attributes": attributes,
            "last_offset_delta": last, "timestamp": _now(first_time), "max_timestamp": _now(max_time),
            "producer_id": f"PRODUCER {producers[producer]}" if producer in producers else producer,
            "producer_epoch": producer_epoch, "base_sequence": sequence, "count": count, "plain": plain.hex(),
            **({"length": size} if attributes & 7 == 0 else {})}


def _message(data):
    offset, size, crc, magic, attributes = struct.unpack_from(">qiIbb", data)
    at = 18
    found = {"magic": magic, "offset": offset, "crc": "right" if crc == zlib.crc32(data[16:]) else "wrong",
             "attributes": attributes}
    if magic:
        found["timestamp"] = _now(struct.unpack_from(">q", data, at)[0])
        at += 8
    for name in ("key", "value"):
        size = struct.unpack_from(">i", data, at)[0]
        at += 4
        found[name] = None if size < 0 else data[at:at + size]
        at += max(size, 0)
    if attributes & 7:
        codec = attributes & 7
        value = found.pop("value")
        if codec == LZ4 and magic == 0:     # its header's checksum is the one that no library accepts
            value = value[:6] + bytes([wire.xxh32(value[4:6]) >> 8 & 255]) + value[7:]
        found["inner"] = decode(inflate(codec, value))
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in found.items()}


def _now(stamp):
    return "NOW" if abs(stamp / 1000 - time.time()) < 600 else stamp
