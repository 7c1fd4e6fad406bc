#include "common/rpc/chunk_codec.h"

#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "common/base/random.h"
#include "common/wire/protocol.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using absl::StatusCode;

std::string Flatten(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& s : slices) bytes.append(s.begin(), s.end());
  return bytes;
}

// As it may arrive: cut into slices at random places.
grpc::ByteBuffer Scatter(const std::string& bytes, Rng* rng) {
  std::vector<grpc::Slice> slices;
  for (size_t at = 0; at < bytes.size();) {
    const size_t most = rng->Below(2) == 0 ? 8 : 40000;
    const size_t n = std::min(bytes.size() - at, 1 + rng->Below(most));
    slices.emplace_back(bytes.data() + at, n);
    at += n;
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

v1::Chunk MakeChunk(bool header, uint32_t payload, uint64_t offset,
                    size_t size) {
  v1::Chunk chunk;
  if (header) {
    chunk.mutable_header()->mutable_task()->set_run("run");
    chunk.mutable_header()->mutable_task()->set_round(77);
    chunk.mutable_header()->set_token("secret");
  }
  chunk.set_payload(payload);
  chunk.set_offset(offset);
  Rng rng(size, "data");
  std::string* data = chunk.mutable_data();
  for (size_t i = 0; i < size; ++i) data->push_back(rng.Next());
  chunk.set_checksum(rng.Next());
  return chunk;
}

const std::vector<v1::Chunk> kChunks = {
    MakeChunk(true, 0, 0, 1000),
    MakeChunk(false, 3, uint64_t{1} << 40, 1 << 20),
    MakeChunk(false, 4294967295u, 1, 1),
    MakeChunk(true, 0, 0, 0),
    MakeChunk(false, 1, 127, 127),
    MakeChunk(false, 1, 128, 128),
    MakeChunk(false, 0, 0, kMaxChunkBytes),
    v1::Chunk(),
};

TEST(ChunkCodecTest, WritesTheBytesOfTheGeneratedClass) {
  for (const v1::Chunk& chunk : kChunks) {
    for (bool stable : {false, true}) {
      const ChunkView view = {
          {chunk.payload(), chunk.offset(), chunk.checksum()},
          chunk.data(),
          stable};
      const grpc::ByteBuffer buffer =
          EncodeChunk(chunk.has_header() ? &chunk.header() : nullptr, view,
                      std::make_shared<int>());
      EXPECT_TRUE(Flatten(buffer) == chunk.SerializeAsString());
    }
  }
}

TEST(ChunkCodecTest, ReadsTheBytesOfTheGeneratedClass) {
  Rng rng(5, "scatter");
  for (const v1::Chunk& chunk : kChunks) {
    grpc::ByteBuffer buffer = Scatter(chunk.SerializeAsString(), &rng);
    ReceivedChunk got;
    ASSERT_OK(DecodeChunk(&buffer, &got));
    EXPECT_EQ(got.transfer.has_value(), chunk.has_header());
    if (got.transfer) {
      EXPECT_EQ(got.transfer->SerializeAsString(),
                chunk.header().SerializeAsString());
    }
    EXPECT_EQ(got.header.payload, chunk.payload());
    EXPECT_EQ(got.header.offset, chunk.offset());
    EXPECT_EQ(got.header.checksum, chunk.checksum());
    EXPECT_TRUE(absl::StrJoin(got.pieces, "") == chunk.data());
  }
}

TEST(ChunkCodecTest, TakesAnyOrderAndSkipsUnknownFields) {
  const v1::Chunk chunk = MakeChunk(true, 2, 300, 5000);
  v1::Chunk data_only;
  data_only.set_data(chunk.data());
  v1::Chunk rest = chunk;
  rest.clear_data();
  std::string bytes = data_only.SerializeAsString();
  bytes += std::string("\xf0\x01\x05", 3);              // field 30, varint
  bytes += std::string("\xfa\x01\x03xyz", 6);           // field 31, bytes
  bytes += std::string("\xfd\x01\x01\x02\x03\x04", 6);  // field 31, fixed32
  bytes += rest.SerializeAsString();
  v1::Chunk by_class;
  ASSERT_TRUE(by_class.ParseFromString(bytes));
  Rng rng(6, "scatter");
  grpc::ByteBuffer buffer = Scatter(bytes, &rng);
  ReceivedChunk got;
  ASSERT_OK(DecodeChunk(&buffer, &got));
  EXPECT_EQ(got.header.offset, by_class.offset());
  EXPECT_TRUE(absl::StrJoin(got.pieces, "") == by_class.data());
}

TEST(ChunkCodecTest, AgreesWithTheGeneratedClassOnGarbage) {
  Rng rng(9, "garbage");
  int refused = 0;
  for (int i = 0; i < 20000; ++i) {
    // Valid chunks with some bytes changed, cut off, or nothing but noise.
    std::string bytes = MakeChunk(i % 2 == 0, 1, i, i % 50).SerializeAsString();
    for (uint64_t n = rng.Below(4); n > 0; --n) {
      bytes[rng.Below(bytes.size())] = rng.Next();
    }
    if (rng.Below(4) == 0) bytes.resize(rng.Below(bytes.size()));
    if (bytes.empty()) continue;
    v1::Chunk by_class;
    const bool valid = by_class.ParseFromString(bytes);
    grpc::ByteBuffer buffer = Scatter(bytes, &rng);
    ReceivedChunk got;
    const absl::Status status = DecodeChunk(&buffer, &got);
    ASSERT_EQ(status.ok(), valid) << i;
    if (!valid) {
      ++refused;
      continue;
    }
    ASSERT_EQ(got.header.payload, by_class.payload());
    ASSERT_EQ(got.header.offset, by_class.offset());
    ASSERT_EQ(got.header.checksum, by_class.checksum());
    ASSERT_EQ(absl::StrJoin(got.pieces, ""), by_class.data());
    ASSERT_EQ(got.transfer.has_value(), by_class.has_header());
  }
  EXPECT_GT(refused, 1000);
}

TEST(ChunkCodecTest, RefusesTooMuchAndNothing) {
  Rng rng(5, "scatter");
  grpc::ByteBuffer buffer = Scatter(
      MakeChunk(false, 0, 0, kMaxChunkBytes + 1).SerializeAsString(), &rng);
  ReceivedChunk got;
  EXPECT_THAT(DecodeChunk(&buffer, &got),
              StatusIs(StatusCode::kInvalidArgument, "more than 4194304"));
  grpc::ByteBuffer invalid;
  EXPECT_FALSE(DecodeChunk(&invalid, &got).ok());
}

// ----------------------------------------------------- in a peer's message

std::vector<v1::PeerMessage> PeerChunks() {
  std::vector<v1::PeerMessage> messages;
  for (v1::Chunk chunk : kChunks) {
    chunk.clear_header();
    *messages.emplace_back().mutable_chunk() = std::move(chunk);
  }
  return messages;
}

TEST(PeerMessageCodecTest, WritesTheBytesOfTheGeneratedClass) {
  for (const v1::PeerMessage& message : PeerChunks()) {
    const v1::Chunk& chunk = message.chunk();
    for (bool stable : {false, true}) {
      const ChunkView view = {
          {chunk.payload(), chunk.offset(), chunk.checksum()},
          chunk.data(),
          stable};
      EXPECT_TRUE(Flatten(EncodePeerChunk(view, std::make_shared<int>())) ==
                  message.SerializeAsString());
    }
  }
}

TEST(PeerMessageCodecTest, ReadsTheBytesOfTheGeneratedClass) {
  Rng rng(5, "scatter");
  std::vector<v1::PeerMessage> messages = PeerChunks();
  messages.emplace_back().mutable_hello()->set_name("peer");
  messages.emplace_back().mutable_end();
  messages.emplace_back();
  for (const v1::PeerMessage& message : messages) {
    grpc::ByteBuffer buffer = Scatter(message.SerializeAsString(), &rng);
    v1::PeerMessage control;
    std::optional<ReceivedChunk> chunk;
    if (message.ByteSizeLong() == 0) buffer = EncodePeerMessage(message);
    ASSERT_OK(DecodePeerMessage(&buffer, &control, &chunk));
    ASSERT_EQ(chunk.has_value(), message.has_chunk());
    if (!chunk) {
      EXPECT_EQ(control.SerializeAsString(), message.SerializeAsString());
      continue;
    }
    EXPECT_EQ(chunk->header.payload, message.chunk().payload());
    EXPECT_EQ(chunk->header.offset, message.chunk().offset());
    EXPECT_EQ(chunk->header.checksum, message.chunk().checksum());
    EXPECT_TRUE(absl::StrJoin(chunk->pieces, "") == message.chunk().data());
  }
}

// What is read is what the generated class would read; all but the plain forms
// may be refused.
TEST(PeerMessageCodecTest, NeverDisagreesWithTheGeneratedClass) {
  google::protobuf::SetLogHandler(nullptr);  // tells of each wrong string
  Rng rng(9, "garbage");
  int lenient = 0, refused = 0, chunks = 0, controls = 0;
  for (int i = 0; i < 20000; ++i) {
    v1::PeerMessage message;
    if (i % 3 == 0) {
      message.mutable_hello()->set_name("peer");
      message.mutable_hello()->set_index(i);
    } else {
      *message.mutable_chunk() = MakeChunk(i % 7 == 0, 1, i, i % 50);
    }
    std::string bytes = message.SerializeAsString();
    const uint64_t changes = rng.Below(4);
    for (uint64_t n = changes; n > 0; --n) {
      bytes[rng.Below(bytes.size())] = rng.Next();
    }
    const bool cut = rng.Below(4) == 0;
    if (cut) bytes.resize(rng.Below(bytes.size()));
    if (bytes.empty()) continue;
    v1::PeerMessage by_class;
    const bool valid = by_class.ParseFromString(bytes);
    grpc::ByteBuffer buffer = Scatter(bytes, &rng);
    v1::PeerMessage control;
    std::optional<ReceivedChunk> chunk;
    if (!DecodePeerMessage(&buffer, &control, &chunk).ok()) {
      ++refused;
      ASSERT_TRUE(changes > 0 || cut || message.chunk().has_header()) << i;
      continue;
    }
    // Field numbers of more than 32 bits are skipped here and refused there.
    if (!valid) {
      ++lenient;
      continue;
    }
    ASSERT_EQ(chunk.has_value(), by_class.has_chunk()) << i;
    if (!chunk) {
      ++controls;
      ASSERT_EQ(control.SerializeAsString(), by_class.SerializeAsString());
      continue;
    }
    ++chunks;
    ASSERT_EQ(chunk->header.payload, by_class.chunk().payload());
    ASSERT_EQ(chunk->header.offset, by_class.chunk().offset());
    ASSERT_EQ(chunk->header.checksum, by_class.chunk().checksum());
    ASSERT_EQ(absl::StrJoin(chunk->pieces, ""), by_class.chunk().data());
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(chunks, 1000);
  EXPECT_GT(controls, 1000);
  EXPECT_LT(lenient, 10);
}

TEST(PeerMessageCodecTest, RefusesTooMuch) {
  Rng rng(5, "scatter");
  v1::PeerMessage message;
  *message.mutable_chunk() = MakeChunk(false, 0, 0, kMaxChunkBytes + 1);
  grpc::ByteBuffer buffer = Scatter(message.SerializeAsString(), &rng);
  v1::PeerMessage control;
  std::optional<ReceivedChunk> chunk;
  EXPECT_THAT(DecodePeerMessage(&buffer, &control, &chunk),
              StatusIs(StatusCode::kInvalidArgument, "more than 4194304"));
  message.mutable_hello()->set_name(std::string(kMaxControlBytes, 'x'));
  buffer = Scatter(message.SerializeAsString(), &rng);
  EXPECT_THAT(DecodePeerMessage(&buffer, &control, &chunk),
              StatusIs(StatusCode::kInvalidArgument, "1048576"));
}

TEST(SessionMessageCodecTest, ChunksBesideAMessageAreAsThoseInIt) {
  InlineChunks chunks;
  for (const v1::Chunk& chunk : kChunks) {
    if (!chunk.has_header()) *chunks.Add() = chunk;
  }
  const auto shared = std::make_shared<InlineChunks>(chunks);
  v1::ServerMessage task;
  task.set_run("run");
  task.set_term(7);
  task.mutable_task()->mutable_task()->set_round(3);
  task.mutable_task()->set_update_inline(true);
  v1::ClientMessage update;
  update.set_run("run");
  update.mutable_update_ready()->set_weight(2);
  update.mutable_update_ready()->set_seconds(0.5);

  grpc::ByteBuffer buffer = EncodeSessionMessage(task, shared);
  EXPECT_GT(shared.use_count(), 1);  // is viewed, not copied
  v1::ServerMessage got_task;
  ASSERT_OK(DecodeSessionMessage(&buffer, &got_task));
  *task.mutable_task()->mutable_chunks() = chunks;
  EXPECT_TRUE(got_task.SerializeAsString() == task.SerializeAsString());

  buffer = EncodeSessionMessage(update, shared);
  v1::ClientMessage got_update;
  ASSERT_TRUE(got_update.ParseFromString(Flatten(buffer)));
  *update.mutable_update_ready()->mutable_chunks() = chunks;
  EXPECT_TRUE(got_update.SerializeAsString() == update.SerializeAsString());
  EXPECT_THAT(
      DecodeSessionMessage(&buffer, &got_update),
      StatusIs(StatusCode::kInvalidArgument, "more than 1048576 bytes"));
  buffer.Clear();
  EXPECT_EQ(shared.use_count(), 1);

  task.clear_kind();
  task.mutable_verdict()->set_reason("no");
  buffer = EncodeSessionMessage(task, nullptr);
  EXPECT_EQ(Flatten(buffer), task.SerializeAsString());
}

TEST(SessionMessageCodecTest, RefusesGarbage) {
  Rng rng(6, "garbage");
  grpc::ByteBuffer buffer = Scatter("\xff\xff\xff garbage", &rng);
  v1::ClientMessage message;
  EXPECT_THAT(DecodeSessionMessage(&buffer, &message),
              StatusIs(StatusCode::kInvalidArgument, "no ClientMessage"));
  buffer.Clear();
  v1::ServerMessage other;
  EXPECT_OK(DecodeSessionMessage(&buffer, &other));  // of no bytes: empty
  EXPECT_EQ(other.ByteSizeLong(), 0u);
}

TEST(ChunkCodecTest, OwnerLivesAsLongAsTheViews) {
  const std::string data(1000, 'x');
  auto owner = std::make_shared<int>();
  const std::weak_ptr<int> watch = owner;
  grpc::ByteBuffer buffer =
      EncodeChunk(nullptr, {{0, 0, 1}, data, true}, std::move(owner));
  grpc::ByteBuffer copy(buffer);
  buffer.Clear();
  EXPECT_FALSE(watch.expired());
  copy.Clear();
  EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace parley
