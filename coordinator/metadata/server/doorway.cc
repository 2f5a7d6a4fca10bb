#include "coordinator/metadata/server/doorway.h"

#include <chrono>

namespace coordinator {

namespace {

constexpr std::chrono::seconds patience{10};

}  // namespace

Doorway::Place Doorway::enter(Connection& connection) {
    const auto until = std::chrono::steady_clock::now() + patience;
    const auto place = standing_.insert(standing_.end(), {until, &connection});
    if (standing_.size() == 1) arm();
    return place;
}

// When others are left, the timer finds nothing to do and is set anew.
void Doorway::leave(Place place) {
    standing_.erase(place);
    if (standing_.empty()) timer_.cancel();
}

void Doorway::arm() {
    timer_.expires_at(standing_.front().until);
    timer_.async_wait([this](const boost::system::error_code& cancelled) {
        if (!cancelled) look();
    });
}

void Doorway::look() {
    const auto now = std::chrono::steady_clock::now();
    while (!standing_.empty() && standing_.front().until <= now) {
        send_away_(*standing_.front().connection);
    }
    if (!standing_.empty()) arm();
}

}  // namespace coordinator
