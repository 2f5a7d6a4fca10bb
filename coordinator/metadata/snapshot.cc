#include "coordinator/metadata/snapshot.h"

#include "coordinator/metadata/codec.h"
#include "coordinator/metadata/journal.h"
#include "coordinator/metadata/snapshot_format.h"
#include "protocol/base/crc32c.h"
#include "protocol/base/ensure.h"
#include "protocol/wire/big_endian.h"
#include "protocol/wire/reader.h"
#include "protocol/wire/writer.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

namespace coordinator {

namespace format = snapshot_format;
using format::BlockType;
using storage::Fault;
using storage::FaultKind;

namespace {

constexpr bool compact = true;  // Lengths as varints.
constexpr std::size_t write_bytes = 256 * 1024;
constexpr std::size_t sync_bytes = 1024 * 1024;

void write(wire::Writer& out, const NodeImage& node) {
    out.string(node.path, compact);
    codec::write(out, node.data);
    for (const Zxid zxid : {node.czxid, node.mzxid, node.pzxid}) out.int64(zxid.value());
    out.int64(node.ctime);
    out.int64(node.mtime);
    out.int32(node.version);
    out.int32(node.aversion);
    out.int32(node.children_created);
    out.int8(static_cast<std::int8_t>(node.kind));
    out.int64(node.owner_or_ttl);
    codec::write(out, node.acl);
}

NodeImage read_node(wire::Reader& in) {
    NodeImage node{.path = codec::read_string(in)};
    node.data = codec::read_data(in);
    for (Zxid* zxid : {&node.czxid, &node.mzxid, &node.pzxid}) *zxid = Zxid(in.int64());
    node.ctime = in.int64();
    node.mtime = in.int64();
    node.version = in.int32();
    node.aversion = in.int32();
    node.children_created = in.int32();
    node.kind = codec::read_kind(in);
    node.owner_or_ttl = in.int64();
    node.acl = codec::read_acl(in);
    return node;
}

}  // namespace

// ---- SnapshotWriter -----------------------------------------------------------------------

template <class Fill>
void SnapshotWriter::put_block(std::int8_t type, Fill fill) {
    const std::size_t at = pending_.size();
    pending_.resize(at + format::block_type_at);
    wire::Writer out(pending_);
    out.int8(type);
    fill(out);
    const auto block = std::span(pending_).subspan(at);
    const auto length = block.size() - format::block_type_at;
    base::ensure(length <= format::block_bytes_max, "nodes are limited where they come in");
    wire::store(block, format::block_length_at, static_cast<std::uint32_t>(length));
    const auto summed = block.subspan(format::block_length_at);
    wire::store(block, format::block_crc_at, base::crc32c(summed));
}

base::Result<void, Fault> SnapshotWriter::flush() {
    const auto written = file_->write(bytes_, std::span<const std::byte>(pending_));
    if (!written) return written;
    bytes_ += pending_.size();
    pending_.clear();
    if (bytes_ - synced_ < sync_bytes) return {};
    synced_ = bytes_;
    return file_->sync();
}

base::Result<SnapshotWriter, Fault> SnapshotWriter::create(
    storage::Disk& disk, const std::filesystem::path& directory, const base::Uuid& tree_id,
    Zxid zxid, SessionId last_session, const std::vector<SessionImage>& sessions) {
    SnapshotWriter made(disk, directory, zxid);
    auto file = disk.open(directory / format::unfinished_name, storage::OpenMode::create);
    if (!file) return base::Unexpected(file.error());
    made.file_ = std::move(*file);
    const auto emptied = made.file_->truncate(0);
    if (!emptied) return base::Unexpected(emptied.error());

    made.pending_.resize(format::header_bytes);
    const auto header = std::span(made.pending_);
    std::ranges::copy(std::as_bytes(std::span(format::magic)), header.begin());
    wire::store(header, format::version_at, format::version);
    std::ranges::copy(tree_id, header.begin() + format::tree_id_at);
    wire::store(header, format::zxid_at, zxid.value());
    wire::store(header, format::last_session_at, last_session.value());
    wire::store(header, format::header_crc_at, base::crc32c(header.first(format::header_crc_at)));

    constexpr std::size_t sessions_in_block = 10'000;
    for (auto rest = std::span(sessions); !rest.empty();) {
        const auto some = rest.first(std::min(rest.size(), sessions_in_block));
        made.put_block(static_cast<std::int8_t>(BlockType::sessions), [&](wire::Writer& out) {
            out.unsigned_varint(static_cast<std::uint32_t>(some.size()));
            for (const SessionImage& session : some) {
                out.int64(session.id.value());
                out.int32(session.timeout_ms);
                codec::write(out, session.password);
            }
        });
        rest = rest.subspan(some.size());
    }
    made.sessions_ = static_cast<std::int64_t>(sessions.size());
    return made;
}

base::Result<void, Fault> SnapshotWriter::add(const std::vector<NodeImage>& nodes) {
    // A block ends with the node that fills it: nodes may be as long as a request.
    for (std::size_t from = 0; from < nodes.size();) {
        std::size_t bytes = 0;
        std::size_t to = from;
        for (; to < nodes.size() && bytes < write_bytes; ++to) {
            bytes += nodes[to].path.size() + (nodes[to].data ? nodes[to].data->size() : 0) + 100;
        }
        put_block(static_cast<std::int8_t>(BlockType::nodes), [&](wire::Writer& out) {
            out.unsigned_varint(static_cast<std::uint32_t>(to - from));
            for (; from < to; ++from) write(out, nodes[from]);
        });
        if (pending_.size() < write_bytes) continue;
        const auto flushed = flush();
        if (!flushed) return flushed;
    }
    nodes_ += static_cast<std::int64_t>(nodes.size());
    return {};
}

base::Result<void, Fault> SnapshotWriter::finish() {
    put_block(static_cast<std::int8_t>(BlockType::end), [&](wire::Writer& out) {
        out.int64(sessions_);
        out.int64(nodes_);
    });
    auto done = flush();
    if (done) done = file_->sync();
    const auto name = numbered_name(format::name_prefix, zxid_);
    if (done) done = disk_->rename(directory_ / format::unfinished_name, directory_ / name);
    if (done) done = disk_->sync_directory(directory_);
    return done;
}

void SnapshotWriter::abandon() {
    // When it cannot be removed it is overwritten by the next one.
    static_cast<void>(disk_->remove_file(directory_ / format::unfinished_name));
}

// ---- load ---------------------------------------------------------------------------------

namespace {

// Takes pieces off a file, and says for a fault where it was.
class FileReader {
public:
    FileReader(const storage::File& file, std::string name) : file_(file), name_(std::move(name)) {}

    // Put the next `count` bytes behind those that are kept, in taken(). corrupt when the file
    // ends before.
    [[nodiscard]] base::Result<void, Fault> take(std::size_t count) {
        const std::size_t at = taken_.size();
        taken_.resize(at + count);
        const auto got = file_.read(position_, std::span(taken_).subspan(at));
        if (!got) return base::Unexpected(got.error());
        if (*got < count) return base::Unexpected(corrupt("it ends too soon"));
        position_ += count;
        return {};
    }

    std::span<const std::byte> taken() const noexcept { return taken_; }
    void forget() noexcept { taken_.clear(); }

    Fault corrupt(const std::string& why) const {
        return {FaultKind::corrupt, name_ + ": byte " + std::to_string(position_) + ": " + why};
    }

    std::uint64_t position() const noexcept { return position_; }
    const std::string& name() const noexcept { return name_; }

private:
    const storage::File& file_;
    const std::string name_;
    std::uint64_t position_ = 0;
    std::vector<std::byte> taken_;
};

// In the reader's memory: good until it takes the next one.
struct Block {
    BlockType type;
    std::span<const std::byte> content;
};

base::Result<Block, Fault> take_block(FileReader& file, std::uint64_t file_bytes) {
    file.forget();
    auto taken = file.take(format::block_type_at);
    if (!taken) return base::Unexpected(taken.error());
    const std::size_t length = wire::load<std::uint32_t>(file.taken(), format::block_length_at);
    if (length < 1 || length > format::block_bytes_max || length > file_bytes - file.position()) {
        return base::Unexpected(file.corrupt("bad length of a block"));
    }
    taken = file.take(length);
    if (!taken) return base::Unexpected(taken.error());
    const auto block = file.taken();
    const auto summed = block.subspan(format::block_length_at);
    if (wire::load<std::uint32_t>(block, format::block_crc_at) != base::crc32c(summed)) {
        return base::Unexpected(file.corrupt("bad checksum of a block"));
    }
    return Block{static_cast<BlockType>(block[format::block_type_at]),
                 block.subspan(format::block_content_at)};
}

struct Header {
    base::Uuid tree_id{};
    Zxid zxid;
    SessionId last_session;
};

base::Result<Header, Fault> take_header(FileReader& file, Zxid zxid) {
    const auto taken = file.take(format::header_bytes);
    if (!taken) return base::Unexpected(taken.error());
    const auto bytes = file.taken();
    if (!std::ranges::equal(bytes.first(format::magic.size()),
                            std::as_bytes(std::span(format::magic)))) {
        return base::Unexpected(file.corrupt("not a snapshot of Milena's metadata: bad magic"));
    }
    const auto version = wire::load<std::int32_t>(bytes, format::version_at);
    if (version > format::version) {
        return base::Unexpected(Fault(
            FaultKind::foreign, file.name() + ": format version " + std::to_string(version) +
                                    ", this build knows up to " + std::to_string(format::version)));
    }
    const auto crc = wire::load<std::uint32_t>(bytes, format::header_crc_at);
    if (version != format::version || crc != base::crc32c(bytes.first(format::header_crc_at))) {
        return base::Unexpected(file.corrupt("bad checksum of the header"));
    }
    Header read;
    std::ranges::copy(bytes.subspan(format::tree_id_at, read.tree_id.size()), read.tree_id.begin());
    read.zxid = Zxid(wire::load<std::int64_t>(bytes, format::zxid_at));
    read.last_session = SessionId(wire::load<std::int64_t>(bytes, format::last_session_at));
    if (read.zxid != zxid)
        return base::Unexpected(file.corrupt("the zxid is not that of the name"));
    return read;
}

// Reads `count` things by `read_one`. Nothing is reserved for the count, which may lie.
template <class ReadOne>
auto read_list(wire::Reader& in, ReadOne read_one) {
    std::vector<decltype(read_one())> list;
    for (auto left = in.unsigned_varint(); left > 0 && !in.failed(); --left) {
        list.push_back(read_one());
    }
    return list;
}

SessionImage read_session(wire::Reader& in) {
    SessionImage session{SessionId(in.int64()), in.int32(), {}};
    session.password = codec::read_password(in);
    return session;
}

}  // namespace

base::Result<LoadedSnapshot, Fault> load_snapshot(storage::Disk& disk,
                                                  const std::filesystem::path& directory,
                                                  Zxid zxid) {
    const auto path = directory / numbered_name(format::name_prefix, zxid);
    const auto opened = disk.open(path, storage::OpenMode::read);
    if (!opened) return base::Unexpected(opened.error());
    const auto file_bytes = (*opened)->size();
    if (!file_bytes) return base::Unexpected(file_bytes.error());
    FileReader file(**opened, path.string());
    const auto header = take_header(file, zxid);
    if (!header) return base::Unexpected(header.error());

    std::vector<SessionImage> sessions;
    std::optional<TreeLoader> loader;
    std::int64_t nodes = 0;
    for (;;) {
        const auto block = take_block(file, *file_bytes);
        if (!block) return base::Unexpected(block.error());
        wire::Reader in(block->content);
        const auto undecodable = [&] {
            return base::Unexpected(file.corrupt("a block does not decode"));
        };

        if (block->type == BlockType::sessions && !loader) {
            const auto more = read_list(in, [&] { return read_session(in); });
            if (!in.finish()) return undecodable();
            sessions.insert(sessions.end(), more.begin(), more.end());
        } else if (block->type == BlockType::nodes) {
            if (!loader) loader.emplace(header->zxid, header->last_session, sessions);
            for (auto left = in.unsigned_varint(); left > 0 && !in.failed(); --left, ++nodes) {
                auto node = read_node(in);
                if (in.failed()) break;
                const auto added = loader->add(std::move(node));
                if (!added) return base::Unexpected(file.corrupt(added.error()));
            }
            if (!in.finish()) return undecodable();
        } else if (block->type == BlockType::end && loader) {
            const bool counts = in.int64() == static_cast<std::int64_t>(sessions.size()) &&
                                in.int64() == nodes && in.finish();
            if (!counts) return base::Unexpected(file.corrupt("the end block counts otherwise"));
            if (file.position() != *file_bytes) {
                return base::Unexpected(file.corrupt("something follows the end block"));
            }
            auto tree = loader->finish();
            if (!tree) return base::Unexpected(file.corrupt(tree.error()));
            return LoadedSnapshot{std::move(*tree), header->tree_id};
        } else {
            return base::Unexpected(file.corrupt("a block of an unknown type, or out of place"));
        }
    }
}

}  // namespace coordinator
