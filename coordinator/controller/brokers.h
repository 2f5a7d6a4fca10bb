// Brokers: short lists of broker ids, in which order means something.
#pragma once

#include "coordinator/controller/cluster_state.h"

#include <algorithm>
#include <iterator>

namespace coordinator::controller {

inline bool contains(const Brokers& brokers, base::BrokerId id) {
    return std::ranges::find(brokers, id) != brokers.end();
}

inline bool contains_all(const Brokers& brokers, const Brokers& wanted) {
    return std::ranges::all_of(wanted, [&](base::BrokerId id) { return contains(brokers, id); });
}

// Those that `keep` is true of, in their order.
template <class Predicate>
Brokers filter(const Brokers& brokers, Predicate keep) {
    Brokers kept;
    std::ranges::copy_if(brokers, std::back_inserter(kept), keep);
    return kept;
}

inline Brokers without(const Brokers& brokers, const Brokers& others) {
    return filter(brokers, [&](base::BrokerId id) { return !contains(others, id); });
}

inline void add(Brokers& brokers, base::BrokerId id) {
    if (!contains(brokers, id)) brokers.push_back(id);
}

// All of both, each once.
inline Brokers joined(Brokers brokers, const Brokers& others) {
    for (const auto id : others) add(brokers, id);
    return brokers;
}

}  // namespace coordinator::controller
