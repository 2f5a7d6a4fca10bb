"""Oracle: the same requests go to Milena and to Apache Kafka; the decoded answers agree, field by field.

    run.sh                     every sequence, in every version
    run.sh --only Metadata     those of one API (several: --only A B), or of one sequence (--only Metadata.all)

A sequence is a function in sequences/; it is run for each version of its API, against both brokers, each with a
fresh connection. What it noted is then compared. A difference is printed as

    3.Metadata.topics[t].error_code: theirs 3, ours 0

where 3 is the number of the request in the sequence, and fails that sequence in that version, unless
exceptions.py explains it.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import importlib
import pathlib
import sys
import time
import traceback

from harness import brokers
from harness.checks import Checks, exit_with, short

from exceptions import ABSENT, EXCEPTIONS
from peer import ATTEMPTS, Late, Peer
from sequence import EVERY

# Records of old times must not be deleted, thirty seconds after the start or later.
# Nothing happens by itself: no group is forgotten, and no broker is taken for dead because it did not run for some seconds.
SETTINGS = {"message.max.bytes": "100000", "log.retention.hours": "-1", "zookeeper.session.timeout.ms": "18000",
            "offsets.retention.check.interval.ms": "86400000", "log.retention.check.interval.ms": "86400000"}


@dataclasses.dataclass
class Difference:
    path: str
    theirs: object
    ours: object

    def __str__(self):
        return f"{self.path}: theirs {short(self.theirs)}, ours {short(self.ours)}"


def differences(path, theirs, ours):
    """Every place where two normalised answers are not the same."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        element = bool(theirs or ours) and not all(isinstance(key, str) and key.isidentifier() and key.islower()
                                                   for key in [*theirs, *ours])
        for key in [*theirs, *(key for key in ours if key not in theirs)]:
            inner = f"{path}[{key}]" if element else f"{path}.{key}"
            yield from differences(inner, theirs.get(key, ABSENT), ours.get(key, ABSENT))
    elif isinstance(theirs, list) and isinstance(ours, list):
        for at in range(max(len(theirs), len(ours))):
            yield from differences(f"{path}[{at}]", theirs[at] if at < len(theirs) else ABSENT,
                                   ours[at] if at < len(ours) else ABSENT)
    elif theirs != ours:
        yield Difference(path, theirs, ours)


def transcript(peer, about, version, attempt):
    """What one broker answered to a sequence: the notes, and what went wrong; None when it was late."""
    peer.begin(about.name, version, attempt)
    try:
        about.body(peer, version)
    except Late:
        return None
    except Exception as error:      # one broker may refuse what the sequence builds on
        traceback.print_exc()
        peer.note("stopped", f"{type(error).__name__}: {error}")
    finally:
        peer.end()
    return peer.transcript


def compare(checks, pool, theirs, ours, about, version):
    name = f"{about.api} v{version} {about.name}"
    peers = theirs, ours
    for attempt in range(ATTEMPTS):
        seen = [pool.submit(transcript, peer, about, version, attempt) for peer in peers]
        theirs, ours = (one.result() for one in seen)
        if theirs is not None and ours is not None:
            break
    else:
        checks.that(False, name, f"{ATTEMPTS} times something ran out before the sequence came to it")
        return
    if not theirs or any(what == "stopped" for what, _ in theirs):
        checks.that(False, name, "the sequence did not run to its end against Apache Kafka")
        return
    found = []
    for at in range(max(len(theirs), len(ours))):
        what = (theirs[at] if at < len(theirs) else ours[at])[0]
        one, other = (notes[at][1] if at < len(notes) else ABSENT for notes in (theirs, ours))
        found += differences(f"{at + 1}.{what}", one, other)
    unexplained = []
    for difference in found:
        allowed = next((one for one in EXCEPTIONS if one.explains(about, difference)), None)
        if allowed:
            allowed.used = True
        else:
            unexplained.append(difference)
    checks.that(not unexplained, name, "".join(f"\n    {one}" for one in unexplained))


def chosen(words):
    named = [about for about in EVERY if not words or any(
        word in (about.api, f"{about.api}.{about.name}") for word in words)]
    return sorted(named, key=lambda about: not about.first)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", default=[], metavar="API")
    arguments = parser.parse_args()
    for path in sorted((pathlib.Path(__file__).parent / "sequences").glob("*.py")):
        importlib.import_module(f"sequences.{path.stem}")
    sequences = chosen(arguments.only)
    if not sequences:
        sys.exit(f"no sequence is about {' or '.join(arguments.only)}; there are {sorted({s.api for s in EVERY})}")

    checks = Checks()
    with contextlib.ExitStack() as stack, concurrent.futures.ThreadPoolExecutor(4) as pool:
        kinds = ["milena", *sorted({about.against for about in sequences})]
        # Each opponent gets a Milena of its own, in the same state.
        started = {kind: brokers.make(kind, SETTINGS) for kind in kinds[1:]}
        ours = {kind: brokers.make("milena", SETTINGS) for kind in kinds[1:]}
        list(pool.map(stack.enter_context, [*started.values(), *ours.values()]))
        for broker in (*started.values(), *ours.values()):
            Peer(broker).wait_until_ready()
        peers = {kind: (Peer(started[kind]), Peer(ours[kind])) for kind in started}
        for about in sequences:
            begun = time.monotonic()
            for version in about.versions:
                compare(checks, pool, *peers[about.against], about, version)
            print(f"{about.api} {about.name}: {time.monotonic() - begun:.1f} s", flush=True)
    if not arguments.only:
        for allowed in EXCEPTIONS:
            checks.that(allowed.used, f"exception for {allowed.api} {allowed.path} is needed", allowed.reason)
    exit_with(checks)


if __name__ == "__main__":
    main()
