#include "broker/config/interbroker_versions.h"

#include "broker/config/value.h"

#include <limits>
#include <span>

namespace broker {

namespace {

constexpr int last_step = std::numeric_limits<int>::max();
constexpr ProtocolRelease newest{last_step, 0, 0, last_step};

// From this release on, the version.
struct Since {
    ProtocolRelease release;
    std::int16_t version;
};

constexpr Since leader_and_isr[] = {{{3, 4, 0, 0}, 7}, {{3, 2, 0, 0}, 6}, {{2, 8, 0, 1}, 5},
                                    {{2, 4, 0, 1}, 4}, {{2, 4, 0, 0}, 3}, {{2, 2, 0, 0}, 2},
                                    {{1, 0, 0, 0}, 1}};
constexpr Since update_metadata[] = {{{3, 4, 0, 0}, 8},  {{2, 8, 0, 1}, 7}, {{2, 4, 0, 1}, 6},
                                     {{2, 2, 0, 0}, 5},  {{1, 0, 0, 0}, 4}, {{0, 10, 2, 0}, 3},
                                     {{0, 10, 0, 1}, 2}, {{0, 9, 0, 0}, 1}};
constexpr Since stop_replica[] = {
    {{3, 4, 0, 0}, 4}, {{2, 6, 0, 0}, 3}, {{2, 4, 0, 1}, 2}, {{2, 2, 0, 0}, 1}};
constexpr Since fetch[] = {{{3, 9, 0, 0}, 17}, {{3, 7, 0, 4}, 16}, {{3, 5, 0, 1}, 15},
                           {{3, 5, 0, 0}, 14}, {{3, 1, 0, 0}, 13}, {{2, 7, 0, 1}, 12},
                           {{2, 3, 0, 1}, 11}, {{2, 1, 0, 2}, 10}, {{2, 0, 0, 1}, 8},
                           {{1, 1, 0, 0}, 7},  {{0, 11, 0, 1}, 5}, {{0, 11, 0, 0}, 4},
                           {{0, 10, 1, 1}, 3}, {{0, 10, 0, 0}, 2}, {{0, 9, 0, 0}, 1}};
constexpr Since list_offsets[] = {{{3, 9, 0, 0}, 9}, {{3, 5, 0, 0}, 8},  {{3, 0, 0, 1}, 7},
                                  {{2, 8, 0, 0}, 6}, {{2, 2, 0, 1}, 5},  {{2, 1, 0, 1}, 4},
                                  {{2, 0, 0, 1}, 3}, {{0, 11, 0, 0}, 2}, {{0, 10, 1, 2}, 1}};
constexpr Since offset_for_leader_epoch[] = {
    {{2, 8, 0, 0}, 4}, {{2, 3, 0, 1}, 3}, {{2, 1, 0, 1}, 2}, {{2, 0, 0, 0}, 1}};
constexpr ProtocolRelease epochs_since{0, 11, 0, 2};
constexpr Since alter_partition[] = {{{2, 8, 0, 0}, 3}, {{2, 7, 0, 2}, 1}};  // 2 needs topic ids.
constexpr ProtocolRelease features_since{2, 7, 0, 0};
constexpr ProtocolRelease topic_ids_since{2, 8, 0, 0};
constexpr Since registration[] = {{features_since, 5}, {{0, 10, 0, 1}, 4}, {{0, 0, 0, 0}, 2}};
constexpr Since feature[] = {{{3, 3, 0, 0}, 2}, {{0, 0, 0, 0}, 1}};

std::int16_t version_of(std::span<const Since> table, const ProtocolRelease& release) {
    for (const auto& [since, version] : table) {
        if (release >= since) return version;
    }
    return 0;
}

// The number at the front, which is taken off, and a point behind it. Nothing: there is none.
std::optional<int> take_number(std::string_view& text) {
    const auto end = text.find_first_not_of("0123456789");
    const auto number = parse_integer(text.substr(0, end));
    if (!number || *number > 1'000) return std::nullopt;
    text.remove_prefix(end == std::string_view::npos ? text.size() : end);
    if (text.starts_with('.')) text.remove_prefix(1);
    return static_cast<int>(*number);
}

}  // namespace

std::optional<ProtocolRelease> parse_protocol_release(std::string_view text) {
    ProtocolRelease release;
    release.step = last_step;
    if (const auto iv = text.find("-IV"); iv != std::string_view::npos) {
        auto rest = text.substr(iv + 3);
        const auto step = take_number(rest);
        if (!step || !rest.empty()) return std::nullopt;
        release.step = *step;
        text = text.substr(0, iv);
    }
    const auto major = take_number(text);
    const auto minor = take_number(text);
    if (!major || !minor) return std::nullopt;
    release.major = *major;
    release.minor = *minor;
    if (release.major == 0) {
        const auto patch = take_number(text);
        if (!patch) return std::nullopt;
        release.patch = *patch;
    }
    while (!text.empty()) {
        if (!take_number(text)) return std::nullopt;
    }
    return release;
}

InterbrokerVersions interbroker_versions(std::string_view text) {
    const auto release = parse_protocol_release(text).value_or(newest);
    InterbrokerVersions versions{
        .leader_and_isr = version_of(leader_and_isr, release),
        .update_metadata = version_of(update_metadata, release),
        .stop_replica = version_of(stop_replica, release),
        .fetch = version_of(fetch, release),
        .list_offsets = version_of(list_offsets, release),
        .offset_for_leader_epoch = std::nullopt,
        .alter_partition = std::nullopt,
        .registration = version_of(registration, release),
        .feature = version_of(feature, release),
        .has_features = release >= features_since,
        .has_topic_ids = release >= topic_ids_since,
    };
    if (release >= epochs_since)
        versions.offset_for_leader_epoch = version_of(offset_for_leader_epoch, release);
    if (const auto version = version_of(alter_partition, release); version > 0)
        versions.alter_partition = version;
    return versions;
}

}  // namespace broker
