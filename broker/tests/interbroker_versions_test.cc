// What brokers say to one another in the releases of Kafka's protocol.

#include "broker/config/interbroker_versions.h"

#include <doctest/doctest.h>

#include <string>

using broker::interbroker_versions;
using broker::parse_protocol_release;
using broker::ProtocolRelease;

TEST_CASE("a release is read as people write it") {
    const struct {
        const char* text;
        ProtocolRelease release;
    } cases[] = {
        {"2.6-IV0", {2, 6, 0, 0}},
        {"2.7-IV2", {2, 7, 0, 2}},
        {"0.10.1-IV2", {0, 10, 1, 2}},
    };
    for (const auto& [text, release] : cases)
        CHECK_MESSAGE(parse_protocol_release(text) == release, text);
    CHECK(parse_protocol_release("2.6") == parse_protocol_release("2.6.1"));
    CHECK(parse_protocol_release("0.10.2") == parse_protocol_release("0.10.2.1"));
    CHECK(parse_protocol_release("2.6") > parse_protocol_release("2.6-IV0"));
    CHECK(parse_protocol_release("2.6") < parse_protocol_release("2.7-IV0"));
    CHECK(parse_protocol_release("0.11.0") < parse_protocol_release("1.0-IV0"));
    CHECK(parse_protocol_release("2.10") > parse_protocol_release("2.9"));
    for (const char* text : {"", "2", "2.", "two", "2.6-IV", "2.6-IVx", "0.11", "2.6-latest",
                             "99999999999999999999.1"})
        CHECK_MESSAGE(!parse_protocol_release(text), text);
}

TEST_CASE("a release chooses the versions of what a broker sends") {
    struct Versions {
        int leader_and_isr, update_metadata, stop_replica, fetch, list_offsets;
    };
    const struct {
        const char* release;
        Versions versions;
    } cases[] = {
        {"0.8.2", {0, 0, 0, 0, 0}},  {"0.9.0", {0, 1, 0, 1, 0}},    {"0.10.0-IV1", {0, 2, 0, 2, 0}},
        {"0.10.2", {0, 3, 0, 3, 1}}, {"0.11.0", {0, 3, 0, 5, 2}},   {"1.0", {1, 4, 0, 5, 2}},
        {"1.1", {1, 4, 0, 7, 2}},    {"2.0", {1, 4, 0, 8, 3}},      {"2.1", {1, 4, 0, 10, 4}},
        {"2.2", {2, 5, 1, 10, 5}},   {"2.3", {2, 5, 1, 11, 5}},     {"2.4-IV0", {3, 5, 1, 11, 5}},
        {"2.4", {4, 6, 2, 11, 5}},   {"2.6-IV0", {4, 6, 3, 11, 5}}, {"2.7", {4, 6, 3, 12, 5}},
        {"2.8", {5, 7, 3, 12, 6}},   {"3.0", {5, 7, 3, 12, 7}},     {"3.1", {5, 7, 3, 13, 7}},
        {"3.2", {6, 7, 3, 13, 7}},   {"3.4", {7, 8, 4, 13, 7}},     {"3.5", {7, 8, 4, 15, 8}},
        {"3.7", {7, 8, 4, 16, 8}},   {"3.9-IV0", {7, 8, 4, 17, 9}}, {"4.0", {7, 8, 4, 17, 9}},
    };
    for (const auto& [release, versions] : cases) {
        CAPTURE(std::string(release));
        const auto chosen = interbroker_versions(release);
        CHECK(chosen.leader_and_isr == versions.leader_and_isr);
        CHECK(chosen.update_metadata == versions.update_metadata);
        CHECK(chosen.stop_replica == versions.stop_replica);
        CHECK(chosen.fetch == versions.fetch);
        CHECK(chosen.list_offsets == versions.list_offsets);
    }
}

TEST_CASE("leaders ask the controller for ISRs from 2.7 on, and by topic id from 2.8 on") {
    for (const char* release : {"0.9.0", "1.1", "2.6", "2.7-IV0", "2.7-IV1"})
        CHECK_MESSAGE(!interbroker_versions(release).alter_partition, release);
    for (const char* release : {"2.7-IV2", "2.7"})
        CHECK_MESSAGE(interbroker_versions(release).alter_partition == 1, release);
    for (const char* release : {"2.8-IV0", "3.0-IV1", "3.9-IV0", "4.0"})
        CHECK_MESSAGE(interbroker_versions(release).alter_partition == 3, release);
}

TEST_CASE("followers ask for the ends of epochs from 0.11 on") {
    CHECK_FALSE(interbroker_versions("0.10.2").offset_for_leader_epoch);
    CHECK_FALSE(interbroker_versions("0.11.0-IV1").offset_for_leader_epoch);
    CHECK(interbroker_versions("0.11.0").offset_for_leader_epoch == 0);
    CHECK(interbroker_versions("2.3").offset_for_leader_epoch == 3);
    CHECK(interbroker_versions("3.9").offset_for_leader_epoch == 4);
}

TEST_CASE("registrations, features and topic ids are those of the release") {
    struct Tree {
        int registration, feature;
        bool has_features, has_topic_ids;
    };
    const struct {
        const char* release;
        Tree tree;
    } cases[] = {
        {"0.9.0", {2, 1, false, false}},      {"0.10.0-IV0", {2, 1, false, false}},
        {"0.10.0-IV1", {4, 1, false, false}}, {"2.6", {4, 1, false, false}},
        {"2.7-IV0", {5, 1, true, false}},     {"2.7", {5, 1, true, false}},
        {"2.8-IV0", {5, 1, true, true}},      {"3.2", {5, 1, true, true}},
        {"3.3-IV0", {5, 2, true, true}},      {"3.9", {5, 2, true, true}},
    };
    for (const auto& [release, tree] : cases) {
        CAPTURE(std::string(release));
        const auto chosen = interbroker_versions(release);
        CHECK(chosen.registration == tree.registration);
        CHECK(chosen.feature == tree.feature);
        CHECK(chosen.has_features == tree.has_features);
        CHECK(chosen.has_topic_ids == tree.has_topic_ids);
    }
}
