// Fixture of the metadata service's tests: draws changes, and compares trees.
#pragma once

#include "coordinator/metadata/tree.h"
#include "coordinator/metadata/tree_image.h"

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace coordinator {

// All there is to know of a tree.
struct Everything {
    std::vector<SessionImage> sessions;
    std::vector<NodeImage> nodes;
    Zxid zxid;
    SessionId last_session;

    friend bool operator==(const Everything&, const Everything&) = default;
};

inline Everything everything_of(Tree& tree) {
    TreeImage image(tree);
    return {image.sessions(), image.next(1'000'000), image.zxid(), image.last_session()};
}

inline Everything replayed(const std::vector<Transaction>& transactions) {
    Tree tree;
    for (const Transaction& transaction : transactions) tree.apply(transaction);
    return everything_of(tree);
}

// The next transaction of somebody who does this and that: nodes of all kinds, data of up to
// `data_bytes_max`, sessions that come and go. Has changes.
inline Transaction drawn(const Tree& tree, std::mt19937_64& random, std::size_t data_bytes_max) {
    const auto draw = [&](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };
    const auto path = [&] {
        std::string made;
        for (std::size_t i = 0; i <= draw(3); ++i) made += "/" + std::string(1, "abcd"[draw(4)]);
        return made;
    };
    const auto data = [&]() -> Data {
        if (draw(5) == 0) return std::nullopt;
        std::string bytes(draw(data_bytes_max + 1), 'x');
        for (char& byte : bytes) byte = static_cast<char>(random());
        return bytes;
    };
    const auto session = [&] {
        const auto& sessions = tree.sessions();
        if (sessions.empty()) return SessionId(0);
        auto at = sessions.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(draw(sessions.size())));
        return at->first;
    };
    for (;;) {
        const auto now_ms = static_cast<std::int64_t>(draw(1'000'000));
        const auto which = draw(20);
        if (which == 0)
            return tree.decide_create_session(6000, Password{std::byte(draw(256))}, now_ms);
        if (which == 1) {
            const auto closed = tree.decide_close_session(session(), now_ms);
            if (closed) return *closed;
        }
        std::vector<Op> ops;
        for (std::size_t i = 0; i <= draw(2); ++i) {
            switch (draw(8)) {
                case 0:
                    ops.push_back(Delete{.path = path()});
                    break;
                case 1:
                    ops.push_back(SetData{.path = path(), .data = data()});
                    break;
                case 2:
                    ops.push_back(SetAcl{.path = path(), .acl = {{5, {"digest", "u:p"}}}});
                    break;
                case 3:
                    ops.push_back(Create{.path = path(), .kind = NodeKind::ephemeral});
                    break;
                case 4:
                    ops.push_back(Create{.path = path(), .kind = NodeKind::ttl, .ttl_ms = 7});
                    break;
                case 5:
                    ops.push_back(Create{.path = path(), .sequential = true});
                    break;
                default:
                    ops.push_back(Create{.path = path(), .data = data()});
            }
        }
        auto decision = tree.decide(ops, ourselves(session()), now_ms);
        if (decision && !decision->transaction.changes.empty()) return decision->transaction;
    }
}

}  // namespace coordinator
