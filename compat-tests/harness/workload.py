"""Workload: producers of unique numbers, with confluent-kafka, and a reader that takes everything back.

What happened is kept as a history for history.py. A producer's record is acknowledged, failed for
certain, or unknown; with the idempotent producer an unknown one may be there once or not at all.
"""

import itertools
import threading
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from .history import Operation, Poll, Send


def create_topic(bootstrap, topic, partitions, **configs):
    client = AdminClient({"bootstrap.servers": bootstrap})
    client.create_topics([NewTopic(topic, partitions, 1, config=configs)])[topic].result(60)


class Writer(threading.Thread):
    """Produces as many numbers as it is allowed to, to every partition, until told to stop.

    Threads: its own; allow(), `acknowledged` and wait_for_acknowledged() may be used from any.
    """

    def __init__(self, bootstrap, topic, partitions, process, numbers, settings):
        super().__init__(daemon=True)
        self.topic, self.partitions, self.process, self.numbers = topic, partitions, process, numbers
        self.stopping = threading.Event()
        self.changed = threading.Condition()
        self.allowed = self.sent = self.acknowledged = 0
        self.operations = []
        self.fatal = None
        self.in_flight = 0
        self.producer = Producer({
            "bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all",
            "message.timeout.ms": 120000, "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 100,
            "retry.backoff.ms": 20, "log_level": 0, "error_cb": self._on_error, **settings})

    def _on_error(self, error):
        if error.fatal():
            self.fatal = error

    def _on_delivery(self, number, key, began):
        def report(error, message):
            outcome = "ok"
            if error is not None:
                # What was never handed to a socket did not happen; of the rest nobody knows.
                outcome = "unknown" if error.code() != KafkaError._PURGE_QUEUE else "failed"
            step = Send(key, number, message.offset() if outcome == "ok" else None)
            self.operations.append(Operation(self.process, (step,), outcome, began, time.monotonic()))
            self.in_flight -= 1
            if outcome == "ok":
                with self.changed:
                    self.acknowledged += 1
                    self.changed.notify_all()
        return report

    def run(self):
        try:
            while not self.stopping.is_set() and not self.fatal:
                if self.sent < self.allowed and self.in_flight < 500:
                    self._produce(next(self.numbers))
                    self.producer.poll(0)
                else:
                    self.producer.poll(0.02)
            self.producer.flush(120)
        except KafkaException as error:
            self.fatal = error

    def _produce(self, number):
        partition = number % self.partitions
        self.in_flight += 1
        self.sent += 1
        self.producer.produce(self.topic, b"%d" % number, partition=partition, on_delivery=self._on_delivery(
            number, f"{self.topic}-{partition}", time.monotonic()))

    def allow(self, count):
        """Let it send so many more."""
        self.allowed += count

    def wait_for_acknowledged(self, count, seconds=120):
        with self.changed:
            return self.changed.wait_for(lambda: self.acknowledged >= count, seconds)

    def stop(self):
        self.stopping.set()
        self.join(150)


class Numbers:
    """0, 1, 2, ... for all writers together, so that a number names one record of the whole test."""

    def __init__(self):
        self.next, self.lock = itertools.count(), threading.Lock()

    def __iter__(self):
        return self

    def __next__(self):
        with self.lock:
            return next(self.next)


def acknowledged_to(topic, partitions, operations):
    """partition -> the highest offset at which a record was acknowledged, -1 where none was."""
    found = dict.fromkeys(range(partitions), -1)
    for operation in operations:
        for send in operation.sends() if operation.outcome == "ok" else ():
            name, partition = send.key.rsplit("-", 1)
            if name == topic and send.offset is not None:      # Of a repeated one the broker may not say it.
                found[int(partition)] = max(found[int(partition)], send.offset)
    return found


def read_everything(bootstrap, topic, partitions, process="reader", operations=()):
    """Each partition from its beginning to its end, as one poll a partition. RuntimeError when that takes too long.

    A leader that is new shows what is committed when its followers have asked it: an end below what `operations` had
    acknowledged is waited out. One that stays is for the checker to tell of."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False,
                         "auto.offset.reset": "earliest", "enable.partition.eof": True, "check.crcs": True,
                         "isolation.level": "read_committed"})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    found = {partition: [] for partition in range(partitions)}
    wanted = acknowledged_to(topic, partitions, operations)
    ends, began = {}, time.monotonic()
    while not all(ends.get(partition, -1) > last for partition, last in wanted.items()):
        if time.monotonic() - began > 120:
            if len(ends) == partitions:
                break
            raise RuntimeError(f"{topic}: only {sorted(ends)} of {partitions} partitions could be read to the end")
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                raise KafkaException(message.error())
            ends[message.partition()] = message.offset()
        else:
            ends.pop(message.partition(), None)
            found[message.partition()].append((f"{topic}-{message.partition()}", message.offset(), int(message.value())))
    consumer.close()
    return [Operation(f"{process}-{partition}", (Poll(tuple(records)),), "ok", began, time.monotonic())
            for partition, records in found.items()]


def offsets_contiguous(polls):
    """Whether each partition's offsets are 0, 1, 2, ... without a gap."""
    return all([offset for _, offset, _ in poll.records] == list(range(len(poll.records)))
               for operation in polls for poll in operation.polls())
