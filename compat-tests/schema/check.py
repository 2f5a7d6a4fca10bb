"""Every message of every version that our schemas have, random instances, against Apache Kafka's classes.

4.4.0 has the newest versions, 3.9.1 those that 4.0 dropped and the messages between brokers of ZooKeeper mode. Between
them they carry every version; one that neither carried would be a failure here.
"""

import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "harness"))

import checks
import kafka

BUILD = pathlib.Path(os.environ.get("MILENA_BINARY", HERE.parent.parent / "build/milena")).resolve().parent
TRANSCODER = BUILD / "compat-tests/schema/transcoder"
ROUNDS = 1000 if os.environ.get("TEST_ALL") else 50
SEED = os.environ.get("SEED", "1")

# What a release has and our schemas do not follow, with the reason.
EXCEPTIONS = {
    ("3.9.1", "ShareGroupMetadataValue", "0"): "3.9.1 has it as a preview; what was released has one field more",
    ("3.9.1", "ReadShareGroupStateSummaryResponse", "0"): "likewise",
}


def peer(release):
    """What the classes of a release say: (good or not, name, version, what) for each message and version they carry."""
    libraries = kafka.home(release, tools=False) / "libs"
    java = subprocess.Popen(["java", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp", f"{libraries}/*",
                             str(HERE / "SchemaPeer.java"), str(libraries), str(TRANSCODER), str(ROUNDS), SEED],
                            stdout=subprocess.PIPE, text=True)
    for line in java.stdout:
        verdict, name, version, *what = line.rstrip("\n").split(" ", 3)
        yield verdict == "ok", name, version, what[0] if what else ""
    if java.wait() != 0:
        raise RuntimeError(f"SchemaPeer ended with {java.returncode}")


def compare(check, release, carried):
    for good, name, version, what in peer(release):
        reason = EXCEPTIONS.get((release, name, version))
        if reason:
            check.that(not good, f"{release} {name} v{version} differs: {reason}", "it does not; drop the exception")
            continue
        carried.add((name, int(version)))
        check.that(good, f"{release} {name} v{version}", checks.short(what, 2000))


def every_version_is_carried(check, carried):
    frame = b"\0\0\0\3\0\0\0"  # No name: the list of messages.
    answer = subprocess.run([str(TRANSCODER)], input=frame, capture_output=True, check=True).stdout
    for line in answer[5:].decode().splitlines():
        name, low, high = line.split()
        missing = [v for v in range(int(low), int(high) + 1) if (name, v) not in carried]
        check.that(not missing, f"{name} is carried in all its versions", f"not {missing}")


def main():
    check, carried = checks.Checks(), set()
    for release in ("3.9.1", "4.4.0"):
        check.run(release, compare, check, release, carried)
    check.run("carried", every_version_is_carried, check, carried)
    return check.finish()


if __name__ == "__main__":
    sys.exit(main())
