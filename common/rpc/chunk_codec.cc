#include "common/rpc/chunk_codec.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/slice.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/wire/protocol.h"

namespace parley {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

constexpr uint32_t Tag(int field, WireFormatLite::WireType type) {
  return static_cast<uint32_t>(field) << 3 | type;
}
constexpr uint32_t kHeaderTag = Tag(v1::Chunk::kHeaderFieldNumber,
                                    WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
constexpr uint32_t kPayloadTag =
    Tag(v1::Chunk::kPayloadFieldNumber, WireFormatLite::WIRETYPE_VARINT);
constexpr uint32_t kOffsetTag =
    Tag(v1::Chunk::kOffsetFieldNumber, WireFormatLite::WIRETYPE_VARINT);
constexpr uint32_t kChecksumTag =
    Tag(v1::Chunk::kChecksumFieldNumber, WireFormatLite::WIRETYPE_FIXED64);
constexpr uint32_t kDataTag =
    Tag(v1::Chunk::kDataFieldNumber, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
static_assert(kDataTag < 128);  // one byte
// Of a chunk in a PeerMessage, what precedes its data.
constexpr uint32_t kMaxChunkHead = 1024;
constexpr uint32_t kPeerChunkTag =
    Tag(v1::PeerMessage::kChunkFieldNumber,
        WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
static_assert(kPeerChunkTag < 128);

void AppendPrefix(uint32_t tag, size_t size, std::string* bytes) {
  uint8_t prefix[1 + 5];
  prefix[0] = static_cast<uint8_t>(tag);
  const uint8_t* const end =
      google::protobuf::io::CodedOutputStream::WriteVarint32ToArray(
          static_cast<uint32_t>(size), prefix + 1);
  bytes->append(reinterpret_cast<const char*>(prefix), end - prefix);
}

// Data that gRPC views; `owner` goes when gRPC has done with it.
grpc::Slice View(absl::string_view data, std::shared_ptr<const void> owner) {
  return grpc::Slice(
      const_cast<char*>(data.data()), data.size(),
      [](void* held) {
        delete static_cast<std::shared_ptr<const void>*>(held);
      },
      new std::shared_ptr<const void>(std::move(owner)));
}

bool ReadHeader(CodedInputStream* in, ReceivedChunk* chunk) {
  uint32_t size;
  std::string bytes;
  if (!in->ReadVarint32(&size) || size > kMaxControlBytes ||
      !in->ReadString(&bytes, static_cast<int>(size))) {
    return false;
  }
  if (!chunk->transfer) chunk->transfer.emplace();
  return chunk->transfer->MergeFromString(bytes);
}

bool ReadData(CodedInputStream* in, ReceivedChunk* chunk) {
  uint32_t left;
  if (!in->ReadVarint32(&left) || left > kMaxChunkBytes) return false;
  chunk->pieces.clear();  // the last of several counts
  while (left > 0) {
    const void* at;
    int size;
    if (!in->GetDirectBufferPointer(&at, &size)) return false;
    size = static_cast<int>(std::min<uint32_t>(left, size));
    if (size > 0)
      chunk->pieces.emplace_back(static_cast<const char*>(at), size);
    in->Skip(size);
    left -= size;
  }
  return true;
}

bool ReadFields(CodedInputStream* in, ReceivedChunk* chunk) {
  while (const uint32_t tag = in->ReadTag()) {
    bool ok;
    switch (tag) {
      case kHeaderTag:
        ok = ReadHeader(in, chunk);
        break;
      case kPayloadTag:
        ok = in->ReadVarint32(&chunk->header.payload);
        break;
      case kOffsetTag: {
        ok = in->ReadVarint64(&chunk->header.offset);
        break;
      }
      case kChecksumTag:
        ok = in->ReadLittleEndian64(&chunk->header.checksum);
        break;
      case kDataTag:
        ok = ReadData(in, chunk);
        break;
      default:  // of a newer version
        ok = WireFormatLite::SkipField(in, tag);
    }
    if (!ok) return false;
  }
  return in->ConsumedEntireMessage();
}

ChunkView ViewOf(const v1::Chunk& chunk) {
  return {{chunk.payload(), chunk.offset(), chunk.checksum()}, chunk.data()};
}

// A chunk's bytes but for its data.
std::string BeforeData(const v1::TransferHeader* header,
                       const ChunkView& chunk) {
  v1::Chunk head;
  if (header != nullptr) *head.mutable_header() = *header;
  head.set_payload(chunk.header.payload);
  head.set_offset(chunk.header.offset);
  head.set_checksum(chunk.header.checksum);
  std::string bytes = head.SerializeAsString();
  if (!chunk.data.empty()) AppendPrefix(kDataTag, chunk.data.size(), &bytes);
  return bytes;
}

grpc::ByteBuffer WithData(const std::string& before, const ChunkView& chunk,
                          std::shared_ptr<const void> owner) {
  if (chunk.data.empty()) {
    const grpc::Slice slice(before);
    return grpc::ByteBuffer(&slice, 1);
  }
  const grpc::Slice slices[] = {
      grpc::Slice(before),
      chunk.stable ? View(chunk.data, std::move(owner))
                   : grpc::Slice(chunk.data.data(), chunk.data.size())};
  return grpc::ByteBuffer(slices, 2);
}

// `message`, and a field `part` of it that is `body` and, in its field `field`,
// the chunks.
grpc::ByteBuffer WithChunks(const google::protobuf::Message& message, int part,
                            const google::protobuf::Message& body, int field,
                            const SharedChunks& chunks) {
  const auto tag = [](int number) {
    return Tag(number, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
  };
  std::string before = body.SerializeAsString();
  size_t size = before.size();
  std::vector<std::string> heads;
  for (const v1::Chunk& chunk : *chunks) {
    const std::string head = BeforeData(nullptr, ViewOf(chunk));
    std::string& prefix = heads.emplace_back();
    AppendPrefix(tag(field), head.size() + chunk.data().size(), &prefix);
    prefix += head;
    size += prefix.size() + chunk.data().size();
  }
  std::string first = message.SerializeAsString();
  AppendPrefix(tag(part), size, &first);
  std::vector<grpc::Slice> slices = {grpc::Slice(first + before)};
  for (size_t i = 0; i < heads.size(); ++i) {
    slices.emplace_back(heads[i]);
    const std::string& data = (*chunks)[static_cast<int>(i)].data();
    if (!data.empty()) slices.push_back(View(data, chunks));
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

grpc::ByteBuffer Encode(const google::protobuf::Message& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

bool Parse(grpc::ByteBuffer* buffer, google::protobuf::Message* message) {
  if (!buffer->Valid()) return message->ParseFromString("");
  grpc::ProtoBufferReader reader(buffer);
  return reader.status().ok() && message->ParseFromZeroCopyStream(&reader);
}

// The rest of a message that began with the tag of its chunk.
bool ReadPeerChunk(CodedInputStream* in, ReceivedChunk* chunk) {
  uint32_t size;
  if (!in->ReadVarint32(&size) || size > kMaxChunkBytes + kMaxChunkHead) {
    return false;
  }
  const CodedInputStream::Limit limit = in->PushLimit(static_cast<int>(size));
  if (!ReadFields(in, chunk) || in->BytesUntilLimit() != 0) return false;
  in->PopLimit(limit);
  return !chunk->transfer;
}

}  // namespace

grpc::ByteBuffer EncodeChunk(const v1::TransferHeader* header,
                             const ChunkView& chunk,
                             std::shared_ptr<const void> owner) {
  return WithData(BeforeData(header, chunk), chunk, std::move(owner));
}

absl::Status DecodeChunk(grpc::ByteBuffer* buffer, ReceivedChunk* chunk) {
  *chunk = ReceivedChunk();
  grpc::ProtoBufferReader reader(buffer);
  CodedInputStream in(&reader);
  if (!reader.status().ok() || !ReadFields(&in, chunk)) {
    return absl::InvalidArgumentError(
        absl::StrCat("this is no Chunk, or one with more than ", kMaxChunkBytes,
                     " bytes of data"));
  }
  return absl::OkStatus();
}

grpc::ByteBuffer EncodePeerChunk(const ChunkView& chunk,
                                 std::shared_ptr<const void> owner) {
  const std::string head = BeforeData(nullptr, chunk);
  std::string before;
  AppendPrefix(kPeerChunkTag, head.size() + chunk.data.size(), &before);
  return WithData(before + head, chunk, std::move(owner));
}

grpc::ByteBuffer EncodePeerMessage(const v1::PeerMessage& message) {
  return Encode(message);
}

absl::Status DecodePeerMessage(grpc::ByteBuffer* buffer,
                               v1::PeerMessage* message,
                               std::optional<ReceivedChunk>* chunk) {
  message->Clear();
  chunk->reset();
  const size_t size = buffer->Valid() ? buffer->Length() : 0;
  grpc::ProtoBufferReader reader(buffer);
  bool ok = reader.status().ok();
  if (ok) {
    CodedInputStream in(&reader);
    if (in.ReadTag() == kPeerChunkTag) {
      ok = ReadPeerChunk(&in, &chunk->emplace()) &&
           in.CurrentPosition() == static_cast<int>(size);
    } else {
      grpc::ProtoBufferReader again(buffer);
      ok = size <= kMaxControlBytes &&
           message->ParseFromZeroCopyStream(&again) && !message->has_chunk();
    }
  }
  if (ok) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "this is no PeerMessage, or one with more than ", kMaxChunkBytes,
      " bytes of data or ", kMaxControlBytes, " bytes of anything else"));
}

grpc::ByteBuffer EncodeSessionMessage(v1::ServerMessage message,
                                      const SharedChunks& chunks) {
  if (chunks == nullptr) return Encode(message);
  const std::unique_ptr<v1::Task> task(message.release_task());
  return WithChunks(message, v1::ServerMessage::kTaskFieldNumber, *task,
                    v1::Task::kChunksFieldNumber, chunks);
}

grpc::ByteBuffer EncodeSessionMessage(v1::ClientMessage message,
                                      const SharedChunks& chunks) {
  if (chunks == nullptr) return Encode(message);
  const std::unique_ptr<v1::UpdateReady> update(message.release_update_ready());
  return WithChunks(message, v1::ClientMessage::kUpdateReadyFieldNumber,
                    *update, v1::UpdateReady::kChunksFieldNumber, chunks);
}

absl::Status DecodeSessionMessage(grpc::ByteBuffer* buffer,
                                  v1::ClientMessage* message) {
  const size_t size = buffer->Valid() ? buffer->Length() : 0;
  if (size > kMaxControlBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a control message has more than ", kMaxControlBytes, " bytes"));
  }
  if (Parse(buffer, message)) return absl::OkStatus();
  return absl::InvalidArgumentError("this is no ClientMessage");
}

absl::Status DecodeSessionMessage(grpc::ByteBuffer* buffer,
                                  v1::ServerMessage* message) {
  if (Parse(buffer, message)) return absl::OkStatus();
  return absl::InvalidArgumentError("this is no ServerMessage");
}

}  // namespace parley
