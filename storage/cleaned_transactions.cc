#include "storage/cleaned_transactions.h"

#include <algorithm>

namespace storage {

CleanedTransactions::CleanedTransactions(std::vector<AbortedTransaction> aborted)
    : aborted_(std::move(aborted)) {
    std::ranges::sort(aborted_, {}, &AbortedTransaction::first);
}

void CleanedTransactions::open_up_to(base::Offset last) {
    for (; next_ < aborted_.size() && aborted_[next_].first <= last; ++next_) {
        // One that is still open lost its marker, or began before what is read.
        open_.insert_or_assign(aborted_[next_].producer, Open{aborted_[next_], false});
    }
}

bool CleanedTransactions::take_data(const EntryFacts& facts) {
    open_up_to(facts.last);
    if (!facts.is_transactional()) return false;
    const auto aborted = open_.find(facts.producer);
    if (aborted == open_.end() || aborted->second.facts.last < facts.base) {
        committing_.insert(facts.producer);
        return false;
    }
    aborted->second.has_data = true;
    return true;
}

CleanedTransactions::Ended CleanedTransactions::take_control(const EntryFacts& facts,
                                                             const std::optional<Marker>& marker) {
    open_up_to(facts.last);
    if (!marker) return {.nothing_is_left = facts.record_count == 0, .keeps = {}};
    if (marker->commit)
        return {.nothing_is_left = committing_.erase(facts.producer) == 0, .keeps = {}};
    const auto aborted = open_.find(facts.producer);
    if (aborted == open_.end()) return {.nothing_is_left = true, .keeps = {}};
    Ended ended{.nothing_is_left = !aborted->second.has_data, .keeps = {}};
    if (aborted->second.has_data) ended.keeps = aborted->second.facts;
    open_.erase(aborted);
    return ended;
}

}  // namespace storage
