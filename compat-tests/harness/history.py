"""History: what clients did and saw, and whether a broker that keeps Kafka's promises could have made it so.

A history is a list of operations. Each has one or several steps; with several it is a transaction,
or one call that a client considers as a whole:

    Operation(process=1, start=10.0, end=10.2, outcome="ok",
              steps=[Send(key, value, offset), Poll(records=[(key, offset, value), ...])])

A key is a partition, a value a unique integer within it. `outcome` is ok, failed or unknown; an
unknown operation may have happened or not, so both must be possible. Times are of one monotonic clock.

check() returns anomalies. Their names are those of the published Jepsen analyses of Kafka and its
relatives; `allowed` says whether Kafka's promises permit it:

    lost-write, unseen              an acknowledged value that nobody read, though somebody read past it / at all
    duplicate                       one value at two offsets; allowed after an unknown retry without idempotence
    inconsistent-offsets            one offset with two values
    G1a                             a read of what is known to have failed
    precommitted-read               a transaction reads its own send before it commits
    int-poll-skip, int-nonmonotonic-poll, int-send-skip (allowed), int-nonmonotonic-send
                                    within one operation: polls that skip or go back, sends with others between
    poll-skip, nonmonotonic-poll    between polls of one process; allowed with a subscription, which may move
    nonmonotonic-send               acknowledged sends of one process with falling offsets; allowed after an unknown retry
                                    without idempotence, which may come behind what was sent later, to another leader
    G0 (allowed), G1c               cycles of who wrote before whom and who read from whom; with -process and
                                    -realtime where the order of one client or of the clock is needed; G1c is
                                    allowed only when it needs the order of two writers, which Kafka does not isolate
"""

import collections
import dataclasses
import itertools


@dataclasses.dataclass(frozen=True)
class Send:
    key: object
    value: int
    offset: int | None = None       # None: not acknowledged


@dataclasses.dataclass(frozen=True)
class Poll:
    records: tuple                  # of (key, offset, value), as they came
    subscribed: bool = False        # by a group's assignment, which may move between polls


@dataclasses.dataclass(frozen=True)
class Operation:
    process: object
    steps: tuple
    outcome: str = "ok"
    start: float = 0.0
    end: float = 0.0
    transactional: bool = False
    idempotent: bool = True
    retried: bool = False           # the client sent it again after an unknown outcome

    def sends(self):
        return [step for step in self.steps if isinstance(step, Send)]

    def polls(self):
        return [step for step in self.steps if isinstance(step, Poll)]


@dataclasses.dataclass(frozen=True)
class Anomaly:
    name: str
    allowed: bool
    proof: str

    def __str__(self):
        return f"{self.name}{' (allowed)' if self.allowed else ''}: {self.proof}"


class Log:
    """What all operations together reveal of one key: which values stand at which offsets."""

    def __init__(self):
        self.values = collections.defaultdict(set)      # offset -> values
        self.offsets = collections.defaultdict(set)     # value -> offsets
        self.read = set()                               # values that a poll returned
        self.highest_read = -1

    def note(self, offset, value):
        self.values[offset].add(value)
        self.offsets[value].add(offset)

    def known_between(self, low, high):
        """Offsets with a known value strictly between two offsets."""
        return [offset for offset in self.values if low < offset < high]


def logs_of(history):
    logs = collections.defaultdict(Log)
    for operation in history:
        for send in operation.sends():
            if send.offset is not None and operation.outcome == "ok":
                logs[send.key].note(send.offset, send.value)
        for poll in operation.polls():
            for key, offset, value in poll.records:
                logs[key].note(offset, value)
                logs[key].read.add(value)
                logs[key].highest_read = max(logs[key].highest_read, offset)
    return logs


def check(history, all_caught_up=True):
    """Every anomaly of a history. `all_caught_up`: in the end readers had read every partition to its end."""
    logs = logs_of(history)
    return [*unread_writes(history, logs, all_caught_up), *offsets_and_values(history, logs), *failed_reads(history),
            *inside_operations(history, logs), *between_operations(history, logs), *cycles(history, logs)]


def verdict(history, all_caught_up=True):
    """`valid`, or the anomalies that are not allowed, one a line."""
    bad = [anomaly for anomaly in check(history, all_caught_up) if not anomaly.allowed]
    return "\n".join(map(str, bad)) if bad else "valid"


def unread_writes(history, logs, all_caught_up):
    for operation in history:
        for send in operation.sends():
            log = logs[send.key]
            if operation.outcome != "ok" or send.offset is None or send.value in log.read:
                continue
            if send.offset <= log.highest_read:
                yield Anomaly("lost-write", False, f"{send.key}: {send.value} was acknowledged at {send.offset}; "
                              f"readers came to {log.highest_read} and none saw it")
            elif all_caught_up:
                yield Anomaly("unseen", False, f"{send.key}: {send.value} was acknowledged at {send.offset}; "
                              f"readers caught up and none saw it")


def offsets_and_values(history, logs):
    may_double = {(send.key, send.value) for operation in history for send in operation.sends()
                  if operation.retried and not operation.idempotent}
    for key, log in logs.items():
        for value, offsets in log.offsets.items():
            if len(offsets) > 1:
                yield Anomaly("duplicate", (key, value) in may_double, f"{key}: {value} is at {sorted(offsets)}")
        for offset, values in log.values.items():
            if len(values) > 1:
                yield Anomaly("inconsistent-offsets", False, f"{key}: offset {offset} held {sorted(values)}")


def failed_reads(history):
    failed = {(send.key, send.value) for operation in history if operation.outcome == "failed"
              for send in operation.sends()}
    for operation in history:
        own = set()
        for step in operation.steps:
            if isinstance(step, Send):
                own.add((step.key, step.value))
                continue
            for key, offset, value in step.records:
                if (key, value) in failed:
                    yield Anomaly("G1a", False, f"{key}: process {operation.process} read {value} at {offset}, "
                                  "which is known to have failed")
                if operation.transactional and (key, value) in own:
                    yield Anomaly("precommitted-read", False, f"{key}: process {operation.process} read its own "
                                  f"{value} at {offset} before it committed")


def steps_by_key(operations):
    """key -> the offsets polled, in order."""
    seen = collections.defaultdict(list)
    for operation in operations:
        for poll in operation.polls():
            for key, offset, _ in poll.records:
                seen[key].append(offset)
    return seen


def skips(key, offsets, log, name_skip, name_back, who, skip_allowed, back_allowed):
    for before, after in itertools.pairwise(offsets):
        if after <= before:
            yield Anomaly(name_back, back_allowed, f"{key}: {who}: {after} after {before}")
        elif missed := log.known_between(before, after):
            yield Anomaly(name_skip, skip_allowed, f"{key}: {who}: {before}, then {after}, not {sorted(missed)[:5]}")


def inside_operations(history, logs):
    for operation in history:
        who = f"one operation of process {operation.process}"
        for key, offsets in steps_by_key([operation]).items():
            yield from skips(key, offsets, logs[key], "int-poll-skip", "int-nonmonotonic-poll", who,
                             False, False)
        sent = collections.defaultdict(list)
        for send in operation.sends():
            if send.offset is not None:
                sent[send.key].append(send.offset)
        for key, offsets in sent.items():
            yield from skips(key, offsets, logs[key], "int-send-skip", "int-nonmonotonic-send", who,
                             True, False)


def between_operations(history, logs):
    for process, operations in by_process(history).items():
        polled, last_send, operation_of = {}, {}, {}
        for operation in operations:
            for key, offsets in steps_by_key([operation]).items():
                allowed = any(poll.subscribed for poll in operation.polls())
                if key in polled:
                    yield from skips(key, [polled[key], offsets[0]], logs[key], "poll-skip", "nonmonotonic-poll",
                                     f"process {process}", allowed, allowed)
                polled[key] = offsets[-1]
            sends = [send for send in operation.sends() if send.offset is not None and operation.outcome == "ok"]
            first, last = {}, {}
            for send in sends:
                first.setdefault(send.key, send)
                last[send.key] = send
            for key, send in first.items():
                before = last_send.get(key)
                if before and send.offset <= before.offset:
                    may_be_late = operation_of[key].retried and not operation_of[key].idempotent
                    yield Anomaly("nonmonotonic-send", may_be_late, f"{key}: process {process} sent {before.value} to "
                                  f"{before.offset}, then {send.value} to {send.offset}")
            last_send.update(last)
            operation_of.update(dict.fromkeys(last, operation))


def by_process(history):
    """process -> its operations in the order in which it began them."""
    found = collections.defaultdict(list)
    for operation in sorted(history, key=lambda one: one.start):
        found[operation.process].append(operation)
    return found


# Cycles. A node is the number of an operation; the clock adds nodes of its own.

def cycles(history, logs):
    alive = [operation for operation in history if operation.outcome != "failed"]
    writer = {(send.key, send.value): number for number, operation in enumerate(alive) for send in operation.sends()}
    writes, reads = set(), set()
    for key, log in logs.items():
        order = [writer.get((key, min(log.values[offset]))) for offset in sorted(log.values)]
        known = [number for number in order if number is not None]
        writes |= {(one, other) for one, other in itertools.pairwise(known) if one != other}
    for number, operation in enumerate(alive):
        for poll in operation.polls():
            for key, _, value in poll.records:
                source = writer.get((key, value))
                if source is not None and source != number:
                    reads.add((source, number))
    extra = {"": set(), "-process": process_order(alive), "-realtime": clock_order(alive)}
    reported = set()
    for suffix, order in extra.items():
        for name, edges, needed, allowed in (("G1c", reads, reads, False), ("G0", writes, writes, True),
                                             ("G1c", reads | writes, reads, True)):
            for group in circles(edges | order, needed):
                members = frozenset(number for number in group if isinstance(number, int))
                if (name, members) not in reported:
                    reported.add((name, members))
                    proof = "; ".join(describe(alive[number]) for number in sorted(members)[:6])
                    yield Anomaly(name + suffix, allowed, f"a circle of {len(members)} operations: {proof}")


def describe(operation):
    return f"process {operation.process} at {operation.start}: {list(operation.steps)!r:.200}"


def process_order(operations):
    numbers = collections.defaultdict(list)
    for number, operation in sorted(enumerate(operations), key=lambda pair: pair[1].start):
        numbers[operation.process].append(number)
    return {pair for chain in numbers.values() for pair in itertools.pairwise(chain)}


def clock_order(operations):
    """Ended before the other began: through a chain of nodes for the ends, so that edges stay few."""
    done = [number for number, operation in enumerate(operations) if operation.outcome == "ok"]
    ends = sorted(done, key=lambda number: operations[number].end)
    edges = {(number, ("end", at)) for at, number in enumerate(ends)}
    edges |= {(("end", at), ("end", at + 1)) for at in range(len(ends) - 1)}
    at = -1
    for number, operation in sorted(enumerate(operations), key=lambda pair: pair[1].start):
        while at + 1 < len(ends) and operations[ends[at + 1]].end < operation.start:
            at += 1
        if at >= 0:
            edges.add((("end", at), number))
    return edges


def circles(edges, needed):
    """Strongly connected groups of more than one node that hold one of the needed edges."""
    following = collections.defaultdict(list)
    for one, other in edges:
        following[one].append(other)
    groups = strongly_connected(following)
    home = {node: at for at, group in enumerate(groups) for node in group}
    wanted = {home[one] for one, other in needed if home.get(one) == home.get(other)}
    return [groups[at] for at in sorted(wanted) if len(groups[at]) > 1]


def strongly_connected(following):
    """Tarjan's algorithm without recursion."""
    index, low, on_stack, stack, groups = {}, {}, set(), [], []
    for root in list(following):
        if root in index:
            continue
        work = [(root, iter(following[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, rest = work[-1]
            step = next(rest, None)
            if step is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    group = []
                    while not group or group[-1] != node:
                        group.append(stack.pop())
                        on_stack.discard(group[-1])
                    groups.append(group)
            elif step not in index:
                index[step] = low[step] = len(index)
                stack.append(step)
                on_stack.add(step)
                work.append((step, iter(following.get(step, ()))))
            elif step in on_stack:
                low[node] = min(low[node], index[step])
    return groups
