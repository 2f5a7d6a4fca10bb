// ShardedMap: a map that is copied cheaply and changed by making another one.
//
// The values hang in 64 shards that copies share; a change copies one shard. Readers of an
// old copy never notice. For what thousands of requests read and an admin request changes.
//
// Threads: a const ShardedMap may be read by any number; the one being changed has one owner.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <unordered_map>

namespace broker {

template <class Key, class Value, class Hash = std::hash<Key>, class Equal = std::equal_to<>>
class ShardedMap {
public:
    // Null when it is not there.
    template <class Like>
    const Value* find(const Like& key) const {
        const auto& shard = shards_[Hash()(key) % shard_count];
        if (!shard) return nullptr;
        const auto found = shard->find(key);
        return found == shard->end() ? nullptr : &found->second;
    }

    void set(const Key& key, Value value) {
        auto& shard = shards_[Hash()(key) % shard_count];
        auto changed = shard ? std::make_shared<Shard>(*shard) : std::make_shared<Shard>();
        size_ += changed->insert_or_assign(key, std::move(value)).second;
        shard = std::move(changed);
    }

    void erase(const Key& key) {
        auto& shard = shards_[Hash()(key) % shard_count];
        if (!shard || !shard->contains(key)) return;
        auto changed = std::make_shared<Shard>(*shard);
        changed->erase(key);
        shard = std::move(changed);
        --size_;
    }

    std::size_t size() const noexcept { return size_; }

    // Call see(key, value) for each, in no order that means anything.
    template <class See>
    void each(See see) const {
        for (const auto& shard : shards_) {
            if (!shard) continue;
            for (const auto& [key, value] : *shard) see(key, value);
        }
    }

private:
    static constexpr std::size_t shard_count = 64;
    using Shard = std::unordered_map<Key, Value, Hash, Equal>;

    std::array<std::shared_ptr<const Shard>, shard_count> shards_;
    std::size_t size_ = 0;
};

}  // namespace broker
