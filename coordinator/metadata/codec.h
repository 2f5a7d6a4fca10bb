// Codec: the pieces that journal and snapshot have in common, as bytes.
#pragma once

#include "coordinator/metadata/znode.h"
#include "protocol/wire/reader.h"
#include "protocol/wire/writer.h"

namespace coordinator::codec {

void write(wire::Writer& out, const Data& data);
Data read_data(wire::Reader& in);

void write(wire::Writer& out, const Acl& acl);
Acl read_acl(wire::Reader& in);

void write(wire::Writer& out, const Password& password);
Password read_password(wire::Reader& in);

std::string read_string(wire::Reader& in);

// Fails the reader for a kind that there is not.
NodeKind read_kind(wire::Reader& in);

}  // namespace coordinator::codec
