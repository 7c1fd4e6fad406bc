// Downloads and uploads from end to end.
#include <grpcpp/generic/generic_stub.h>

#include "common/wire/checksum.h"
#include "common/wire/protocol.h"
#include "parley/v1/coordinator.grpc.pb.h"
#include "tests/unit/rpc/bulk_fixture.h"

namespace parley {
namespace {

using absl::StatusCode;

// What the server says to hand-made bytes on Upload.
grpc::Status SendRaw(const std::string& address,
                     const std::vector<std::string>& messages) {
  grpc::GenericStub stub(*Dial(address, {}));
  class Reactor final
      : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
   public:
    Reactor(grpc::GenericStub* stub, const std::vector<std::string>& messages)
        : messages_(messages) {
      stub->PrepareBidiStreamingCall(&context_, "/parley.v1.Coordinator/Upload",
                                     {}, this);
      StartRead(&reply_);
      Next();
      StartCall();
    }
    void OnWriteDone(bool ok) override {
      if (ok) Next();
    }
    void OnDone(const grpc::Status& status) override {
      MutexLock lock(mu_);
      status_ = status;
      changed_.SignalAll();
    }
    grpc::Status Await() {
      MutexLock lock(mu_);
      while (!status_) changed_.Wait(mu_);
      return *status_;
    }

   private:
    void Next() {
      if (at_ == messages_.size()) return StartWritesDone();
      const grpc::Slice slice(messages_[at_++]);
      out_ = grpc::ByteBuffer(&slice, 1);
      StartWrite(&out_);
    }
    const std::vector<std::string> messages_;
    size_t at_ = 0;
    grpc::ClientContext context_;
    grpc::ByteBuffer out_, reply_;
    Mutex mu_;
    CondVar changed_;
    std::optional<grpc::Status> status_;
  };
  Reactor reactor(&stub, messages);
  return reactor.Await();
}

TEST_F(BulkTest, DownloadsByteExactAndFromAnOffset) {
  ASSERT_OK(Download(0, sink_.get()));
  EXPECT_TRUE(Same());

  // The first sink refuses after ten chunks; the download goes on from there.
  ResetSink(v1::ENCODING_FLOAT32);
  class Interrupted final : public ChunkSink {
   public:
    explicit Interrupted(ChunkSink* to) : to_(to) {}
    absl::Status Write(const ChunkHeader& header,
                       absl::Span<const absl::string_view> pieces) override {
      if (left_-- == 0) return absl::AbortedError("interrupted");
      return to_->Write(header, pieces);
    }
    absl::StatusOr<uint64_t> Finish() override { return to_->Finish(); }

   private:
    ChunkSink* const to_;
    int left_ = 10;
  } interrupted(sink_.get());
  EXPECT_THAT(Download(0, &interrupted),
              StatusIs(StatusCode::kAborted, "interrupted"));
  EXPECT_EQ(sink_->received(), 10u * kChunkBytes);
  ASSERT_OK(Download(sink_->received(), sink_.get()));
  EXPECT_TRUE(Same());
}

TEST_F(BulkTest, DownloadsWhatNeedsEncoding) {
  for (float& x : numbers_.As<float>()) x = static_cast<float>(x > 0.5f);
  payloads_[0].encoding = v1::ENCODING_BFLOAT16;
  ResetSink(v1::ENCODING_BFLOAT16);
  ASSERT_OK(Download(0, sink_.get()));
  EXPECT_TRUE(Same());
}

TEST_F(BulkTest, DownloadErrorReachesTheClient) {
  EXPECT_THAT(Download(uint64_t{1} << 40, sink_.get()),
              StatusIs(StatusCode::kInvalidArgument, "cannot go on at byte"));
}

TEST_F(BulkTest, UploadsByteExactAndFromAnOffset) {
  ASSERT_OK(Upload(Source(0).get()));
  EXPECT_TRUE(Same());
  EXPECT_EQ(log_.finished, 1);
  EXPECT_EQ(log_.open, 0);

  // All is there already: the header goes alone.
  ASSERT_OK(Upload(Source(sink_->received()).get()));
  EXPECT_EQ(log_.finished, 2);
}

// The sender encodes one chunk while the one before it waits to be written.
TEST_F(BulkTest, UploadsWhatNeedsEncoding) {
  for (float& x : numbers_.As<float>()) x = static_cast<float>(x > 0.5f);
  payloads_[0].encoding = v1::ENCODING_BFLOAT16;
  ResetSink(v1::ENCODING_BFLOAT16);
  ASSERT_OK(Upload(Source(0).get()));
  EXPECT_TRUE(Same());
}

TEST_F(BulkTest, UploadsNoneOneAndTwoChunks) {
  for (const int64_t chunks : {0, 1, 2}) {
    const int64_t elements =
        chunks * kChunkBytes / static_cast<int64_t>(sizeof(float));
    payloads_[0].elements = elements;
    into_ = ParameterVector(DType::kFloat32, elements);
    sink_ = std::make_unique<ParameterSink>(
        std::vector<PayloadTarget>{{v1::ENCODING_FLOAT32, &into_}});
    log_.chunks = log_.finished = 0;
    ASSERT_OK(Upload(Source(0).get()));
    EXPECT_EQ(log_.chunks, chunks);
    EXPECT_EQ(log_.finished, 1);
    EXPECT_EQ(sink_->received(), static_cast<uint64_t>(chunks * kChunkBytes));
    if (chunks > 0) {
      EXPECT_EQ(std::memcmp(into_.data(), numbers_.data(), into_.bytes()), 0);
    }
  }
}

TEST_F(BulkTest, RefusesGarbageAndWrongUse) {
  const auto refused = [&](const std::vector<std::string>& messages,
                           const std::string& text) {
    ResetSink(v1::ENCODING_FLOAT32);
    const grpc::Status status = SendRaw(address_, messages);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << text;
    EXPECT_NE(status.error_message().find(text), std::string::npos)
        << status.error_message();
  };
  v1::Chunk first;
  *first.mutable_header() = header_;
  const std::string header_only = first.SerializeAsString();
  first.set_data(std::string(8, '\0'));
  first.set_checksum(Checksum(first.data()));
  const std::string with_header = first.SerializeAsString();
  first.clear_header();
  const std::string without_header = first.SerializeAsString();

  refused({}, "without a chunk");
  refused({"\xff\xff\xff garbage"}, "no Chunk");
  refused({with_header, "garbage"}, "no Chunk");
  refused({without_header}, "has a header");
  refused({header_only, header_only}, "only the first");
  refused({header_only, v1::Chunk().SerializeAsString()}, "");
  refused({with_header}, "ended at byte");
  first.set_data(std::string(kMaxChunkBytes + 8, '\0'));
  refused({first.SerializeAsString()}, "more than 4194304");
  first.set_data(std::string(kMaxChunkBytes + (1 << 20), '\0'));
  EXPECT_EQ(SendRaw(address_, {first.SerializeAsString()}).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(log_.open, 0);
}

TEST_F(BulkTest, GeneratedStubsSpeakIt) {
  auto stub = v1::Coordinator::NewStub(*Dial(address_, {}));
  std::string received;
  {
    grpc::ClientContext context;
    v1::DownloadRequest request;
    request.set_offset(numbers_.bytes() - 4000);
    auto reader = stub->Download(&context, request);
    v1::Chunk chunk;
    while (reader->Read(&chunk)) {
      EXPECT_EQ(chunk.checksum(), Checksum(chunk.data()));
      EXPECT_EQ(chunk.offset(), request.offset());
      received += chunk.data();
    }
    EXPECT_TRUE(reader->Finish().ok());
  }
  ASSERT_EQ(received.size(), 4000u);
  EXPECT_EQ(std::memcmp(received.data(),
                        numbers_.data() + numbers_.bytes() - 4000, 4000),
            0);
  {
    grpc::ClientContext context;
    v1::UploadReply reply;
    auto writer = stub->Upload(&context, &reply);
    auto source = Source(0);
    for (bool first = true; auto view = source->Next(); first = false) {
      v1::Chunk chunk;
      if (first) *chunk.mutable_header() = header_;
      chunk.set_payload(view->header.payload);
      chunk.set_offset(view->header.offset);
      chunk.set_checksum(view->header.checksum);
      chunk.set_data(std::string(view->data));
      ASSERT_TRUE(writer->Write(chunk));
    }
    writer->WritesDone();
    EXPECT_TRUE(writer->Finish().ok());
    EXPECT_EQ(reply.received(), static_cast<uint64_t>(numbers_.bytes()));
  }
  EXPECT_TRUE(Same());
}

}  // namespace
}  // namespace parley
