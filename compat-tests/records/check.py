"""Record batches and message sets of all formats and codecs, ours read by kafka-python and the other way round.

No broker: records_probe (protocol/records/tests) is asked on its standard input.
"""

import os
import random
import subprocess

import kafka
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.legacy_records import LegacyRecordBatchBuilder

from harness.checks import Checks, exit_with

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
NO_LIMIT = 1 << 30
checks = Checks()
probe = subprocess.Popen([os.environ["RECORDS_PROBE"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def encoded(value):
    return "-" if value is None else value.hex() or "."


def decoded(text):
    return None if text == "-" else bytes.fromhex("" if text == "." else text)


def ask(*lines):
    for line in lines:
        probe.stdin.write(line + "\n")
    probe.stdin.flush()
    return probe.stdout.readline().strip()


def ours(data):
    """The records that records_probe sees in `data`."""
    records = []
    answer = ask("read " + encoded(data))
    while answer not in ("end", "fault"):
        offset, timestamp, key, value, *headers = answer.split(" ")
        pairs = [(decoded(name).decode(), decoded(content)) for name, content in zip(headers[::2], headers[1::2])]
        records.append((int(offset), int(timestamp), decoded(key), decoded(value), pairs))
        answer = probe.stdout.readline().strip()
    if answer == "fault":
        records.append("fault")
    return records


def theirs(data):
    """The records that kafka-python sees in `data`."""
    records = []
    batches = MemoryRecords(data)
    while batches.has_next():
        batch = batches.next_batch()
        if not batch.validate_crc():
            records.append("bad checksum")
        for record in batch:
            timestamp = -1 if record.timestamp is None else record.timestamp
            records.append((record.offset, timestamp, record.key, record.value, list(record.headers)))
    return records


def some_records(seed, headers=True):
    source = random.Random(seed)

    def text(most):
        return source.choice([None, b""] + [source.randbytes(source.randrange(most)) for _ in range(6)])

    records = []
    for offset in range(source.choice([1, 2, 70, 500])):
        pairs = [(f"h{n}", text(20)) for n in range(source.randrange(3))] if headers else []
        value = text(200) if source.random() > 0.01 else b"long " * 30000
        records.append((offset, 1700000000000 + source.randrange(100000), text(30), value, pairs))
    return records


def lines(records):
    for offset, timestamp, key, value, headers in records:
        words = [str(offset), str(timestamp), encoded(key), encoded(value)]
        for name, content in headers:
            words += [encoded(name.encode()), encoded(content)]
        yield " ".join(words)


def seen_by_old(magic, records):
    return [(offset, timestamp if magic else -1, key, value, []) for offset, timestamp, key, value, _ in records]


def batches(codec, seed):
    records = some_records(seed)
    built = bytes.fromhex(ask(f"batch {codec} {len(records)}", *lines(records)))
    checks.equal(theirs(built), records, f"batch {codec} {seed}: they read ours")
    checks.equal(ours(built), records, f"batch {codec} {seed}: we read ours")

    builder = DefaultRecordBatchBuilder(2, CODECS.index(codec), 0, -1, -1, -1, NO_LIMIT)
    for offset, timestamp, key, value, headers in records:
        builder.append(offset, timestamp, key, value, headers)
    checks.equal(ours(bytes(builder.build())), records, f"batch {codec} {seed}: we read theirs")
    if codec == "none":
        # kafka-python leaves 0 where Apache Kafka's producers put -1, the leader epoch that no checksum covers.
        same = bytearray(builder_of(records).build())
        same[12:16] = b"\xff" * 4
        checks.equal(same.hex(), built.hex(), f"batch {seed}: the same bytes")
    target = CODECS[(CODECS.index(codec) + 1 + seed) % len(CODECS)]
    again = bytes.fromhex(ask(f"recompress {target} {built.hex()}"))
    checks.equal(theirs(again), records, f"batch {codec} {seed}: they read it made {target}")


def builder_of(records):
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, NO_LIMIT)
    for offset, timestamp, key, value, headers in records:
        builder.append(offset, timestamp, key, value, headers)
    return builder


def messages(magic, codec, seed):
    records = some_records(seed, headers=False)
    old = seen_by_old(magic, records)
    name = f"messages of format {magic} {codec} {seed}"
    batch = ask(f"batch {codec} {len(records)}", *lines(records))
    converted = bytes.fromhex(ask(f"messages {magic} {batch}"))
    checks.equal(theirs(converted), old, f"{name}: they read ours")

    builder = LegacyRecordBatchBuilder(magic, CODECS.index(codec), NO_LIMIT)
    for offset, timestamp, key, value, _ in records:
        builder.append(offset, timestamp, key, value)
    built = bytes(builder.build())
    checks.equal(ours(built), old, f"{name}: we read theirs")
    as_batch = ask(f"to_batch {codec} {built.hex()}")
    checks.equal(theirs(bytes.fromhex(as_batch)), old, f"{name}: they read the batch made of theirs")


def damage(codec):
    """With any byte changed, neither reads a record that was not written: checksums see to it on both sides."""
    records = some_records(1)
    built = bytes.fromhex(ask(f"batch {codec} {len(records)}", *lines(records)))
    accepted = 0
    for at in range(17, len(built), max(1, len(built) // 60)):
        damaged = built[:at] + bytes([built[at] ^ 0x20]) + built[at + 1:]
        accepted += ours(damaged) != ["fault"]
        accepted += MemoryRecords(damaged).next_batch().validate_crc()
    checks.equal(accepted, 0, f"damaged {codec} batches are refused on both sides")


print("kafka-python", kafka.__version__)
for codec in CODECS:
    for seed in range(4):
        checks.run(f"batch {codec} {seed}", batches, codec, seed)
    checks.run(f"damage {codec}", damage, codec)
for magic in (0, 1):
    for codec in CODECS[:4]:
        for seed in range(3):
            checks.run(f"messages {magic} {codec} {seed}", messages, magic, codec, seed)
exit_with(checks)
