"""Old protocols: the requests that brokers of 0.8.2, 0.9 and 0.10 knew, through librdkafka.

With api.version.request=false it asks nothing and sends what broker.version.fallback understands:
Produce and Fetch v0 to v2, message sets v0 and v1, and the group requests of 0.9.
"""

import os
import subprocess

from harness.checks import Checks, exit_with

BOOTSTRAP = os.environ["BOOTSTRAP"]
checks = Checks()
COUNT = 500


def kcat(release, *words, text=""):
    old = ("-X", "api.version.request=false", "-X", f"broker.version.fallback={release}")
    done = subprocess.run(["kcat", "-b", BOOTSTRAP, *old, *words], input=text, capture_output=True, text=True,
                          timeout=240)
    if done.returncode:
        raise RuntimeError(f"kcat {' '.join(words)} as {release}: exit code {done.returncode}: {done.stderr[-500:]}")
    return done.stdout


def modern(*words, text=""):
    done = subprocess.run(["kcat", "-b", BOOTSTRAP, *words], input=text, capture_output=True, text=True, timeout=240)
    if done.returncode:
        raise RuntimeError(f"kcat {' '.join(words)}: {done.stderr[-500:]}")
    return done.stdout


def lines(name):
    return [f"k{n}:{name} {n}" for n in range(COUNT)]


def old_writes_all_read(release, codec):
    topic, sent = f"old-{release}-{codec}", lines(codec)
    modern("-L", "-t", topic)      # made by whoever asks first
    kcat(release, "-P", "-t", topic, "-p", "0", "-z", codec, "-K", ":", text="\n".join(sent) + "\n")
    wanted = [f"{n} {line}" for n, line in enumerate(sent)]
    show = ("-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q", "-f", "%o %k:%s\n")
    checks.equal(kcat(release, *show).splitlines(), wanted, f"{release} {codec}: written old, read old")
    checks.equal(modern(*show).splitlines(), wanted, f"{release} {codec}: written old, read new")


def new_writes_old_reads(release, codec):
    topic, sent = f"new-{release}-{codec}", lines(codec)
    modern("-P", "-t", topic, "-p", "0", "-z", codec, "-K", ":", "-H", "header=1", text="\n".join(sent) + "\n")
    shown = kcat(release, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q", "-f", "%o %k:%s\n")
    checks.equal(shown.splitlines(), [f"{n} {line}" for n, line in enumerate(sent)],
                 f"{release} {codec}: written new, read old (headers dropped)")


def old_offsets(release):
    topic = f"offsets-{release}"
    modern("-P", "-t", topic, "-p", "0", text="a\nb\nc\n")
    last = kcat(release, "-C", "-t", topic, "-p", "0", "-o", "-1", "-e", "-q", "-f", "%o %s\n")
    checks.equal(last, "2 c\n", f"{release}: the last offset is found")


def old_group(release):
    topic = f"group-{release}"
    modern("-P", "-t", topic, "-K", ":", text="".join(f"k{n}:{n}\n" for n in range(200)))
    options = ("-X", "auto.offset.reset=earliest", "-X", "session.timeout.ms=60000", "-q", "-f", "%s\n")
    first = kcat(release, *options, "-c", "80", "-G", f"readers-{release}", topic)
    rest = kcat(release, *options, "-c", "120", "-G", f"readers-{release}", topic)
    seen = sorted(int(word) for word in (first + rest).split() if word.isdigit())
    checks.equal(seen, list(range(200)), f"{release}: a group goes on where it committed")


for release, codecs in (("0.8.2.2", ("none", "gzip", "snappy")), ("0.9.0.1", ("none", "gzip", "snappy")),
                        ("0.10.0.1", ("none", "gzip", "snappy", "lz4"))):
    for codec in codecs:
        checks.run(f"{release} {codec}: old to old and new", old_writes_all_read, release, codec)
        checks.run(f"{release} {codec}: new to old", new_writes_old_reads, release, codec)
    checks.run(f"{release}: offsets", old_offsets, release)
    if not release.startswith("0.8"):
        checks.run(f"{release}: group", old_group, release)
exit_with(checks)
