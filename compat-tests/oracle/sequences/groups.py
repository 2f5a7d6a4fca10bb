"""JoinGroup, SyncGroup, Heartbeat, LeaveGroup, DescribeGroups, ListGroups, DeleteGroups: classic groups."""

import struct
import time

from sequence import sequence

NONE, UNKNOWN_MEMBER, REBALANCE, MEMBER_ID_REQUIRED = 0, 25, 27, 79
NOT_THERE_YET = (14, 15, 16)
EACH_PARTITION = "abcd"     # One of these groups is in each of the four partitions of __consumer_offsets.


def ready(kafka, name="g"):
    """A group's name, when its coordinator answers, and those of all others."""
    for group in () if kafka.coordinates else EACH_PARTITION:
        kafka.until(lambda: kafka.ask("FindCoordinator", 3, key=group)["error_code"] == 0)
        kafka.until(lambda: kafka.ask("Heartbeat", 0, group_id=group, generation_id=0, member_id="x")
                    ["error_code"] not in NOT_THERE_YET)
    kafka.coordinates = True
    return kafka.name(name)


def wish(group, member="", protocols=(("range", b"meta"),), session=60000, rebalance=60000, kind="consumer",
         instance=None):
    return {"group_id": group, "session_timeout_ms": session, "rebalance_timeout_ms": rebalance, "member_id": member,
            "group_instance_id": instance, "protocol_type": kind,
            "protocols": [{"name": name, "metadata": data} for name, data in protocols]}


def join(kafka, version, group, member="", on="main", **more):
    """Join, a second time with the id that a first answer gave. Returns the last answer."""
    answer = kafka.call("JoinGroup", version, on, **wish(group, member, **more))
    if answer and answer["error_code"] == MEMBER_ID_REQUIRED:
        answer = kafka.call("JoinGroup", version, on, **wish(group, answer["member_id"], **more))
    return answer


def sync(kafka, version, group, joined, assignments=(), on="main", generation=None, member=None, **more):
    return kafka.call("SyncGroup", version, on, group_id=group,
                      generation_id=joined["generation_id"] if generation is None else generation,
                      member_id=joined["member_id"] if member is None else member,
                      assignments=[{"member_id": who, "assignment": what} for who, what in assignments], **more)


def heartbeat(kafka, version, group, generation, member, on="main", **more):
    return kafka.call("Heartbeat", version, on, group_id=group, generation_id=generation, member_id=member, **more)


def stable(kafka, group, protocols=(("range", b"meta"),), kind="consumer", **more):
    """A group of one member that has its assignment. Returns what JoinGroup answered."""
    answer = kafka.ask("JoinGroup", 5, **wish(group, protocols=protocols, kind=kind, **more))
    if answer["error_code"] == MEMBER_ID_REQUIRED:
        answer = kafka.ask("JoinGroup", 5, **wish(group, answer["member_id"], protocols=protocols, kind=kind, **more))
    seen = kafka.ask("SyncGroup", 3, group_id=group, generation_id=answer["generation_id"],
                     member_id=answer["member_id"], group_instance_id=more.get("instance"),
                     assignments=[{"member_id": answer["member_id"], "assignment": b"all"}])
    if answer["error_code"] or seen["error_code"]:
        raise RuntimeError(f"the group did not become stable: {answer} {seen}")
    return answer


def leave(kafka, group, joined, instance=None):
    kafka.ask("LeaveGroup", 3, group_id=group, members=[{"member_id": joined["member_id"],
                                                         "group_instance_id": instance}])


def subscription(*topics):
    """What a consumer of the Java client says about itself, version 0."""
    names = b"".join(struct.pack(">h", len(name)) + name.encode() for name in topics)
    return struct.pack(">hi", 0, len(topics)) + names + struct.pack(">i", -1)


@sequence("JoinGroup")
def alone(kafka, version):
    group = ready(kafka)
    joined = join(kafka, version, group, protocols=(("range", b"a"), ("roundrobin", b"b")))
    sync(kafka, 0, group, joined, [(joined["member_id"], b"mine")])
    again = join(kafka, version, group, joined["member_id"], protocols=(("roundrobin", b"c"),))
    heartbeat(kafka, 0, group, again["generation_id"], again["member_id"])
    sync(kafka, 0, group, again, [(again["member_id"], b"still mine")])
    same = join(kafka, version, group, joined["member_id"], protocols=(("roundrobin", b"c"),))
    sync(kafka, 0, group, same)
    kafka.call("LeaveGroup", 0, group_id=group, member_id=same["member_id"])
    join(kafka, version, group, same["member_id"])


@sequence("JoinGroup")
def two_members(kafka, version):
    group = ready(kafka)
    one = join(kafka, version, group, protocols=(("range", b"a"), ("roundrobin", b"b")))
    sync(kafka, 0, group, one, [(one["member_id"], b"all")])
    member = ""
    if version >= 4:
        member = kafka.call("JoinGroup", version, "second", **wish(group))["member_id"]
    kafka.send("JoinGroup", version, "second", **wish(group, member, protocols=(("roundrobin", b"d"), ("x", b""))))
    kafka.until(lambda: kafka.ask("Heartbeat", 0, group_id=group, generation_id=one["generation_id"],
                                  member_id=one["member_id"])["error_code"] == REBALANCE)
    kafka.call("DescribeGroups", 1, groups=[group])
    first = join(kafka, version, group, one["member_id"], protocols=(("range", b"a"), ("roundrobin", b"b")))
    second = kafka.take("JoinGroup", version, "second")
    kafka.call("DescribeGroups", 1, groups=[group])
    heartbeat(kafka, 0, group, first["generation_id"], first["member_id"])
    kafka.send("SyncGroup", 0, "second", group_id=group, generation_id=second["generation_id"],
               member_id=second["member_id"])
    sync(kafka, 0, group, first, [(first["member_id"], b"1"), (second["member_id"], b"2"), ("stranger", b"3")])
    kafka.take("SyncGroup", 0, "second")
    sync(kafka, 0, group, second, on="second")
    heartbeat(kafka, 0, group, one["generation_id"], one["member_id"])
    # The leader goes, and the other one is told by its heartbeats.
    kafka.call("LeaveGroup", 0, group_id=group, member_id=first["member_id"])
    heartbeat(kafka, 0, group, second["generation_id"], second["member_id"], on="second")
    last = join(kafka, version, group, second["member_id"], on="second", protocols=(("roundrobin", b"d"), ("x", b"")))
    sync(kafka, 0, group, last, [(last["member_id"], b"all")], on="second")


@sequence("JoinGroup")
def refused(kafka, version):
    group = ready(kafka)
    join(kafka, version, "", protocols=())
    join(kafka, version, "")
    for session in (0, 99, -1, 1800001, 2147483647):
        join(kafka, version, group, session=session)
    join(kafka, version, group, protocols=())
    join(kafka, version, group, kind="")
    join(kafka, version, group, "stranger")
    joined = join(kafka, version, kafka.name("h"))
    for more in ({"kind": "connect"}, {"protocols": (("other", b""),)}, {"kind": ""}, {"protocols": ()}):
        join(kafka, version, kafka.name("h"), **more)
        join(kafka, version, kafka.name("h"), joined["member_id"], **more)
    join(kafka, version, kafka.name("h"), "stranger")
    join(kafka, version, kafka.name("k"), rebalance=-1)
    join(kafka, version, kafka.name("l"), rebalance=0)
    join(kafka, version, kafka.name("m"), protocols=(("", b""),))
    # A protocol that is named twice is left out: Apache Kafka 3.9.1 never answers that.
    join(kafka, version, kafka.name("o") + "\n ü", kind="any")


@sequence("JoinGroup", versions=range(5, 10))
def static_members(kafka, version):
    group, soon = ready(kafka), kafka.soon_ms
    began = time.monotonic()
    one = join(kafka, version, group, instance="i", rebalance=soon)
    sync(kafka, 3, group, one, [(one["member_id"], b"all")], group_instance_id="i")
    kafka.in_time(began, soon)
    for instance, member in (("i", "stranger"), ("j", one["member_id"]), (None, one["member_id"])):
        heartbeat(kafka, 3, group, one["generation_id"], member, group_instance_id=instance)
    join(kafka, version, group, "stranger", instance="i")
    again = join(kafka, version, group, instance="i", rebalance=soon)
    heartbeat(kafka, 3, group, one["generation_id"], one["member_id"], group_instance_id="i")
    heartbeat(kafka, 3, group, one["generation_id"], one["member_id"])
    heartbeat(kafka, 3, group, again["generation_id"], again["member_id"], group_instance_id="i")
    sync(kafka, 3, group, again, group_instance_id="i")
    sync(kafka, 3, group, one, group_instance_id="i")
    kafka.call("DescribeGroups", 4, groups=[group])
    join(kafka, version, group, one["member_id"], instance="i")
    join(kafka, version, group, "stranger", instance="new")
    # Both have to wait for the other, which does not come. Who has joined has as long again for its SyncGroup.
    began = time.monotonic()
    join(kafka, version, group, instance="", rebalance=soon)
    joining = time.monotonic()
    changed = join(kafka, version, group, instance="i", rebalance=soon,
                   protocols=(("range", b"other"),))
    kafka.in_time(began, 3 * soon)
    sync(kafka, 3, group, changed, [(changed["member_id"], b"all")], group_instance_id="i")
    kafka.call("LeaveGroup", 3, group_id=group, members=[
        {"member_id": "stranger", "group_instance_id": "i"}, {"member_id": "", "group_instance_id": "j"},
        {"member_id": "stranger"}, {"member_id": "", "group_instance_id": "i"}])
    kafka.call("DescribeGroups", 4, groups=[group])
    kafka.in_time(joining, 2 * soon)


@sequence("JoinGroup", versions=range(4, 10))
def an_id_first(kafka, version):
    """An id that was given out counts until its time is over; before it is used it is no member."""
    group = ready(kafka)
    first = kafka.call("JoinGroup", version, **wish(group))
    heartbeat(kafka, 0, group, -1, first["member_id"])
    heartbeat(kafka, 0, group, 0, first["member_id"])
    kafka.call("DescribeGroups", 1, groups=[group])
    sync(kafka, 0, group, first)
    kafka.call("LeaveGroup", 0, group_id=group, member_id=first["member_id"])
    kafka.call("JoinGroup", version, **wish(group, first["member_id"]))
    second = kafka.call("JoinGroup", version, **wish(group))
    kafka.call("JoinGroup", version, **wish(group, second["member_id"], kind="connect"))
    kafka.call("DeleteGroups", 1, groups_names=[group])


@sequence("JoinGroup", versions=(0, 3, 5, 9))
def expires(kafka, version):
    group, soon = ready(kafka), kafka.soon_ms
    began = time.monotonic()
    joined = join(kafka, version, group, session=soon, rebalance=soon)
    sync(kafka, 0, group, joined, [(joined["member_id"], b"all")])
    kafka.in_time(began, soon)
    kafka.until(lambda: kafka.ask("DescribeGroups", 1, groups=[group])["groups"][0]["group_state"] == "Empty")
    kafka.call("DescribeGroups", 1, groups=[group])
    heartbeat(kafka, 0, group, joined["generation_id"], joined["member_id"])
    sync(kafka, 0, group, joined)
    join(kafka, version, group, joined["member_id"])


@sequence("SyncGroup")
def syncs(kafka, version):
    group = ready(kafka)
    names = {"protocol_type": "consumer", "protocol_name": "range"}
    joined = join(kafka, 5, group)
    nobody = {"generation_id": 1, "member_id": "stranger"}
    sync(kafka, version, "", nobody, **names)
    sync(kafka, version, kafka.name("absent"), nobody, **names)
    sync(kafka, version, group, nobody, **names)
    sync(kafka, version, group, joined, generation=joined["generation_id"] + 1, **names)
    sync(kafka, version, group, joined, generation=-1, **names)
    sync(kafka, version, group, joined, protocol_type="connect", protocol_name="range")
    sync(kafka, version, group, joined, protocol_type="consumer", protocol_name="other")
    sync(kafka, version, group, joined, protocol_type=None, protocol_name="range")
    sync(kafka, version, group, joined, [(joined["member_id"], b"x" * 100)], **names)
    sync(kafka, version, group, joined, [(joined["member_id"], b"changed")], **names)
    sync(kafka, version, group, joined, group_instance_id="i", **names)
    sync(kafka, version, group, joined, protocol_type="connect", protocol_name="range")
    sync(kafka, version, group, joined, **names)
    sync(kafka, version, group, joined, member="", **names)


@sequence("SyncGroup")
def nothing_for_the_leader(kafka, version):
    group = ready(kafka)
    names = {"protocol_type": "consumer", "protocol_name": "range"}
    joined = join(kafka, 5, group)
    sync(kafka, version, group, joined, [("stranger", b"x")], **names)
    sync(kafka, version, group, joined, **names)


@sequence("Heartbeat")
def heartbeats(kafka, version):
    group = ready(kafka)
    heartbeat(kafka, version, "", 1, "stranger")
    heartbeat(kafka, version, kafka.name("absent"), 1, "stranger")
    joined = join(kafka, 5, group)
    heartbeat(kafka, version, group, joined["generation_id"], joined["member_id"])
    sync(kafka, 3, group, joined, [(joined["member_id"], b"all")])
    member, generation = joined["member_id"], joined["generation_id"]
    for at, who in ((generation, member), (generation + 1, member), (generation - 1, member), (-1, member),
                    (generation, "stranger"), (generation, ""), (-1, "")):
        heartbeat(kafka, version, group, at, who)
    heartbeat(kafka, version, group, generation, member, group_instance_id="i")
    kafka.call("LeaveGroup", 0, group_id=group, member_id=member)
    heartbeat(kafka, version, group, generation, member)


@sequence("LeaveGroup")
def leaves(kafka, version):
    group = ready(kafka)

    def go(name, *members):
        kafka.call("LeaveGroup", version, group_id=name, member_id=members[0][0] if members else "",
                   members=[{"member_id": who, "group_instance_id": instance} for who, instance in members])
    go("", ("stranger", None))
    go(kafka.name("absent"), ("stranger", None))
    joined = stable(kafka, group)
    member = joined["member_id"]
    go(group, ("stranger", None))
    go(group, ("", None))
    if version >= 3:
        go(group)
        go(group, ("stranger", None), (member, "i"))
        go(group, ("stranger", None), (member, None), (member, None))
    else:
        go(group, (member, None))
    go(group, (member, None))
    kafka.call("DescribeGroups", 1, groups=[group])


@sequence("DescribeGroups")
def described(kafka, version):
    group, plain, empty = ready(kafka), ready(kafka, "plain"), ready(kafka, "empty")
    topic = kafka.topic()
    stable(kafka, group, protocols=(("range", subscription(topic)),))
    stable(kafka, plain, kind="connect", instance="i")
    leave(kafka, empty, stable(kafka, empty))
    for groups in ([group], [plain], [empty], ["absent"], [""], [group, empty], [group, group], []):
        for operations in (False, True):
            kafka.call("DescribeGroups", version, groups=groups, include_authorized_operations=operations)


@sequence("ListGroups")
def listed(kafka, version):
    """Other sequences have groups too; what is compared is those of this one."""
    group, plain, empty, fetched = (ready(kafka, name) for name in ("g", "plain", "empty", "fetched"))
    stable(kafka, group)
    stable(kafka, plain, kind="connect")
    leave(kafka, empty, stable(kafka, empty))
    kafka.ask("OffsetFetch", 5, group_id=fetched, topics=None)
    topic = kafka.topic()
    kafka.ask("OffsetCommit", 2, group_id=kafka.name("simple"), topics=[{"name": topic, "partitions": [
        {"partition_index": 0, "committed_offset": 3, "committed_metadata": ""}]}])
    for states in ([], ["Stable"], ["stable"], ["Empty", "Dead"], ["No Such"], ["PreparingRebalance"], [""]):
        for types in ([], ["classic"], ["Classic"], ["consumer"], ["share"], ["none"]):
            answer = kafka.ask("ListGroups", version, states_filter=states, types_filter=types)
            answer["groups"] = [one for one in answer["groups"] if one["group_id"].startswith(kafka.prefix)]
            kafka.note("ListGroups", kafka.normalise("ListGroups", answer))


@sequence("DeleteGroups")
def deleted(kafka, version):
    group, empty = ready(kafka), ready(kafka, "empty")
    joined = stable(kafka, group)
    leave(kafka, empty, stable(kafka, empty))
    for groups in ([group], [empty], [empty], ["absent"], [""], [], [group, "absent"], ["absent", "absent"]):
        kafka.call("DeleteGroups", version, groups_names=groups)
    leave(kafka, group, joined)
    kafka.call("DeleteGroups", version, groups_names=[group, group])
    kafka.call("DescribeGroups", 1, groups=[group])
