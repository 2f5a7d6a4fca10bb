"""Apache Kafka's jars, from Maven Central, and its command-line tools.

The jars of a release lie in `<cache>/kafka-<release>/libs`. Where KAFKA_<RELEASE> names another
folder with libs/ in it (KAFKA_3_9_1=/opt/kafka), that one is used.
"""

import fcntl
import os
import pathlib
import shutil
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = pathlib.Path(os.environ.get("MILENA_TEST_CACHE", ROOT / ".cache"))

TOOLS = "org.apache.kafka.tools"
# Where the class of a stock script moved between 3.9 and 4.x, the newer place is first.
CLASSES = {
    "kafka-topics": [f"{TOOLS}.TopicCommand"],
    "kafka-configs": [f"{TOOLS}.ConfigCommand", "kafka.admin.ConfigCommand"],
    "kafka-console-producer": [f"{TOOLS}.ConsoleProducer", "kafka.tools.ConsoleProducer"],
    "kafka-console-consumer": [f"{TOOLS}.consumer.ConsoleConsumer"],
    "kafka-consumer-groups": [f"{TOOLS}.consumer.group.ConsumerGroupCommand"],
    "kafka-get-offsets": [f"{TOOLS}.GetOffsetShell"],
    "kafka-delete-records": [f"{TOOLS}.DeleteRecordsCommand"],
    "kafka-leader-election": [f"{TOOLS}.LeaderElectionCommand"],
    "kafka-reassign-partitions": [f"{TOOLS}.reassign.ReassignPartitionsCommand"],
    "kafka-replica-verification": [f"{TOOLS}.ReplicaVerificationTool"],   # Not in 4.x.
    "kafka-log-dirs": [f"{TOOLS}.LogDirsCommand"],
    "kafka-broker-api-versions": [f"{TOOLS}.BrokerApiVersionsCommand", "kafka.admin.BrokerApiVersionsCommand"],
    "kafka-cluster": [f"{TOOLS}.ClusterTool"],
    "kafka-metadata-quorum": [f"{TOOLS}.MetadataQuorumCommand"],
    "kafka-dump-log": [f"{TOOLS}.DumpLogSegments", "kafka.tools.DumpLogSegments"],
    "kafka-verifiable-producer": [f"{TOOLS}.VerifiableProducer"],
    "kafka-verifiable-consumer": [f"{TOOLS}.VerifiableConsumer"],
    "kafka-producer-perf-test": [f"{TOOLS}.ProducerPerformance"],
    "kafka-consumer-perf-test": [f"{TOOLS}.ConsumerPerformance"],
}


def home(release, tools=True):
    """The folder of a release, filled from Maven Central when it is not there yet; without the tools' jars if need be."""
    named = os.environ.get("KAFKA_" + release.replace(".", "_"))
    if named:
        return pathlib.Path(named)
    folder = CACHE / (f"kafka-{release}" if tools else f"kafka-{release}-broker")
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "maven.lock", "w") as lock:    # Two suites may want the same release.
        fcntl.flock(lock, fcntl.LOCK_EX)
        fill(folder, release, tools)
    return folder


def fill(folder, release, tools):
    if not (folder / "libs").is_dir():
        fresh = folder / "libs.new"
        shutil.rmtree(fresh, ignore_errors=True)
        profiles = ["log4j2" if int(release.split(".")[0]) >= 4 else "log4j1"] + ["tools"] * tools
        fetch(["mvn", "-q", "-B", "-f", str(pathlib.Path(__file__).parent / "kafka-release.xml"), f"-Drelease={release}",
               "-P", ",".join(profiles), "dependency:copy-dependencies", "-DincludeScope=runtime",
               f"-DoutputDirectory={fresh}"], f"Apache Kafka {release}")
        fresh.rename(folder / "libs")


def fetch(words, what, tries=3):
    """Run what asks Maven Central. When it refuses, or says nothing for long, it is asked again later."""
    for number in range(1, tries + 1):
        try:
            subprocess.run(words, check=True, stdin=subprocess.DEVNULL, timeout=900)
            return
        except subprocess.SubprocessError as error:
            if number == tries:
                raise RuntimeError(f"{what} could not be downloaded, {tries} times: {error}") from error
        time.sleep(number * 10)


def main_class(folder, tool):
    """The class behind a stock script, in this release."""
    candidates = CLASSES[tool]
    if len(candidates) > 1:
        jars = [*folder.glob("libs/kafka-tools-*.jar")]
        names = subprocess.run(["jar", "tf", str(jars[0])], check=True, capture_output=True, text=True).stdout
        for name in candidates:
            if name.replace(".", "/") + ".class" in names:
                return name
    return candidates[-1] if len(candidates) > 1 else candidates[0]


def tool_command(release, tool):
    """The words that run a stock tool; its arguments are to follow."""
    folder = home(release)
    return ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
            f"-Dlog4j.configuration=file:{pathlib.Path(__file__).parent}/log4j-tools.properties",
            f"-Dlog4j2.configurationFile=file:{pathlib.Path(__file__).parent}/log4j2-tools.properties",
            "-cp", f"{folder}/libs/*", main_class(folder, tool)]


def run_tool(release, tool, *arguments, text="", seconds=300):
    """Run a stock tool to its end. Returns (exit code, standard output, standard error)."""
    done = subprocess.run([*tool_command(release, tool), *map(str, arguments)], input=text,
                          capture_output=True, text=True, timeout=seconds)
    return done.returncode, done.stdout, done.stderr
