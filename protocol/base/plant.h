// Plants: defects on purpose, which tests must catch.
//
// A test that has never failed proves nothing. With the Meson option `plants` each of these
// defects stands in the code, switched on at run time by MILENA_PLANT=name; scripts/mutation
// runs the tests against each and says which it was that failed. Without the option they are not
// compiled: is_planted() is false before the program is made.
#pragma once

#include <string_view>

namespace base {

enum class Plant {
    ack_before_sync,          // A transaction of the metadata is answered before its fdatasync.
    torn_tail_kept,           // Recovery leaves what a crash tore at the end of a segment.
    retry_after_failed_sync,  // A second fdatasync that succeeds counts after one that failed.
    producer_id_reused,       // A block of producer ids is handed out twice.
    unstable_is_stable,       // The last stable offset is the high watermark.
    crc_of_wrong_range,       // The checksum of a batch leaves out its attributes.
    index_off_by_one,         // An index entry points to the byte behind its batch's first.
    names_not_synced,         // New names in a directory are not made durable.
    any_generation_commits,   // Offsets are taken from members of generations that are over.
    repetition_appended,      // A batch that is sent again is appended again.
    count_unchecked,          // Arrays are as long as a message says.
    checkpoint_before_data,   // The recovery point passes what has not been synced.
    controller_unfenced,      // A controller writes whether or not it still is in office.
    outsider_elected,         // A replica leads that is alive but not in sync.
    told_before_written,      // Brokers hear of a leader before it is in the tree.
    leader_epoch_kept,        // A new leader leads in the epoch of the last one.
    ack_before_isr,           // What the leader has is committed, whoever else has it.
    isr_never_shrunk,         // Who lags stays in sync in name.
    logs_not_compared,        // A follower does not say in which epoch its log ends.
    stale_leader_accepted,    // A controller or a leader is obeyed whose epoch is over.
};

#ifdef MILENA_PLANTS
// Whether MILENA_PLANT names it. Any thread.
bool is_planted(Plant plant) noexcept;
#else
constexpr bool is_planted(Plant) noexcept {
    return false;
}
#endif

}  // namespace base
