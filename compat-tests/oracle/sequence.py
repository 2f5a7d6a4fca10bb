"""Sequence: a function that asks a Peer, run once for each version of the API that it is about.

    @sequence("Metadata")
    def unknown_topics(kafka, version):
        kafka.call("Metadata", version, …)

Versions are those that Milena serves, or a range of them; `first` sequences run before all others, while the
broker is as it was started. `against` names the Apache Kafka release that answers too.
"""

import dataclasses

from harness import brokers, wire

EVERY = []


@dataclasses.dataclass
class Sequence:
    api: str
    name: str
    body: object
    versions: tuple
    against: str
    first: bool


def served(api):
    """The versions of an API that Milena serves, from the `serves` line of its schema."""
    low, high = wire.messages()[api, "request"].serves
    return tuple(range(low, high + 1))


def sequence(api, versions=None, against=brokers.ApacheKafka39.name, first=False):
    def add(body):
        EVERY.append(Sequence(api, body.__name__, body, tuple(served(api) if versions is None else versions),
                              against, first))
        return body
    return add
