#!/usr/bin/env python3
"""Samples of every message in every version, as bytes, made from the schemas without the C++ that reads them.

    samples.py OUT.txt SEEDS IN.msg ...

A line of OUT:  NAME VERSION HEX PLACES
SEEDS: a folder, filled with the same samples as inputs of decoders_fuzz.cc

Nothing is null, every array has two elements and every tagged field is there, so that every length and every count of
the message is in its sample. PLACES lists them, `KIND@OFFSET` with commas between:

    a  array count, 32 bits      A  the same, compact       t  number of tagged fields
    b  bytes length, 32 bits     B  the same, compact       z  size of a tagged field
    s  string length, 16 bits    S  the same, compact
"""

import importlib.util
import pathlib
import random
import struct
import sys

SCHEMA = pathlib.Path(__file__).resolve().parent.parent / "schema"
spec = importlib.util.spec_from_file_location("generate", SCHEMA / "generate.py")
generate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generate)

FORMATS = {"int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i", "int64": ">q", "float64": ">d"}


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


class Sample:
    def __init__(self, message, version):
        self.version, self.compact = version, version >= message.flexible
        self.random = random.Random(f"{message.name} {version}")

    def length(self, kind, size, compact):
        """(bytes, places) of a length."""
        if compact:
            return varint(size + 1), [(kind.upper(), 0)]
        return struct.pack(">h" if kind == "s" else ">i", size), [(kind, 0)]

    def value(self, field):
        if field.struct:
            return self.fields(field.fields)
        if field.type == "string":
            text = "".join(self.random.choice("abcxyz-0é") for _ in range(self.random.randint(1, 9))).encode()
            head, places = self.length("s", len(text), self.compact and not field.fixed)
            return head + text, places
        if field.type in ("bytes", "records"):
            body = self.random.randbytes(self.random.randint(1, 9))
            head, places = self.length("b", len(body), self.compact)
            return head + body, places
        if field.type == "uuid":
            return self.random.randbytes(16), []
        if field.type == "bool":
            # A tagged one travels when it is not its default.
            return bytes([1 if field.tag is not None and field.default != "true" else self.random.randint(0, 1)]), []
        value = self.random.uniform(-1e9, 1e9) if field.type == "float64" else self.random.randint(1, 100)
        return struct.pack(FORMATS[field.type], value), []

    def join(self, parts):
        out, places = b"", []
        for body, inner in parts:
            places += [(kind, len(out) + at) for kind, at in inner]
            out += body
        return out, places

    def field(self, field):
        parts = []
        if field.array:
            parts = [self.length("a", 2, self.compact), self.value(field), self.value(field)]
        elif field.struct and field.null:
            parts = [(b"\1", []), self.value(field)]
        else:
            parts = [self.value(field)]
        return self.join(parts)

    def fields(self, fields):
        here = [f for f in fields if not f.defines and f.low <= self.version <= f.high]
        parts = [self.field(f) for f in here if f.tag is None]
        if self.compact:
            tagged = sorted((f for f in here if f.tag is not None), key=lambda f: f.tag)
            parts.append((varint(len(tagged)), [("t", 0)]))
            for field in tagged:
                body, places = self.field(field)
                parts += [(varint(field.tag), []), (varint(len(body)), [("z", 0)]), (body, places)]
        return self.join(parts)


def hash_of(name):
    """FNV-1a, folded to 16 bits; decoders_fuzz.cc has the same."""
    value = 2166136261
    for byte in name.encode():
        value = (value ^ byte) * 16777619 & 0xffffffff
    return (value ^ value >> 16) & 0xffff


def main(out, seeds, *sources):
    lines, seeds = [], pathlib.Path(seeds)
    seeds.mkdir(exist_ok=True)
    for source in sources:
        for message in generate.parse(source):
            for version in range(message.low, message.high + 1):
                body, places = Sample(message, version).fields(message.fields)
                head = struct.pack(">HB", hash_of(message.name), version - message.low)
                (seeds / f"{message.name}-{version}").write_bytes(head + body)
                lines.append(f"{message.name} {version} {body.hex() or '-'} "
                             f"{','.join(f'{kind}@{at}' for kind, at in places) or '-'}")
    pathlib.Path(out).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
