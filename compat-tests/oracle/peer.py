"""Peer: one broker that is asked, and what it answered in a form that two brokers can share.

A sequence talks to a Peer and does not know which broker it is:

    answer = kafka.call("Metadata", version, topics=[{"name": kafka.topic("t")}])

call() notes the request's name and the normalised answer in the transcript, and returns the answer as
decoded, so that the sequence can go on with ids that the broker made. ask() is call() without the note:
for what prepares a sequence. A connection that the peer closed is noted as CLOSED, and the next call opens
a new one.

What brokers choose for themselves is replaced by a name, never left out (normalise):

    port               PORT, when it is the broker's own
    cluster_id         CLUSTER, when it is the one that Metadata told first
    topic_id           ID of NAME, for an id that an answer told together with a name
    log_dir            LOG DIR, when it is the broker's own
    member ids         client-MEMBER n, in the order in which they appear in the sequence
    producer_id        PRODUCER n, for those that the broker handed out in this sequence
    session_id         SESSION n, likewise
    timestamps         NOW, when within ten minutes of it
    usable_bytes       SOME, when there are any
    text for people    TEXT, when there is any: the words are each broker's own
    records            the batches, decoded; a record's bytes as they are

Lists whose elements name themselves become dictionaries by that name: Kafka's order there is a hash
table's. Answers to Fetch keep theirs, because order counts there.
"""

import re
import time
import uuid

from harness import brokers, wire

import batches

ATTEMPTS = 3
# For what comes in a moment on any machine that is not broken.
PATIENCE = 60
CLOSED = "the connection was closed"
SILENT = "no answer"
MEMBER = re.compile(r"^(.*)-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$", re.S)
TEXTS = {"error_message", "batch_index_error_message", "documentation"}
TIMES = {"log_append_time_ms", "last_timestamp", "timestamp"}
# What an element of a list is called by, the first that it has.
NAMES = ("api_key", "key", "name", "topic", "partition_index", "partition", "index", "group_id", "node_id", "broker_id",
         "resource_name", "log_dir", "member_id", "producer_id")
ORDERED = {"Fetch"}


class Late(Exception):
    """A time that the sequence gave a broker ran out before the sequence came to its next step: it is run again, with longer times."""


class Peer:
    def __init__(self, broker):
        self.broker = broker
        self.cluster = None
        self.topics = {}            # id -> name, for as long as the broker lives
        self.shared = set()         # topics that several sequences read
        self.coordinates = False    # whether all its groups answer
        self.begin("", 0)

    def begin(self, sequence, version, attempt=0):
        """Forget the last sequence."""
        self.prefix = f"{sequence}-{version}-" + (f"again-{attempt}-" if attempt else "")
        self.soon_ms = 1000 * 4 ** attempt      # for times that a sequence lets run out
        self.transcript = []
        self.connections = {}
        self.members, self.producers, self.sessions = {}, {}, {}
        self.client = "oracle"

    def end(self):
        for connection in self.connections.values():
            connection.close()
        self.connections = {}

    # Asking.

    def connection(self, on="main"):
        if on not in self.connections:
            self.connections[on] = wire.Connection(self.broker.port, seconds=PATIENCE)
        return self.connections[on]

    def drop(self, on="main"):
        if on in self.connections:
            self.connections.pop(on).close()

    def send(self, api, version, on="main", **values):
        self.connection(on).send(wire.request(api, version, client=self.client, **values))

    def take(self, api, version, on="main", note=True):
        """The next answer on a connection, noted. None when there is none any more."""
        try:
            answer = self.connection(on).answer(api, version)
        except ConnectionError:
            answer = None
            self.drop(on)
        except TimeoutError:
            self.drop(on)
            self.note(api, SILENT)
            return None
        if answer is not None:
            self.learn(api, answer)
        if note:
            self.note(api, CLOSED if answer is None else self.normalise(api, answer))
        return answer

    def call(self, api, version, on="main", **values):
        self.send(api, version, on, **values)
        return self.take(api, version, on)

    def ask(self, api, version, on="main", **values):
        """call() that is not compared. RuntimeError when the peer closes the connection."""
        self.send(api, version, on, **values)
        answer = self.take(api, version, on, note=False)
        if answer is None:
            raise RuntimeError(f"no answer to {api} v{version}")
        return answer

    def raw(self, data, api, version, on="main"):
        """Send bytes as they are, with their length, and note the answer as this API's."""
        self.connection(on).send(wire.frame(data))
        return self.take(api, version, on)

    def note(self, what, seen):
        self.transcript.append((what, seen))

    def wait_until_ready(self):
        """Apache Kafka serves before its controller knows it, and before it has heard of the feature versions."""
        self.until(lambda: self.ask("Metadata", 12, topics=[])["brokers"])
        if not isinstance(self.broker, brokers.Milena):
            self.until(lambda: self.ask("ApiVersions", 3, client_software_name="oracle", client_software_version="1.0")
                       ["finalized_features_epoch"] >= 0)
        self.end()

    # What sequences share.

    def name(self, short):
        """A name that no other sequence uses."""
        return self.prefix + short

    def topic(self, short="t", partitions=1, **configs):
        """A fresh topic that has leaders. Returns its name."""
        return self._create(self.name(short), partitions, configs)

    def shared_topic(self, name, partitions=1, **configs):
        """A topic that sequences only read, made once. Returns (its name, whether it was made now)."""
        fresh = name not in self.shared
        if fresh:
            self.shared.add(name)
            self._create(name, partitions, configs)
        return name, fresh

    def _create(self, name, partitions, configs):
        answer = self.ask("CreateTopics", 4, topics=[{
            "name": name, "num_partitions": partitions, "replication_factor": 1,
            "configs": [{"name": key.replace("_", "."), "value": value} for key, value in configs.items()]}])
        if answer["topics"][0]["error_code"] != 0:
            raise RuntimeError(f"{name} was not created: {answer}")
        self.wait_for_topic(name)
        return name

    def wait_for_topic(self, name):
        """Until its partitions have leaders, and those know of it: Apache Kafka 4.3.1 tells of a leader before it leads."""
        def leads():
            [topic] = self.ask("Metadata", 12, topics=[{"name": name}], allow_auto_topic_creation=False)["topics"]
            if topic["error_code"] or any(each["error_code"] for each in topic["partitions"]):
                return False
            [ends] = self.ask("ListOffsets", 5, replica_id=-1, topics=[{"name": name, "partitions": [
                {"partition_index": each["partition_index"], "timestamp": -1} for each in topic["partitions"]]}])["topics"]
            return not any(each["error_code"] for each in ends["partitions"])
        self.until(leads)

    def in_time(self, since, ms):
        """What the sequence did since then it did in less time. Raises Late when that is not certain."""
        if time.monotonic() - since >= ms / 1000:
            raise Late

    def until(self, holds, seconds=PATIENCE):
        """Wait until a condition holds, and return what it gave. RuntimeError when it does not within the time."""
        deadline = time.monotonic() + seconds
        while not (seen := holds()):
            if time.monotonic() > deadline:
                raise RuntimeError("a condition did not come true in time")
            time.sleep(0.01)
        return seen

    def producer_id(self):
        """A fresh producer id."""
        def granted():
            answer = self.ask("InitProducerId", 4, transactional_id=None, transaction_timeout_ms=60000)
            return answer["error_code"] == 0 and answer
        return self.until(granted)["producer_id"]

    def known_id(self, name):
        """The id of a topic that stays; zero when there is no such topic."""
        for known, topic in self.topics.items():
            if topic == name:
                return known
        return self.id_of(name)

    def id_of(self, name):
        return self.ask("Metadata", 12, topics=[{"name": name}])["topics"][0]["topic_id"]

    def produce(self, topic, records, partition=0):
        """Append, and return the base offset. RuntimeError when the broker refuses."""
        answer = self.ask("Produce", 8, **wire.produce(topic, records, partition))
        seen = answer["responses"][0]["partition_responses"][0]
        if seen["error_code"] != 0:
            raise RuntimeError(f"the records for {topic} were refused: {seen}")
        return seen["base_offset"]

    # Normal form.

    def learn(self, api, answer):
        if api == "InitProducerId" and answer["producer_id"] >= 0:
            self.producers.setdefault(answer["producer_id"], len(self.producers) + 1)
        for topic in answer.get("topics") or answer.get("responses") or () if isinstance(answer, dict) else ():
            if any(topic.get("topic_id") or b"") and topic.get("name"):
                self.topics[topic["topic_id"]] = topic["name"]

    def normalise(self, api, value, field=""):
        if isinstance(value, dict):
            return {key: self.normalise(api, each, key) for key, each in value.items()}
        if isinstance(value, list):
            each = [self.normalise(api, one, field) for one in value]
            return each if api in ORDERED else by_name(each)
        return self._scalar(field, value)

    def _scalar(self, field, value):
        if value is None:
            return None
        if field == "records":
            return batches.decode(value, self.producers)
        if field in ("member_id", "leader") and (match := MEMBER.match(value)):
            number = self.members.setdefault(value, len(self.members) + 1)
            return f"{match[1]}-MEMBER {number}"
        if field == "producer_id" and value in self.producers:
            return f"PRODUCER {self.producers[value]}"
        if field == "session_id" and value:
            return f"SESSION {self.sessions.setdefault(value, len(self.sessions) + 1)}"
        if field == "topic_id" and value in self.topics:
            return f"ID of {self.topics[value]}"
        if field == "cluster_id" and value:
            self.cluster = self.cluster or value
            return "CLUSTER" if value == self.cluster else value
        if field == "port" and value == self.broker.port:
            return "PORT"
        if field == "log_dir" and value == str(self.broker.data):
            return "LOG DIR"
        if field == "usable_bytes" and value > 0:
            return "SOME"
        if field in TEXTS and value:
            return "TEXT"
        if field in TIMES and abs(value / 1000 - time.time()) < 600:
            return "NOW"
        if isinstance(value, str):
            return value.replace(str(self.broker.data), "LOG DIR").replace(str(self.broker.port), "PORT")
        return value.hex() if isinstance(value, bytes) else value


def by_name(elements):
    """A dictionary of elements by what they are called, or the list when they have no name."""
    if not elements or not isinstance(elements[0], dict):
        return elements
    called = next((name for name in NAMES if name in elements[0]), None)
    if called is None:
        return elements
    found = {}
    for element in elements:
        name = str(element[called])
        while name in found:
            name += "'"
        found[name] = element
    return found


def some_uuid(text):
    """An id that no broker made, the same for all of them."""
    return uuid.uuid5(uuid.NAMESPACE_OID, text).bytes

