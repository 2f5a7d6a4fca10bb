#include "coordinator/metadata/server/dialog.h"

#include "protocol/wire/big_endian.h"
#include "protocol/zookeeper/messages.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace coordinator {

namespace jute = zookeeper::jute;

namespace {

constexpr std::size_t frame_length_bytes = 4;

std::string text_of(const Password& password) {
    return {reinterpret_cast<const char*>(password.data()), password.size()};
}

// Nothing when it cannot be one of ours.
std::optional<Password> password_of(const zookeeper::Buffer& bytes) {
    Password password{};
    if (!bytes || bytes->size() != password.size()) return std::nullopt;
    std::memcpy(password.data(), bytes->data(), password.size());
    return password;
}

}  // namespace

Dialog::Dialog(MetadataService& service, std::shared_ptr<Statistics> statistics, std::string host,
               std::function<std::int64_t()> monotonic_ms, std::shared_ptr<Outlet> outlet)
    : service_(service),
      statistics_(std::move(statistics)),
      host_(std::move(host)),
      monotonic_ms_(std::move(monotonic_ms)),
      outlet_(std::move(outlet)) {}

void Dialog::start() {
    id_ = service_.admit({{"ip", host_}}, shared_from_this());
}

void Dialog::leave() {
    service_.dismiss(id_);
}

void Dialog::take_turn(std::size_t bytes, Step step) {
    auto asked = std::make_shared<Asked>(Asked{std::move(step), monotonic_ms_()});
    statistics_->received(frame_length_bytes + bytes);
    auto is_put_off = std::make_shared<bool>(false);
    service_.take_turn(
        id_,
        [self = shared_from_this(), asked, is_put_off](Turn& turn) {
            *is_put_off = !self->put_off_.empty() || self->outlet_->is_full();
            if (*is_put_off) {
                self->put_off_.push_back(asked);
            } else {
                self->decide(turn, *asked);
            }
        },
        [self = shared_from_this(), asked, is_put_off](bool durable) {
            if (*is_put_off && durable) {
                self->look_for_room();
            } else {
                self->say(*asked, durable);
            }
        });
}

void Dialog::resume() {
    if (waits_for_room_.exchange(false)) take_up_next();
}

// The flag is set before the look: whoever makes room sees the one, or is seen by the other.
void Dialog::look_for_room() {
    waits_for_room_ = true;
    if (!outlet_->is_full()) resume();
}

void Dialog::take_up_next() {
    auto taken = std::make_shared<std::shared_ptr<Asked>>();
    service_.take_turn(
        id_,
        [self = shared_from_this(), taken](Turn& turn) {
            if (self->put_off_.empty()) return turn.looks_at_nothing();
            *taken = std::move(self->put_off_.front());
            self->put_off_.pop_front();
            self->decide(turn, **taken);
        },
        [self = shared_from_this(), taken](bool durable) {
            if (!*taken) return;
            self->say(**taken, durable);
            self->look_for_room();
        });
}

void Dialog::notify(const Event& event) {
    std::vector<std::byte> frame;
    write_event(frame, event.type, event.path);
    count_events(frame);
    outlet_->tell(std::move(frame));
}

void Dialog::ended() {
    over_ = true;
    outlet_->end("its session expired, or moved to another connection");
}

void Dialog::decide(Turn& turn, Asked& asked) {
    if (over_) return;
    asked.step(turn, asked.said);
    if (asked.said.ends) over_ = true;
}

void Dialog::say(Asked& asked, bool durable) {
    Said& said = asked.said;
    if (!durable) said = {};
    if (!said.frames.empty()) {
        said.what.at_ms = monotonic_ms_();
        said.what.took_ms = said.what.at_ms - asked.since_ms;
        statistics_->answered(said.what);
    }
    outlet_->answer(std::move(said.frames), said.what);
    if (said.ends || !durable) outlet_->end(said.why);
}

void Dialog::count_events(std::span<const std::byte> frames) {
    while (!frames.empty()) {
        const std::size_t size = wire::load<std::uint32_t>(frames, 0);
        statistics_->told_of_event(size);
        frames = frames.subspan(frame_length_bytes + size);
    }
}

void Dialog::connect(std::span<const std::byte> payload) {
    wire::Reader reader(payload);
    const auto request = zookeeper::read_connect_request(reader);
    if (reader.failed()) {
        take_turn(payload.size(), [](Turn&, Said& said) {
            said.ends = true;
            said.why = "its first frame is no connect request";
        });
        return;
    }
    statistics_->count(&Statistics::Figures::connect_requests);
    if (request.session_id != 0) statistics_->count(&Statistics::Figures::sessions_asked_for);
    take_turn(payload.size(), [this, request](Turn& turn, Said& said) {
        if (request.last_zxid_seen > turn.tree().last_zxid().value()) {
            // As ZooKeeper: it has seen what is not here, so it is to look elsewhere.
            said.ends = true;
            said.why = "it has seen a later state than there is: zxid " +
                       std::to_string(request.last_zxid_seen) + ", here " +
                       std::to_string(turn.tree().last_zxid().value());
            return;
        }
        zookeeper::ConnectResponse response;
        if (request.read_only) response.read_only = false;
        response.password = std::string(sizeof(Password), '\0');
        std::optional<Turn::Attached> attached;
        if (request.session_id == 0) {
            said.what.as = Counted::session;
            attached = turn.open_session(request.timeout_ms);
        } else if (const auto password = password_of(request.password)) {
            const SessionKey key{SessionId(request.session_id), *password};
            if (const auto resumed = turn.resume_session(key, request.timeout_ms)) {
                attached = *resumed;
            }
        }
        if (attached) {
            response.timeout_ms = attached->timeout_ms;
            response.session_id = attached->key.id.value();
            response.password = text_of(attached->key.password);
            session_ = attached->key.id.value();
            timeout_ms_ = attached->timeout_ms;
        } else {
            said.ends = true;
        }
        zookeeper::write_frame(said.frames, [&](wire::Writer& writer) {
            zookeeper::write_connect_response(writer, response);
        });
        said.what.bytes = said.frames.size() - frame_length_bytes;
    });
}

void Dialog::receive(std::span<const std::byte> payload) {
    if (!std::exchange(asked_for_session_, true)) {
        connect(payload);
        return;
    }
    wire::Reader reader(payload);
    auto header = jute::read<zookeeper::RequestHeader>(reader);
    if (reader.failed()) {
        take_turn(payload.size(), [](Turn&, Said& said) {
            said.ends = true;
            said.why = "it sent a request that is too short for its header";
        });
        return;
    }
    if (header.type == zookeeper::OpCode::ping) header.xid = zookeeper::xid_ping;
    auto step = [this, header, answer = prepare(header.type, reader, host_)](Turn& turn,
                                                                             Said& said) {
        if (turn.caller().session.value() == 0) return;  // `ended` is on its way.
        ReplyBytes reply;
        Verdict judged = answer(turn, reply);
        if (!judged.drops_for.empty()) {
            said.ends = true;
            said.why = std::move(judged.drops_for);
            return;
        }
        said.ends = judged.ends;
        said.frames = std::move(reply.before);
        count_events(said.frames);
        const std::size_t begins = said.frames.size() + frame_length_bytes;
        const auto zxid = judged.zxid.value_or(turn.zxid().value());
        zookeeper::write_frame(said.frames, [&](wire::Writer& writer) {
            jute::write(writer, zookeeper::ReplyHeader{header.xid, zxid, judged.err});
            if (judged.err == 0) writer.bytes(reply.body);
        });
        said.what = {.operation = short_name(header.type),
                     .xid = header.xid,
                     .as = counted(header.type),
                     .zxid = zxid,
                     .bytes = said.frames.size() - begins};
    };
    take_turn(payload.size(), std::move(step));
}

}  // namespace coordinator
