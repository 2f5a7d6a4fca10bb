// metadata_fuzz: any bytes as a journal, a snapshot, a transaction, or what ZooKeeper's clients
// send.
//
//     u8 which: 0 a journal, 1 a snapshot, 2 a transaction, 3 requests · the bytes
//
// A journal's or snapshot's checksums are put right where the input says so (an odd u8 behind the
// first), so that what lies behind them is met too. Whatever opens, opens again and is the same.
// scripts/fuzz runs this under libFuzzer, metadata_fuzz_test over what is stored in
// corpus.
#include "coordinator/metadata/durable_tree.h"
#include "coordinator/metadata/journal_format.h"
#include "coordinator/metadata/server/dialog.h"
#include "coordinator/metadata/snapshot_format.h"
#include "coordinator/tests/metadata_fixture.h"
#include "coordinator/tests/sim_disk.h"
#include "protocol/base/crc32c.h"
#include "protocol/base/ensure.h"
#include "protocol/wire/big_endian.h"
#include "protocol/wire/reader.h"
#include "protocol/zookeeper/messages.h"

#include <algorithm>
#include <cstdint>
#include <openssl/crypto.h>
#include <span>
#include <vector>

using namespace coordinator;

namespace {

using Bytes = std::vector<std::byte>;

const std::filesystem::path directory = "/d";

base::Uuid tree_id() {
    return base::Uuid{};
}

// What journals and snapshots differ in; both are a header, and pieces of a checksum, a length
// and so many bytes.
struct Layout {
    std::string_view magic;
    std::int32_t version;
    std::int64_t number;  // Of transaction; in its name, too.
    std::size_t crc_at;
};

constexpr Layout journal{journal_format::magic, journal_format::version, 1,
                         journal_format::header_crc_at};
constexpr Layout snapshot{snapshot_format::magic, snapshot_format::version, 0,
                          snapshot_format::header_crc_at};

// The header and the pieces, with the checksums that belong to them.
void put_right(Bytes& file, const Layout& layout) {
    if (file.size() < layout.crc_at + 4) return;
    const auto header = std::span(file).first(layout.crc_at + 4);
    std::ranges::copy(std::as_bytes(std::span(layout.magic)), header.begin());
    wire::store(header, journal_format::version_at, layout.version);
    wire::store(header, journal_format::first_zxid_at, layout.number);
    wire::store(header, layout.crc_at, base::crc32c(header.first(layout.crc_at)));
    auto rest = std::span(file).subspan(header.size());
    while (rest.size() >= 8) {
        const std::size_t length = wire::load<std::uint32_t>(rest, 4);
        if (length > rest.size() - 8) return;
        wire::store(rest, 0, base::crc32c(rest.subspan(4, 4 + length)));
        rest = rest.subspan(8 + length);
    }
}

void open(std::string_view prefix, std::int64_t number, Bytes file) {
    sim::SimDisk disk;
    disk.put((directory / numbered_name(prefix, Zxid(number))).string(), std::move(file));
    auto opened = DurableTree::open(disk, directory, tree_id);
    if (!opened) {
        base::ensure(!opened.error().detail.empty(), "a refusal says why");
        return;
    }
    const auto first = everything_of(const_cast<Tree&>((*opened)->tree()));
    opened->reset();
    auto again = DurableTree::open(disk, directory, tree_id);
    base::ensure(again.has_value(), "what opened once opens again");
    base::ensure(everything_of(const_cast<Tree&>((*again)->tree())) == first, "and is what it was");
}

void read_as_transaction(std::span<const std::byte> bytes) {
    const auto read = read_transaction(bytes);
    if (!read) return;
    Bytes written;
    write(*read, written);
    const auto again = read_transaction(written);
    base::ensure(again && *again == *read, "a transaction comes back as it was written");
    Tree tree;
    if (tree.fits(*read)) tree.apply(*read);
}

// A service that has met all requests before; begun anew from time to time.
MetadataService& service() {
    // Before the service: its threads have to end before the library that they use is cleaned up.
    static const int crypto = OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, nullptr);
    base::ensure(crypto == 1, "the library of digests is there");
    static sim::SimDisk* disk = nullptr;
    static std::unique_ptr<MetadataService> one;
    static int met = 0;
    if (met++ % 500 == 0) {
        one.reset();
        delete disk;
        disk = new sim::SimDisk;
        MetadataService::Settings settings;
        settings.disk = disk;
        settings.directory = directory.string();
        settings.wall_ms = settings.monotonic_ms = [] { return std::int64_t{1'000'000}; };
        settings.random = [](std::span<std::byte> into) { std::ranges::fill(into, std::byte{7}); };
        settings.enforces_quotas = true;
        one = std::move(*MetadataService::start(settings));
    }
    return *one;
}

// Takes what a dialog says.
struct Nowhere final : Dialog::Outlet {
    void tell(Bytes) override {}
    void answer(Bytes, const Answered&) override {}
    void end(std::string) override {}
    bool is_full() const override { return false; }
};

// Frames, each of a length byte and so many bytes, behind a good connect request.
void take_requests(std::span<const std::byte> bytes) {
    auto& at = service();
    const auto dialog = std::make_shared<Dialog>(
        at, std::make_shared<Statistics>(), "127.0.0.1", [] { return std::int64_t{1'000'000}; },
        std::make_shared<Nowhere>());
    dialog->start();
    zookeeper::ConnectRequest request;
    request.timeout_ms = 10'000;
    Bytes connect;
    wire::Writer writer(connect);
    zookeeper::write_connect_request(writer, request);
    dialog->receive(connect);
    while (!bytes.empty()) {
        const auto size = std::min(static_cast<std::size_t>(bytes[0]), bytes.size() - 1);
        dialog->receive(bytes.subspan(1, size));
        bytes = bytes.subspan(1 + size);
    }
    dialog->leave();
    base::ensure(at.submit_and_wait({}).has_value(), "the service goes on");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto input = std::as_bytes(std::span(data, size));
    if (input.size() < 2) return 0;
    const auto body = input.subspan(2);
    const bool puts_right = (static_cast<unsigned>(input[1]) & 1u) != 0;
    Bytes file(body.begin(), body.end());
    switch (static_cast<unsigned>(input[0]) % 4) {
        case 0:
            if (puts_right) put_right(file, journal);
            open(journal_format::name_prefix, journal.number, std::move(file));
            break;
        case 1:
            if (puts_right) put_right(file, snapshot);
            open(snapshot_format::name_prefix, snapshot.number, std::move(file));
            break;
        case 2:
            read_as_transaction(body);
            break;
        default:
            take_requests(body);
    }
    return 0;
}
