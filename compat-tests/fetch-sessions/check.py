"""Fetch sessions (KIP-227), as Apache Kafka 3.9.1 keeps them: run with --against kafka39 to see.

An answer is written as a list of partitions in their order:

    t0:1        partition 0 of t has records, and its high watermark is 1
    t0:1-       no records
    t0!3        error 3
"""

import argparse
import time

from harness import brokers, wire
from harness.checks import Checks, exit_with

NONE, NOT_FOUND, WRONG_EPOCH, UNKNOWN_TOPIC, MIXED, ID_CHANGED, UNKNOWN_ID = 0, 70, 71, 3, 106, 103, 100
STRANGER = bytes([7] * 16)  # An id that no topic has.
checks = Checks()


class Client:
    def __init__(self, port):
        self.port = port
        self.connection = wire.Connection(port)
        self.ids = {}

    def create(self, **topics):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            # Again and again: one that is being deleted cannot be made yet.
            self.connection.call("CreateTopics", 2, timeout_ms=30000, topics=[
                {"name": name, "num_partitions": count, "replication_factor": 1} for name, count in topics.items()])
            found = self.connection.call("Metadata", 12, topics=[{"name": name} for name in topics])["topics"]
            # A broker may lead some time after it is said to.
            ends = self.connection.call("ListOffsets", 1, replica_id=-1, topics=[
                {"name": name, "partitions": [{"partition_index": index, "timestamp": -1} for index in range(count)]}
                for name, count in topics.items()])["topics"]
            if not any(topic["error_code"] for topic in found) and not any(
                    part["error_code"] for topic in found + ends for part in topic["partitions"]):
                self.ids.update({topic["name"]: topic["topic_id"] for topic in found})
                return
        raise TimeoutError(f"{topics} have no leaders")

    def produce(self, *places):
        for topic, partition in places:
            answer = self.connection.call("Produce", 3, **wire.produce(topic, wire.batch((b"v" * 100,)), partition))
            assert answer["responses"][0]["partition_responses"][0]["error_code"] == 0, answer

    def id(self, name):
        return self.ids.get(name, STRANGER)

    def request(self, version, session, epoch, topics=(), forget=(), wait=0, bytes_max=50 << 20, **more):
        def asked(part):
            index, offset = part if isinstance(part, tuple) else (part, 0)
            return {"partition": index, "fetch_offset": offset, "partition_max_bytes": 1 << 20}
        return {"version": version, "max_wait_ms": wait, "min_bytes": 1, "max_bytes": bytes_max, "session_id": session,
                "session_epoch": epoch, "forgotten_topics_data": [
                    {"topic": name, "topic_id": self.id(name), "partitions": parts} for name, parts in forget],
                "topics": [{"topic": name, "topic_id": self.id(name), "partitions": [asked(part) for part in parts]}
                           for name, parts in topics], **more}

    def fetch(self, *arguments, **more):
        return Answer(self, self.connection.call("Fetch", **self.request(*arguments, **more)))


class Answer:
    def __init__(self, client, answer):
        self.error, self.session = answer["error_code"], answer["session_id"]
        names = {topic_id: name for name, topic_id in client.ids.items()} | {STRANGER: "?"}
        self.partitions = []
        for topic in answer["responses"]:
            name = topic.get("topic") or names.get(topic.get("topic_id"), "old")
            for part in topic["partitions"]:
                at = f"{name}{part['partition_index']}"
                self.partitions.append(f"{at}!{part['error_code']}" if part["error_code"] else
                                       f"{at}:{part['high_watermark']}{'' if part['records'] else '-'}")

    def is_(self, name, error, kept, *partitions):
        """`kept`: whether it names a session."""
        checks.equal((self.error, self.session != 0, self.partitions), (error, kept, list(partitions)), name)


def by_name(client):
    client.create(t=3, u=1)
    client.produce(("t", 0))
    first = client.fetch(12, 0, 0, [("t", [0, 1, 9]), ("nope", [0]), ("u", [0])])
    first.is_("a new session answers everything, what is refused at the end", NONE, True,
              "t0:1", "t1:0-", "u0:0-", "t9!3", "nope0!3")
    session = first.session
    client.fetch(12, session, 1).is_("then only what has records or an error", NONE, True, "t0:1", "t9!3", "nope0!3")
    client.fetch(12, session, 2, [("t", [(0, 1)])]).is_("a partition at its end is left out", NONE, True, "t9!3", "nope0!3")
    client.produce(("t", 1), ("t", 0), ("u", 0))
    client.fetch(12, session, 3, forget=[("nope", [0]), ("t", [9])]).is_(
        "who gave records stands behind; what is forgotten is gone", NONE, True, "t1:1", "u0:1", "t0:2")
    client.fetch(12, session, 4).is_("the turn goes on", NONE, True, "t1:1", "u0:1", "t0:2")
    client.fetch(12, session, 4).is_("an epoch that was used", WRONG_EPOCH, False)
    client.fetch(13, session, 5).is_("ids in a session of names", MIXED, False)
    for epoch, place in ((5, "t1:1"), (6, "u0:1"), (7, "t0:2"), (8, "t1:1")):
        client.fetch(12, session, epoch, bytes_max=100).is_(f"none starves when there is room for one, fetch {epoch}",
                                                            NONE, True, place)
    client.fetch(12, session, 9, [("t", [(1, 1)]), ("u", [(0, 1)])], [("t", [0])]).is_("nothing new is an empty answer", NONE, True)
    client.produce(("u", 0))
    client.fetch(12, session, 10).is_("until something comes", NONE, True, "u0:2")
    client.fetch(12, session, 11, [("u", [(0, 5)])]).is_("an offset out of range", NONE, True, "u0!1")
    client.fetch(12, session, 12, [("u", [(0, 2)])]).is_("after an error the partition is told again", NONE, True, "u0:2-")
    client.fetch(12, session, 13, forget=[("t", [1]), ("u", [0])]).is_("a session that is empty is over", NONE, False)
    client.fetch(12, session, 14).is_("and not found any more", NOT_FOUND, False)


def by_id(client):
    client.create(t=3, u=1)
    client.produce(("t", 0), ("u", 0))
    first = client.fetch(13, 0, 0, [("t", [(0, 1), 9]), ("nope", [0])])
    session = first.session
    checks.equal(first.partitions[1:], ["?0!100", "t9!3"] if first.partitions[1] == "?0!100" else ["t9!3", "?0!100"],
                 "an id that nobody knows is refused as such")
    client.fetch(12, session, 1).is_("names in a session of ids", MIXED, False)
    client.fetch(13, session, 1, [("u", [0])], [("nope", [0])]).is_("a session by id", NONE, True, "u0:1", "t9!3")
    client.connection.call("DeleteTopics", 5, topic_names=["t", "u"], timeout_ms=30000)
    gone = Answer.partitions_when(client, session, 2, lambda seen: {"t0!3", "u0!3"} <= {*seen})
    checks.equal(sorted(gone.partitions), ["t0!3", "t9!3", "u0!3"], "deleted topics are unknown")
    old = client.ids.pop("t")
    client.create(t=3)
    client.ids["old"] = old
    again = Answer.partitions_when(client, session, gone.epoch, lambda seen: "old0!103" in seen)
    checks.equal(sorted(again.partitions), ["old0!103", "old9!3", "u0!3"], "a topic made anew is not the one that was meant")


def _partitions_when(client, session, epoch, holds):
    deadline = time.monotonic() + 120
    while True:
        answer = client.fetch(13, session, epoch)
        epoch += 1
        if holds(answer.partitions) or time.monotonic() > deadline:
            answer.epoch = epoch
            return answer


Answer.partitions_when = staticmethod(_partitions_when)


def without(client):
    client.create(w=3)
    client.produce(("w", 0), ("w", 0))
    client.fetch(12, 0, -1, [("w", [0, 1])]).is_("no session is asked for", NONE, False, "w0:2", "w1:0-")
    client.fetch(12, 77, 5).is_("an unknown session", NOT_FOUND, False)
    client.fetch(12, -3, 2).is_("a session that cannot be", NOT_FOUND, False)
    client.fetch(12, 0, 3, [("w", [0])]).is_("an epoch without session", NOT_FOUND, False)
    client.fetch(12, 0, -5, [("w", [0])]).is_("an epoch that cannot be", NOT_FOUND, False)
    client.fetch(12, 77, -1, [("w", [0])]).is_("closing what is not there", NONE, False, "w0:2")
    client.fetch(12, 0, 0).is_("a session of nothing", NONE, True)
    client.fetch(12, 0, -1, [("w", [0, (0, 2), 1, (0, 1)])]).is_("a partition asked for twice is answered once", NONE, False,
                                                                 "w0:2", "w1:0-")
    session = client.fetch(12, 0, 0, [("w", [0])]).session
    client.fetch(12, session, 0, [("w", [1])]).is_("a full fetch makes a new session", NONE, True, "w1:0-")
    client.fetch(12, session, 1).is_("and closes the old one", NOT_FOUND, False)
    session = client.fetch(12, 0, 0, [("w", [(0, 2)])]).session
    client.connection.close()
    client.connection = wire.Connection(client.port)
    client.produce(("w", 0))
    client.fetch(12, session, 1).is_("a session outlives its connection", NONE, True, "w0:3")
    client.fetch(12, session, -1).is_("closed by its client", NONE, False)
    client.fetch(12, session, 2).is_("it is gone", NOT_FOUND, False)


def waiting(client):
    client.create(v=2)
    session = client.fetch(12, 0, 0, [("v", [0, 1])]).session
    with wire.Connection(client.port) as other:
        other.send(wire.request("Fetch", **client.request(12, session, 1, wait=60000)))
        client.produce(("v", 1))
        Answer(client, other.answer("Fetch", 12)).is_("a fetch of a session is woken", NONE, True, "v1:1")
        # Three at once on one connection: each has its turn.
        for epoch in (2, 3, 4):
            other.send(wire.request("Fetch", **client.request(12, session, epoch, wait=100, correlation=epoch)))
        for epoch in (2, 3, 4):
            Answer(client, other.answer("Fetch", 12)).is_(f"fetches sent ahead are answered in turn, {epoch}", NONE, True, "v1:1")
    began = time.monotonic()
    client.fetch(12, 0, -1, [("v", [0]), ("nope", [0])], wait=300).is_("what is refused", NONE, False, "v0:0-", "nope0!3")
    checks.that(time.monotonic() - began >= 0.29, "does not end the wait of the others")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", default="milena", choices=brokers.KINDS)
    arguments = parser.parse_args()
    with brokers.make(arguments.against, {"auto.create.topics.enable": "false"}) as broker:
        for story in (without, waiting, by_name):
            checks.run(story.__name__, story, Client(broker.port))
        client = Client(broker.port)
        client.connection.call("DeleteTopics", 5, topic_names=["t", "u"], timeout_ms=30000)
        checks.run("by_id", by_id, client)
    exit_with(checks)


if __name__ == "__main__":
    main()
