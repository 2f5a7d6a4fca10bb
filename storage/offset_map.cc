#include "storage/offset_map.h"

#include "protocol/base/ensure.h"

#include <algorithm>
#include <cstring>
#include <openssl/evp.h>

namespace storage {

using base::Offset;

namespace {

// Below that a map would not get through any log.
constexpr std::size_t slots_min = 1024;

}  // namespace

struct OffsetMap::Hasher {
    Hasher() : algorithm(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context(EVP_MD_CTX_new()) {
        base::ensure(algorithm != nullptr && context != nullptr, "OpenSSL has SHA-256");
    }
    Hasher(const Hasher&) = delete;
    Hasher& operator=(const Hasher&) = delete;
    ~Hasher() {
        EVP_MD_CTX_free(context);
        EVP_MD_free(algorithm);
    }

    EVP_MD* algorithm;
    EVP_MD_CTX* context;
};

OffsetMap::OffsetMap(std::uint64_t bytes, double load_factor, std::uint64_t keys)
    : hasher_(std::make_unique<Hasher>()) {
    static_assert(sizeof(Slot) == bytes_per_key);
    const double load = std::clamp(load_factor, 0.1, 0.95);
    const auto allowed = std::max<std::uint64_t>(bytes / bytes_per_key, slots_min);
    const auto wanted = static_cast<double>(keys) / load + 1;
    const auto slots =
        wanted < static_cast<double>(allowed) ? static_cast<std::uint64_t>(wanted) : allowed;
    slots_.resize(std::max<std::size_t>(slots, slots_min));
    capacity_ = static_cast<std::size_t>(static_cast<double>(slots_.size()) * load);
}

OffsetMap::~OffsetMap() = default;

OffsetMap::Digest OffsetMap::digest_of(std::span<const std::byte> key) const {
    std::array<unsigned char, EVP_MAX_MD_SIZE> whole;
    unsigned length = 0;
    const bool done = EVP_DigestInit_ex2(hasher_->context, hasher_->algorithm, nullptr) == 1 &&
                      EVP_DigestUpdate(hasher_->context, key.data(), key.size()) == 1 &&
                      EVP_DigestFinal_ex(hasher_->context, whole.data(), &length) == 1;
    base::ensure(done && length >= sizeof(Digest), "a digest of bytes in memory is made");
    Digest digest;
    std::memcpy(digest.data(), whole.data(), digest.size());
    return digest;
}

std::size_t OffsetMap::slot_of(const Digest& digest) const noexcept {
    std::uint64_t hash = 0;
    std::memcpy(&hash, digest.data(), sizeof hash);
    std::size_t at = hash % slots_.size();
    while (slots_[at].offset >= 0 && slots_[at].digest != digest)
        at = at + 1 < slots_.size() ? at + 1 : 0;
    return at;
}

bool OffsetMap::put(std::span<const std::byte> key, Offset offset) {
    const auto digest = digest_of(key);
    Slot& slot = slots_[slot_of(digest)];
    if (slot.offset < 0) {
        if (size_ == capacity_) return false;
        ++size_;
        slot.digest = digest;
    }
    slot.offset = offset.value();
    return true;
}

std::optional<Offset> OffsetMap::find(std::span<const std::byte> key) const {
    const Slot& slot = slots_[slot_of(digest_of(key))];
    if (slot.offset < 0) return std::nullopt;
    return Offset(slot.offset);
}

}  // namespace storage
