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

}  // namespace

grpc::ByteBuffer EncodeChunk(const v1::TransferHeader* header,
                             const ChunkView& chunk,
                             std::shared_ptr<const void> owner) {
  v1::Chunk head;  // all but the data
  if (header != nullptr) *head.mutable_header() = *header;
  head.set_payload(chunk.header.payload);
  head.set_offset(chunk.header.offset);
  head.set_checksum(chunk.header.checksum);
  std::string bytes = head.SerializeAsString();
  if (chunk.data.empty()) {
    const grpc::Slice slice(bytes);
    return grpc::ByteBuffer(&slice, 1);
  }
  uint8_t before_data[1 + 5];
  before_data[0] = kDataTag;
  const uint8_t* const end =
      google::protobuf::io::CodedOutputStream::WriteVarint32ToArray(
          static_cast<uint32_t>(chunk.data.size()), before_data + 1);
  bytes.append(reinterpret_cast<const char*>(before_data), end - before_data);
  const grpc::Slice slices[] = {
      grpc::Slice(bytes),
      chunk.stable ? View(chunk.data, std::move(owner))
                   : grpc::Slice(chunk.data.data(), chunk.data.size())};
  return grpc::ByteBuffer(slices, 2);
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

}  // namespace parley
