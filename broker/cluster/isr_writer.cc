#include "broker/cluster/isr_writer.h"

#include "broker/cluster/znodes.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

namespace broker {

using base::Result;
using base::Unexpected;
using coordinator::ZkError;

namespace path = znodes::path;

namespace {

// So that a note is far below the bytes that a node may have.
constexpr std::ptrdiff_t partitions_per_note = 1'000;

Result<void, ZkError> leave_note(MetadataStore& store, std::string_view prefix, std::string text) {
    coordinator::Create note;
    note.path = std::string(prefix);
    note.data = std::move(text);
    note.sequential = true;
    const auto done = store.commit({std::move(note)});
    if (!done) return Unexpected(done.error().error);
    return {};
}

}  // namespace

Result<std::optional<Isr::Members>, ZkError> write_isr(MetadataStore& store, base::BrokerId self,
                                                       const base::TopicPartition& at,
                                                       const IsrRequest& request) {
    const std::string where = path::partition_state(at.topic, at.partition);
    constexpr int tries = 2;  // The second one sees who was faster.
    for (int i = 0; i < tries; ++i) {
        const auto node = store.get(where);
        if (!node) return Unexpected(node.error());
        auto state =
            *node && (*node)->data ? znodes::parse_partition_state(*(*node)->data) : std::nullopt;
        const bool is_ours =
            state && state->leader == self && state->leader_epoch == request.leader_epoch;
        if (!is_ours) return std::optional<Isr::Members>();
        const auto version = (*node)->stat.version;
        if (version != request.proposal.partition_epoch || state->isr == request.proposal.isr)
            return Isr::Members{self, {}, std::move(state->isr), version};
        state->isr = request.proposal.isr;
        const auto done =
            store.commit({coordinator::SetData{where, znodes::write(*state), version}});
        if (done) return Isr::Members{self, {}, request.proposal.isr, version + 1};
        if (done.error().error == ZkError::connection_loss)
            return Unexpected(ZkError::connection_loss);
    }
    return std::optional<Isr::Members>();
}

Result<void, ZkError> note_isr_changes(MetadataStore& store,
                                       const std::vector<base::TopicPartition>& partitions) {
    for (auto first = partitions.begin(); first != partitions.end();) {
        const auto last =
            std::next(first, std::min(partitions_per_note, std::distance(first, partitions.end())));
        const auto left =
            leave_note(store, path::isr_change_prefix, znodes::write_partitions({first, last}));
        if (!left) return left;
        first = last;
    }
    return {};
}

Result<void, ZkError> note_failed_directory(MetadataStore& store, base::BrokerId self) {
    return leave_note(store, path::log_dir_event_prefix, znodes::write_log_dir_event(self));
}

}  // namespace broker
