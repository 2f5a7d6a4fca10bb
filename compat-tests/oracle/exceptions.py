"""Exceptions: where Milena's answers differ from Apache Kafka's, each with its reason.

An exception explains a difference when the API, the path and both values fit. Paths are as check.py prints them;
`*` fits anything, and so does ANY. A reason that begins with "not yet:" is a
difference that is to go. One that explains nothing in a whole run fails it.
"""

import dataclasses
import fnmatch

ANY = object()
ABSENT = "absent"


@dataclasses.dataclass
class Allowed:
    api: str
    path: str
    theirs: object          # a value, ANY, or what says whether a value fits
    ours: object
    reason: str
    sequence: str = "*"
    used: bool = False

    def explains(self, about, difference):
        return (self.api in (about.api, "*") and fnmatch.fnmatchcase(about.name, self.sequence) and
                fnmatch.fnmatchcase(difference.path, self.path.replace("[", "[[]"))
                and fits(self.theirs, difference.theirs) and fits(self.ours, difference.ours))


def fits(wanted, value):
    return wanted is ANY or (wanted(value) if callable(wanted) else wanted == value)


def key_in(*keys):
    return lambda value: isinstance(value, dict) and value["api_key"] in keys


UNTIL_TRANSACTIONS = key_in(24, 25, 26, 28, 65, 66)
UNTIL_SECURITY = key_in(29, 30, 31, 38, 39, 40, 41, 48, 49, 50, 51)
UNTIL_FEATURES = key_in(57)
BETWEEN_BROKERS = key_in(4, 5, 6, 7, 56, 58, 67)

EXCEPTIONS = [
    Allowed("ApiVersions", "*.api_keys[*]", UNTIL_TRANSACTIONS, ABSENT,
            "not yet: there is no transaction coordinator, so its APIs are not offered"),
    Allowed("ApiVersions", "*.api_keys[*]", UNTIL_SECURITY, ABSENT,
            "not yet: there are no SASL mechanisms, ACLs, delegation tokens and quotas"),
    Allowed("ApiVersions", "*.api_keys[*]", UNTIL_FEATURES, ABSENT,
            "not yet: there are no feature versions that could be changed"),
    Allowed("ApiVersions", "*.api_keys[45].max_version", 0, 1,
            "AlterPartitionReassignments has a version 1 (KIP-860) in later releases of Apache Kafka"),
    Allowed("ApiVersions", "*.api_keys[*]", BETWEEN_BROKERS, ABSENT,
            "brokers of Apache Kafka talk to each other by these; no client does"),
    Allowed("ApiVersions", "*.api_keys[*]", key_in(68, 69), ABSENT,
            "not yet: groups of the new protocol, which Apache Kafka 3.9.1 names although a broker with "
            "ZooKeeper refuses them"),
    Allowed("ApiVersions", "*.api_keys[*]", ABSENT, key_in(75),
            "Apache Kafka 3.9.1 serves DescribeTopicPartitions only without ZooKeeper; 4.3.1 is asked about it"),
    Allowed("ApiVersions", "*.finalized_features_epoch", 0, -1,
            "there are no feature versions, and -1 is what Apache Kafka says before it has any"),
    Allowed("JoinGroup", "*.protocol_name", None, "", "a protocol without a name: Apache Kafka tells it as null",
            sequence="refused"),
    Allowed("Produce", "*.partition_responses[*].error_message", None, "TEXT",
            "Milena says in words what is wrong with records; Apache Kafka does so for few errors only"),
    Allowed("Produce", "*.error_code", -1, 87, "records that cannot be read: Apache Kafka fails inside and says unknown "
            "error", sequence="lying_batches"),
    Allowed("Produce", "*.error_code", -1, 76, "a codec that does not exist, likewise", sequence="lying_batches"),
    Allowed("Produce", "*.error_code", -1, 32, "a negative time in an old message, likewise", sequence="times"),
    Allowed("Produce", "*.partition_responses[0].*", ANY, ANY, "offsets inside a batch that do not count up from 0: "
            "Apache Kafka stores what a consumer cannot make sense of; Milena refuses it", sequence="wrong_deltas"),
    Allowed("Fetch", "*.records[*]", ABSENT, lambda value: isinstance(value, dict) and value["magic"] < 2,
            "Apache Kafka cuts what it converted for old clients at the size of what is stored; Milena sends it whole"),
    Allowed("Fetch", "*.node_endpoints[0]", ANY, ABSENT,
            "not yet: where the leader is, for who asked the wrong broker; there is one broker only",
            sequence="as_a_replica"),
    Allowed("ListOffsets", "*.topics[fetch-moved].partitions[0].offset", 0, 3,
            "the largest timestamp: Apache Kafka names a record that was deleted, Milena one that is there",
            sequence="by_time"),
    Allowed("Produce", "*.error_code", lambda error: error in (19, 49), 48, "not yet: there is no transaction coordinator "
            "to ask about a producer; Apache Kafka's says that it does not know it", sequence="transactional"),
    Allowed("InitProducerId", "*", ANY, ANY, "not yet: there is no transaction coordinator, and the refusal is final",
            sequence="transactional_id"),
    Allowed("Metadata", "*.topics[*].error_code", -1, 42,
            "neither name nor id: Apache Kafka fails inside and says unknown error, where it means invalid request"),
    Allowed("DescribeConfigs", "*.configs[zookeeper.connect].*", ANY, ANY,
            "only Apache Kafka is given a ZooKeeper here"),
    Allowed("DescribeConfigs", "*.configs[milena.*]", ABSENT, ANY, "keys that Milena alone has"),
    Allowed("DescribeConfigs", "*.is_default", False, True,
            "Apache Kafka 3.9.1 forgets is_default in version 0, which told what was not set"),
    Allowed("AlterConfigs", "*.error_code", 0, 42, "port: Apache Kafka has forgotten this key and takes any unknown one; "
            "Milena still reads it from its configuration file, so it cannot change", sequence="of_broker"),
    Allowed("AlterConfigs", "*.error_message", None, "TEXT", "as above", sequence="of_broker"),
    Allowed("IncrementalAlterConfigs", "*.error_code", 0, 42, "port, as above", sequence="broker_steps"),
    Allowed("IncrementalAlterConfigs", "*.error_message", None, "TEXT", "as above", sequence="broker_steps"),
    Allowed("IncrementalAlterConfigs", "*.error_code", -1, 42,
            "an operation that does not exist: Apache Kafka fails inside and says unknown error", sequence="topic_steps"),
    Allowed("IncrementalAlterConfigs", "*.error_message", None, "TEXT", "as above", sequence="topic_steps"),
    Allowed("DeleteTopics", "*.responses[*].error_message", "TEXT", None,
            "4.3.1 says why in words; Milena gives the code alone, as 3.9.1 does"),
    Allowed("DescribeTopicPartitions", "*.topics[*].error_code", -1, 17,
            "an invalid name: Apache Kafka fails inside and says unknown error"),
]
