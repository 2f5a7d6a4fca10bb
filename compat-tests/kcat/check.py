"""kcat: what people type first, compared with what they typed in."""

import json
import os
import subprocess
import time

from harness.checks import Checks, exit_with

BOOTSTRAP = os.environ["BOOTSTRAP"]
checks = Checks()


def kcat(*words, text="", seconds=240):
    """Run kcat to its end. Returns its standard output; RuntimeError when it fails."""
    done = subprocess.run(["kcat", "-b", BOOTSTRAP, *words], input=text, capture_output=True, text=True,
                          timeout=seconds)
    if done.returncode:
        raise RuntimeError(f"kcat {' '.join(words)}: exit code {done.returncode}: {done.stderr[-500:]}")
    return done.stdout


def round_trip(topic, *options):
    """Produce 1000 keyed records and read them all back, with offsets."""
    sent = [f"key-{n}:value {n} of {topic} " + "x" * (n % 50) for n in range(1000)]
    kcat("-P", "-t", topic, "-p", "0", "-K", ":", *options, text="\n".join(sent) + "\n")
    read = kcat("-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q", "-f", "%o %k:%s\n")
    checks.equal(read.splitlines(), [f"{n} {line}" for n, line in enumerate(sent)], f"{topic}: all back, in order")


for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
    checks.run(f"{codec}: produce and consume", round_trip, f"kcat-{codec}", "-z", codec)
checks.run("idempotent: produce and consume", round_trip, "kcat-idempotent", "-X", "enable.idempotence=true")
checks.run("acks=1: produce and consume", round_trip, "kcat-acks1", "-X", "acks=1")


def metadata():
    listing = json.loads(kcat("-L", "-J"))
    checks.equal([broker["name"] for broker in listing["brokers"]], [BOOTSTRAP], "-L: one broker, at its address")
    topics = {topic["topic"]: len(topic["partitions"]) for topic in listing["topics"]}
    checks.equal(topics.get("kcat-gzip"), 4, "-L: the topic has num.partitions")


def headers_and_time():
    before = int(time.time() * 1000)
    kcat("-P", "-t", "kcat-headers", "-p", "1", "-H", "a=1", "-H", "b=zwei", text="with headers\n")
    shown = kcat("-C", "-t", "kcat-headers", "-p", "1", "-o", "beginning", "-e", "-q", "-f", "%h|%T|%s\n").strip()
    names, stamp, value = shown.split("|")
    checks.equal((names, value), ("a=1,b=zwei", "with headers"), "headers and value come back")
    checks.that(before <= int(stamp) <= int(time.time() * 1000), "the timestamp is the producer's", stamp)
    found = kcat("-Q", "-t", f"kcat-headers:1:{before}")
    checks.equal(found.split(), ["kcat-headers", "[1]", "offset", "0"], "-Q: offset by time")
    later = kcat("-Q", "-t", f"kcat-headers:1:{int(stamp) + 1}")
    checks.that("offset -1" in later or "offset 1" in later, "-Q: after the last record there is none", later)


def tail():
    last = kcat("-C", "-t", "kcat-none", "-p", "0", "-o", "-3", "-e", "-q", "-f", "%o\n")
    checks.equal(last.split(), ["997", "998", "999"], "-o -3 reads the last three")


def empty_and_null():
    kcat("-P", "-t", "kcat-null", "-p", "0", "-K", ":", "-Z", text="tombstone:\n:no key\n")
    shown = kcat("-C", "-t", "kcat-null", "-p", "0", "-o", "beginning", "-e", "-q", "-f", "%K %S\n")
    checks.equal(shown.splitlines(), ["9 -1", "-1 6"], "null key and null value stay null")


def group():
    kcat("-P", "-t", "kcat-group", "-K", ":", text="".join(f"k{n}:{n}\n" for n in range(400)))
    options = ("-X", "auto.offset.reset=earliest", "-X", "session.timeout.ms=60000")
    first = kcat(*options, "-c", "150", "-f", "%s\n", "-G", "kcat-readers", "kcat-group").split()
    rest = kcat(*options, "-c", "250", "-f", "%s\n", "-G", "kcat-readers", "kcat-group").split()
    first = [word for word in first if word.isdigit()]
    rest = [word for word in rest if word.isdigit()]
    checks.equal(sorted(map(int, first + rest)), list(range(400)), "a group goes on where it committed")


for name, body in (("metadata", metadata), ("headers and time", headers_and_time), ("tail", tail),
                   ("nulls", empty_and_null), ("group", group)):
    checks.run(name, body)
exit_with(checks)
