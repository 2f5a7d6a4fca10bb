#include "coordinator/metadata/client/client.h"

#include "coordinator/metadata/client/core.h"

namespace coordinator {

using std::chrono::milliseconds;

MetadataClient::MetadataClient(Settings settings)
    : core_(std::make_unique<Core>(std::move(settings))) {}

MetadataClient::~MetadataClient() = default;

void MetadataClient::stop() {
    core_->stop(false);
}

void MetadataClient::close() {
    core_->stop(true);
}

void MetadataClient::reopen() {
    core_->reopen();
}

MetadataClient::State MetadataClient::wait_settled(milliseconds at_most) {
    return core_->wait_settled(at_most);
}

MetadataClient::State MetadataClient::state() const {
    return core_->state();
}

SessionKey MetadataClient::session() const {
    return core_->session();
}

std::int32_t MetadataClient::timeout_ms() const {
    return core_->timeout_ms();
}

ServerAddress MetadataClient::server() const {
    return core_->server();
}

void MetadataClient::submit_raw(AnyRequest request) {
    core_->submit(std::move(request));
}

void MetadataClient::ensure_may_wait() const {
    core_->ensure_may_wait();
}

namespace {

// The parents of a path below "/", from the top.
std::vector<std::string> parents_of(const std::string& path) {
    std::vector<std::string> parents;
    for (auto at = path.find('/', 1); at != path.npos; at = path.find('/', at + 1)) {
        parents.push_back(path.substr(0, at));
    }
    return parents;
}

Request<Outcome> create_parent(std::string path) {
    std::vector<Op> ops;
    ops.push_back(Create{.path = std::move(path)});
    return request::commit(std::move(ops));
}

// A transaction, and again after the parents that it lacked were made.
class Attempt : public std::enable_shared_from_this<Attempt> {
public:
    Attempt(MetadataClient& client, std::vector<Op> ops, std::function<void(const Outcome&)> done)
        : client_(client), ops_(std::move(ops)), done_(std::move(done)), left_(ops_.size()) {}

    void begin() {
        client_.submit<Outcome>(request::commit(ops_), [self = shared_from_this()](
                                                           base::Result<Outcome, ZkError> answer) {
            self->judge(answer ? *answer : base::Unexpected(Refused{answer.error(), 0}));
        });
    }

private:
    void judge(const Outcome& outcome) {
        if (outcome || outcome.error().error != ZkError::no_node || left_ == 0) {
            return done_(outcome);
        }
        const auto* create = std::get_if<Create>(&ops_[outcome.error().at]);
        if (!create || !create->with_parents) return done_(outcome);
        --left_;
        // Those that are there already say so; what else fails, the next attempt tells.
        for (std::string& parent : parents_of(create->path)) {
            client_.submit<Outcome>(create_parent(std::move(parent)), [](auto&&) {});
        }
        begin();
    }

    MetadataClient& client_;
    const std::vector<Op> ops_;
    const std::function<void(const Outcome&)> done_;
    std::size_t left_;  // Attempts: each makes the parents of one op.
};

}  // namespace

void MetadataClient::submit(std::vector<Op> ops, std::function<void(const Outcome&)> done) {
    std::make_shared<Attempt>(*this, std::move(ops), std::move(done))->begin();
}

Outcome MetadataClient::submit_and_wait(std::vector<Op> ops) {
    ensure_may_wait();
    const auto promise = std::make_shared<std::promise<Outcome>>();
    auto future = promise->get_future();
    submit(std::move(ops), [promise](const Outcome& outcome) { promise->set_value(outcome); });
    return future.get();
}

void MetadataClient::add_auth(const Auth& auth, Done<std::monostate> done) {
    core_->add_auth(auth, [done = std::move(done)](Reply& reply) {
        if (!done) return;
        if (reply.error != ZkError::ok) return done(base::Unexpected(reply.error));
        done(std::monostate());
    });
}

base::Result<void, ZkError> MetadataClient::make_chroot() {
    const std::string path = core_->chroot().path();
    if (path.empty()) return {};
    auto wanted = parents_of(path);
    wanted.push_back(path);
    std::vector<Request<Outcome>> requests;
    for (std::string& each : wanted) {
        auto made = create_parent(std::move(each));
        made.raw.write = [write = std::move(made.raw.write)](wire::Writer& writer, const Chroot&) {
            write(writer, Chroot());
        };
        requests.push_back(std::move(made));
    }
    ZkError error = ZkError::ok;
    for (const auto& answer : ask_all(std::move(requests))) {
        error = answer ? ZkError::ok : answer.error();
    }
    if (error == ZkError::ok || error == ZkError::node_exists) return {};
    return base::Unexpected(error);
}

std::string to_string(MetadataClient::State state) {
    switch (state) {
        case MetadataClient::State::connecting:
            return "connecting";
        case MetadataClient::State::connected:
            return "connected";
        case MetadataClient::State::expired:
            return "expired";
        case MetadataClient::State::auth_failed:
            return "auth_failed";
        case MetadataClient::State::closed:
            break;
    }
    return "closed";
}

}  // namespace coordinator
