"""kafka-reassign-partitions and kafka-leader-election on a broker that is alone, with two log directories.

moves.py 3.9.1 | 4.3.1 | ours, and LOG_DIRS as the broker has it. Ours say what Apache Kafka's say.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from harness import brokers, kafka
from harness.checks import Checks, exit_with

BOOTSTRAP = os.environ["BOOTSTRAP"]
DIRECTORIES = os.environ["LOG_DIRS"].split(",")
WHOSE = sys.argv[1]
TOPIC = f"moving-{WHOSE.replace('.', '-')}"
SCRIPTS = pathlib.Path(__file__).resolve().parent.parent.parent / "scripts"
checks = Checks()


def tool(name, *arguments, expect=0):
    """Run a tool. Returns what it printed, errors too; RuntimeError when it ends otherwise than expected."""
    words = ["--bootstrap-server", BOOTSTRAP, *map(str, arguments)]
    if WHOSE == "ours":
        done = subprocess.run([str(SCRIPTS / f"{name}.sh"), *words], capture_output=True, text=True, timeout=240,
                              env={**os.environ, "MILENA": brokers.binary()})
        code, out, err = done.returncode, done.stdout, done.stderr
    else:
        code, out, err = kafka.run_tool(WHOSE, name, *words)
    out += err
    if code != expect:
        raise RuntimeError(f"{name} {' '.join(words)}: exit code {code}\n{out[-1500:]}")
    return out


def holds(text, out, what):
    checks.that(text in out, f"{WHOSE}: {what}", out)


def where(partition):
    """The directories that have the partition, by their place in log.dirs."""
    return [n for n, folder in enumerate(DIRECTORIES) if (pathlib.Path(folder) / f"{TOPIC}-{partition}").is_dir()]


def wish(folder, partition, directory="any", broker=None):
    file = folder / "wish.json"
    file.write_text(json.dumps({"version": 1, "partitions": [
        {"topic": TOPIC, "partition": partition, "replicas": [BROKER if broker is None else broker],
         "log_dirs": [directory]}]}))
    return file


def elections():
    said = tool("kafka-leader-election", "--election-type", "preferred", "--topic", TOPIC, "--partition", "0")
    holds(f"Valid replica already elected for partitions {TOPIC}-0", said, "the only broker leads already")
    tool("kafka-leader-election", "--election-type", "preferred", "--all-topic-partitions")
    unclean = tool("kafka-leader-election", "--election-type", "unclean", "--topic", TOPIC, "--partition", "1")
    holds(f"Valid replica already elected for partitions {TOPIC}-1", unclean, "an unclean election is not needed")
    said = tool("kafka-leader-election", "--election-type", "preferred", "--topic", "nobody", "--partition", "0", expect=1)
    holds("Error completing leader election (PREFERRED) for partition: nobody-0", said, "there is no such partition")


def plans(folder):
    topics = folder / "topics.json"
    topics.write_text(json.dumps({"version": 1, "topics": [{"topic": TOPIC}]}))
    said = tool("kafka-reassign-partitions", "--generate", "--topics-to-move-json-file", topics, "--broker-list", BROKER)
    # Where the partitions are now some releases say by directory.
    plans = [[(each["topic"], each["partition"], each["replicas"]) for each in json.loads(line)["partitions"]]
             for line in said.splitlines() if line.startswith("{")]
    plan = [(TOPIC, number, [BROKER]) for number in range(2)]
    checks.equal(plans, [plan, plan], f"{WHOSE}: --generate proposes what there is")
    holds("No partition reassignments found.", tool("kafka-reassign-partitions", "--list"), "--list: nothing moves")


def moves(folder):
    [before] = where(0)
    target = 1 - before
    file = wish(folder, 0, DIRECTORIES[target])
    said = tool("kafka-reassign-partitions", "--execute", "--timeout", "60000", "--reassignment-json-file", file)
    holds("Save this to use as the --reassignment-json-file option during rollback", said, "--execute shows the way back")
    holds(f"Successfully started partition reassignment for {TOPIC}-0", said, "--execute begins")
    holds(f"Successfully started moving log directory to {DIRECTORIES[target]} for replica {TOPIC}-0 with broker {BROKER}", said,
          "and moves to the other directory")
    deadline = time.monotonic() + 120
    done = f"Reassignment of replica {TOPIC}-0-{BROKER} completed successfully."
    while True:
        said = tool("kafka-reassign-partitions", "--verify", "--reassignment-json-file", file)
        if done in said or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    holds(done, said, "--verify says when it is there")
    holds(f"Reassignment of partition {TOPIC}-0 is completed.", said, "--verify of the brokers")
    holds(f"Clearing broker-level throttles on broker {BROKER}", said, "and lifts throttles")
    holds(f"Clearing topic-level throttles on topic {TOPIC}", said, "those of the topic too")
    while where(0) != [target] and time.monotonic() < deadline:     # The old one goes when the new one is there.
        time.sleep(0.05)
    checks.equal(where(0), [target], f"{WHOSE}: the partition lies in the other directory")
    said = tool("kafka-reassign-partitions", "--cancel", "--reassignment-json-file", file)
    holds("None of the specified partition reassignments are active.", said, "--cancel: nothing moves")
    holds("None of the specified partition moves are active.", said, "nor between directories")


def refusals(folder):
    said = tool("kafka-reassign-partitions", "--execute", "--reassignment-json-file", wish(folder, 0, broker=BROKER + 7),
                expect=1)
    holds(f"Unknown broker id {BROKER + 7}", said, "a broker that is not there")
    said = tool("kafka-reassign-partitions", "--execute", "--reassignment-json-file", wish(folder, 9), expect=1)
    checks.that(f"Unable to find partition: {TOPIC}-9" in said,
                f"{WHOSE}: a partition that is not there", said)


tool("kafka-topics", "--create", "--topic", TOPIC, "--partitions", "2")
BROKER = int(re.search(r"Leader: (\d+)", tool("kafka-topics", "--describe", "--topic", TOPIC))[1])
with tempfile.TemporaryDirectory(prefix="milena-moves-") as scratch:
    checks.run(f"{WHOSE}: elections", elections)
    for body in (plans, moves, refusals):
        checks.run(f"{WHOSE}: {body.__name__}", body, pathlib.Path(scratch))
exit_with(checks)
