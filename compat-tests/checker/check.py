"""One history for each anomaly: the checker must find exactly that name, and nothing in a good one."""

from harness.checks import Checks, exit_with
from harness.history import Operation, Poll, Send, check, verdict

checks = Checks()


def send(process, key, value, offset, start, **more):
    return Operation(process, (Send(key, value, offset),), start=start, end=start + 0.5, **more)


def poll(process, start, *records, subscribed=False, **more):
    return Operation(process, (Poll(tuple(records), subscribed),), start=start, end=start + 0.5, **more)


def finds(name, allowed, history, claim, all_caught_up=True):
    """The history holds this anomaly, allowed or not, and no other that is not allowed."""
    found = check(history, all_caught_up)
    hits = [anomaly for anomaly in found if anomaly.name == name and anomaly.allowed == allowed]
    others = [str(anomaly) for anomaly in found if anomaly.name != name and not anomaly.allowed]
    checks.that(hits and not others, f"{name}: {claim}", f"found {[str(one) for one in found]}")


good = [send(1, "p", 1, 0, 0), send(1, "p", 2, 1, 1), send(2, "q", 3, 0, 2), poll(3, 3, ("p", 0, 1), ("p", 1, 2)),
        poll(3, 4, ("q", 0, 3)), send(4, "p", 9, None, 5, outcome="unknown")]
checks.equal(verdict(good), "valid", "a good history is valid")
checks.equal(verdict(good + [poll(3, 6, ("p", 2, 9))]), "valid", "an unknown send may have happened")
checks.equal(verdict([send(1, "p", 1, 0, 0), send(1, "p", 2, 5, 1), poll(2, 2, ("p", 0, 1), ("p", 5, 2))]), "valid",
             "offsets that nobody knows, as control records', may be skipped")

finds("lost-write", False, [send(1, "p", 1, 0, 0), send(1, "p", 2, 1, 1), poll(2, 2, ("p", 1, 2))],
      "somebody read past an acknowledged value that nobody read")
finds("unseen", False, [send(1, "p", 1, 0, 0), send(1, "p", 2, 1, 1), poll(2, 2, ("p", 0, 1))],
      "an acknowledged value is not there at the end")
checks.equal(verdict([send(1, "p", 1, 0, 0), send(1, "p", 2, 1, 1), poll(2, 2, ("p", 0, 1))], all_caught_up=False),
             "valid", "unseen: nothing is said while readers have not caught up")
finds("duplicate", False, [send(1, "p", 1, 0, 0), poll(2, 1, ("p", 0, 1), ("p", 1, 1))], "a value is there twice")
finds("duplicate", True, [send(1, "p", 1, 0, 0, idempotent=False, retried=True), poll(2, 1, ("p", 0, 1), ("p", 1, 1))],
      "which a retry without idempotence may do")
finds("inconsistent-offsets", False, [poll(1, 0, ("p", 0, 1)), poll(2, 1, ("p", 0, 2))], "an offset changes its value")
finds("G1a", False, [send(1, "p", 1, None, 0, outcome="failed"), poll(2, 1, ("p", 0, 1))], "a failed send is read")
finds("precommitted-read", False, [Operation(1, (Send("p", 1, 0), Poll((("p", 0, 1),))), transactional=True)],
      "a transaction reads what it has not committed")
finds("int-poll-skip", False, [send(1, "p", 1, 0, 0), send(1, "p", 2, 1, 1), send(1, "p", 3, 2, 2),
                               Operation(2, (Poll((("p", 0, 1),)), Poll((("p", 2, 3),))), start=3, end=4),
                               poll(3, 5, ("p", 1, 2))], "polls of one operation skip a known value")
finds("int-nonmonotonic-poll", False, [Operation(1, (Poll((("p", 1, 2),)), Poll((("p", 0, 1),))))],
      "polls of one operation go back")
finds("int-nonmonotonic-send", False, [Operation(1, (Send("p", 1, 1), Send("p", 2, 0))),
                                       poll(2, 1, ("p", 0, 2), ("p", 1, 1))], "sends of one operation fall")
finds("int-send-skip", True, [Operation(1, (Send("p", 1, 0), Send("p", 2, 2))), send(2, "p", 3, 1, 0),
                              poll(3, 1, ("p", 0, 1), ("p", 1, 3), ("p", 2, 2))], "another writer comes between")
written = [send(1, "p", value, value, value) for value in range(3)]
finds("poll-skip", False, written + [poll(2, 4, ("p", 0, 0)), poll(2, 5, ("p", 2, 2)), poll(3, 6, ("p", 1, 1))],
      "an assigned reader skips a known value")
finds("poll-skip", True, written + [poll(2, 4, ("p", 0, 0), subscribed=True), poll(2, 5, ("p", 2, 2), subscribed=True),
                                    poll(3, 6, ("p", 1, 1), subscribed=True)], "a subscribed one may")
finds("nonmonotonic-poll", False, written[:2] + [poll(2, 4, ("p", 1, 1)), poll(2, 5, ("p", 0, 0))],
      "an assigned reader goes back")
finds("nonmonotonic-poll", True, written[:2] + [poll(2, 4, ("p", 1, 1), subscribed=True),
                                                poll(2, 5, ("p", 0, 0), subscribed=True)], "a subscribed one may")
finds("nonmonotonic-send", False, [send(1, "p", 1, 1, 0), send(1, "p", 2, 0, 1), poll(2, 2, ("p", 0, 2), ("p", 1, 1))],
      "sends of one producer fall")
finds("nonmonotonic-send", True, [send(1, "p", 1, 1, 0, idempotent=False, retried=True),
                                  send(1, "p", 2, 0, 1, idempotent=False, retried=True), poll(2, 2, ("p", 0, 2), ("p", 1, 1))],
      "which a retry without idempotence may do")
finds("nonmonotonic-send", False, [send(1, "p", 1, 1, 0), send(1, "p", 2, 0, 1, idempotent=False, retried=True),
                                   poll(2, 2, ("p", 0, 2), ("p", 1, 1))], "which one that was not retried may not")
both = poll(3, 5, ("p", 0, 1), ("p", 1, 3)), poll(3, 6, ("q", 0, 4), ("q", 1, 2))
finds("G0", True, [Operation(1, (Send("p", 1, 0), Send("q", 2, 1)), end=4),
                   Operation(2, (Send("p", 3, 1), Send("q", 4, 0)), end=4), *both], "two writers in a circle")
finds("G1c", False, [Operation(1, (Send("p", 1, 0), Poll((("q", 0, 2),))), end=4),
                     Operation(2, (Send("q", 2, 0), Poll((("p", 0, 1),))), end=4)], "two read from each other")
finds("G1c", True, [Operation(1, (Send("p", 1, 0), Poll((("q", 0, 2),))), end=4),
                    Operation(2, (Send("q", 2, 0), Send("p", 3, 1)), end=4), poll(3, 5, ("p", 0, 1), ("p", 1, 3))],
      "a circle that needs the order of two writers")
finds("G1c-process", False, [poll(1, 0, ("q", 0, 2)), send(1, "p", 1, 0, 1), poll(2, 2, ("p", 0, 1)), send(2, "q", 2, 0, 3)],
      "a read of what its own answer led to")
finds("G1c-realtime", False, [poll(1, 0, ("p", 0, 1)), send(2, "p", 1, 0, 5)], "a read before the write began")
exit_with(checks)
