// CleanedTransactions: which batches a compaction may drop for the transactions they are in.
//
// It is told of every entry from the front of what is read, in order. The records of an aborted
// transaction go; its marker, and that of a committed one, may go once nothing of the
// transaction lies before it any more.
//
// Threads: one at a time. Limits: as many entries as transactions that overlap.
#pragma once

#include "storage/entry.h"

#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace storage {

class CleanedTransactions {
public:
    // All aborted transactions that end in what is read or behind it.
    explicit CleanedTransactions(std::vector<AbortedTransaction> aborted);

    // Of a batch that is no control batch: whether its transaction was aborted.
    bool take_data(const EntryFacts& facts);

    struct Ended {
        bool nothing_is_left = false;
        std::optional<AbortedTransaction> keeps;  // An index entry that is still needed.
    };
    // Of a control batch; without a marker for one that was emptied, or is of another kind.
    Ended take_control(const EntryFacts& facts, const std::optional<Marker>& marker);

private:
    struct Open {
        AbortedTransaction facts;
        bool has_data = false;
    };

    void open_up_to(base::Offset last);

    std::vector<AbortedTransaction> aborted_;  // By first offset.
    std::size_t next_ = 0;
    std::unordered_map<base::ProducerId, Open> open_;
    std::unordered_set<base::ProducerId> committing_;
};

}  // namespace storage
