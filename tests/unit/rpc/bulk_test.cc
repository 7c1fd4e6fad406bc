// Downloads and uploads from end to end.
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/rpc/coordinator_client.h"
#include "common/base/random.h"
#include "common/wire/checksum.h"
#include "common/wire/parameter_sink.h"
#include "common/wire/payload_source.h"
#include "common/wire/protocol.h"
#include "parley/v1/coordinator.grpc.pb.h"
#include "server/rpc/server.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/rpc/fake_coordinator.h"

namespace parley {
namespace {

using absl::StatusCode;

constexpr int64_t kElements = 12'500'003;  // 50 MB, no whole number of chunks

// Passes on to another sink, which outlives it, and counts what happens.
struct SinkLog {
  std::atomic<int> open{0}, finished{0}, chunks{0};
};
class LoggedSink final : public ChunkSink {
 public:
  LoggedSink(ChunkSink* to, SinkLog* log) : to_(to), log_(log) { ++log->open; }
  ~LoggedSink() override { --log_->open; }
  absl::Status Write(const ChunkHeader& header,
                     absl::Span<const absl::string_view> pieces) override {
    ++log_->chunks;
    return to_->Write(header, pieces);
  }
  absl::StatusOr<uint64_t> Finish() override {
    ++log_->finished;
    return to_->Finish();
  }

 private:
  ChunkSink* const to_;
  SinkLog* const log_;
};

// Calls `before` ahead of each chunk.
class HookedSource final : public ChunkSource {
 public:
  HookedSource(ChunkSource* from, std::function<void()> before)
      : from_(from), before_(std::move(before)) {}
  std::optional<ChunkView> Next() override {
    before_();
    return from_->Next();
  }

 private:
  ChunkSource* const from_;
  const std::function<void()> before_;
};

class FailingSink final : public ChunkSink {
 public:
  FailingSink(int at, absl::Status status) : left_(at), status_(status) {}
  absl::Status Write(const ChunkHeader&,
                     absl::Span<const absl::string_view>) override {
    return left_-- > 0 ? absl::OkStatus() : status_;
  }
  absl::StatusOr<uint64_t> Finish() override { return status_; }

 private:
  int left_;
  const absl::Status status_;
};

class BulkTest : public testing::Test {
 protected:
  BulkTest() : numbers_(DType::kFloat32, kElements) {
    Rng rng(1, "bulk");
    for (float& x : numbers_.As<float>()) x = static_cast<float>(rng.Uniform());
    payloads_ = {
        {DType::kFloat32, v1::ENCODING_FLOAT32, kElements, numbers_.data()}};
    coordinator_.echo = true;
    coordinator_.make_source = [this](const v1::DownloadRequest& request)
        -> absl::StatusOr<std::unique_ptr<ChunkSource>> {
      return PayloadSource::Create(payloads_, request.offset());
    };
    coordinator_.make_sink = [this](const v1::TransferHeader& header)
        -> absl::StatusOr<std::unique_ptr<ChunkSink>> {
      if (header.token() != "token") {
        return absl::PermissionDeniedError("wrong token");
      }
      return std::make_unique<LoggedSink>(sink_.get(), &log_);
    };
    header_.set_token("token");
    header_.mutable_task()->set_round(3);
    ResetSink(v1::ENCODING_FLOAT32);
    server_ = *RpcServer::Start({}, &coordinator_, &coordinator_);
    address_ = absl::StrCat("127.0.0.1:", server_->port());
    session_ = client_.OpenSession(address_, &listener_);
  }

  void ResetSink(v1::Encoding encoding) {
    into_ = ParameterVector(DType::kFloat32, kElements);
    sink_ = std::make_unique<ParameterSink>(
        std::vector<PayloadTarget>{{encoding, &into_}});
  }
  bool Same() const {
    return std::memcmp(numbers_.data(), into_.data(), numbers_.bytes()) == 0;
  }
  absl::Status Download(uint64_t offset, ChunkSink* sink) {
    v1::DownloadRequest request;
    request.set_offset(offset);
    DoneStatus done;
    auto transfer = client_.Download(request, sink, done.callback());
    return done.Await();
  }
  absl::Status Upload(ChunkSource* source) {
    DoneStatus done;
    auto transfer = client_.Upload(header_, source, done.callback());
    return done.Await();
  }
  std::unique_ptr<PayloadSource> Source(uint64_t offset) {
    return *PayloadSource::Create(payloads_, offset);
  }
  // What the server says to hand-made bytes on Upload.
  grpc::Status SendRaw(const std::vector<std::string>& messages) {
    grpc::GenericStub stub(*Dial(address_, {}));
    class Reactor final
        : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
     public:
      Reactor(grpc::GenericStub* stub, const std::vector<std::string>& messages)
          : messages_(messages) {
        stub->PrepareBidiStreamingCall(
            &context_, "/parley.v1.Coordinator/Upload", {}, this);
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

  ParameterVector numbers_;
  std::vector<PayloadView> payloads_;
  v1::TransferHeader header_;
  ParameterVector into_;
  std::unique_ptr<ParameterSink> sink_;
  SinkLog log_;
  FakeCoordinator coordinator_;
  std::unique_ptr<RpcServer> server_;
  std::string address_;
  RecordingListener listener_;
  CoordinatorClient client_{DialOptions()};
  std::unique_ptr<ClientSession> session_;
};

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

TEST_F(BulkTest, CancelledUploadLeavesNoEndAndIsResumed) {
  for (int round = 0; round < 20; ++round) {
    ResetSink(v1::ENCODING_FLOAT32);
    log_.finished = log_.chunks = 0;
    {
      Mutex mu;
      CondVar some_sent;
      int sent = 0;
      auto from = Source(0);
      HookedSource source(from.get(), [&] {
        MutexLock lock(mu);
        ++sent;
        some_sent.SignalAll();
      });
      DoneStatus done;
      auto transfer = client_.Upload(header_, &source, done.callback());
      {
        MutexLock lock(mu);
        while (sent < 5 + round) some_sent.Wait(mu);
      }
      transfer.reset();
      EXPECT_THAT(done.Await(), StatusIs(StatusCode::kCancelled, ""));
    }
    // The server drops the sink without calling Finish.
    while (log_.open > 0) std::this_thread::yield();
    ASSERT_EQ(log_.finished, 0);
    ASSERT_LT(sink_->received(), static_cast<uint64_t>(numbers_.bytes()));
    if (round % 5 != 0) continue;
    ASSERT_OK(Upload(Source(sink_->received()).get()));
    EXPECT_EQ(log_.finished, 1);
    EXPECT_TRUE(Same());
  }
}

TEST_F(BulkTest, CancelledDownloadFreesTheSource) {
  std::atomic<int> sources{0};
  class Counted final : public ChunkSource {
   public:
    Counted(std::unique_ptr<ChunkSource> from, std::atomic<int>* count)
        : from_(std::move(from)), count_(count) {
      ++*count;
    }
    ~Counted() override { --*count_; }
    std::optional<ChunkView> Next() override { return from_->Next(); }

   private:
    const std::unique_ptr<ChunkSource> from_;
    std::atomic<int>* const count_;
  };
  coordinator_.make_source = [&](const v1::DownloadRequest&) {
    return std::make_unique<Counted>(Source(0), &sources);
  };
  for (int round = 0; round < 20; ++round) {
    FailingSink sink(round, absl::AbortedError("enough"));
    EXPECT_THAT(Download(0, &sink), StatusIs(StatusCode::kAborted, "enough"));
  }
  while (sources > 0) std::this_thread::yield();
}

TEST_F(BulkTest, ASilentUploadIsBrokenOffWithAReason) {
  const auto stub = v1::Coordinator::NewStub(*Dial(address_, {}));
  for (int round = 0; round < 10; ++round) {  // at any moment
    ResetSink(v1::ENCODING_FLOAT32);
    log_.chunks = 0;
    grpc::ClientContext context;
    v1::UploadReply reply;
    const auto writer = stub->Upload(&context, &reply);
    v1::Chunk chunk;
    *chunk.mutable_header() = header_;
    chunk.set_data("12345678");
    chunk.set_checksum(Checksum(absl::string_view(chunk.data())));
    ASSERT_TRUE(writer->Write(chunk));
    while (log_.chunks == 0) std::this_thread::yield();
    coordinator_.BreakTransfersOff(absl::DeadlineExceededError("silent"));
    const grpc::Status status = writer->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
    EXPECT_EQ(status.error_message(), "silent");
    while (log_.open > 0) std::this_thread::yield();
  }
  EXPECT_EQ(log_.finished, 0);
}

TEST_F(BulkTest, ADownloadThatIsNotReadIsBrokenOff) {
  std::atomic<int> open{0}, given{0};
  class Counted final : public ChunkSource {
   public:
    Counted(std::unique_ptr<ChunkSource> from, std::atomic<int>* open,
            std::atomic<int>* given)
        : from_(std::move(from)), open_(open), given_(given) {
      ++*open;
    }
    ~Counted() override { --*open_; }
    std::optional<ChunkView> Next() override {
      ++*given_;
      return from_->Next();
    }

   private:
    const std::unique_ptr<ChunkSource> from_;
    std::atomic<int>* const open_;
    std::atomic<int>* const given_;
  };
  coordinator_.make_source = [&](const v1::DownloadRequest&) {
    return std::make_unique<Counted>(Source(0), &open, &given);
  };
  const auto stub = v1::Coordinator::NewStub(*Dial(address_, {}));
  grpc::ClientContext context;
  const auto reader = stub->Download(&context, v1::DownloadRequest());
  while (given == 0) std::this_thread::yield();
  coordinator_.BreakTransfersOff(absl::DeadlineExceededError("not read"));
  while (open > 0) std::this_thread::yield();
  v1::Chunk chunk;
  while (reader->Read(&chunk)) {
  }
  EXPECT_FALSE(reader->Finish().ok());
}

TEST_F(BulkTest, SinkErrorReachesTheClientWithItsMessage) {
  for (int at = 0; at < 40; ++at) {
    coordinator_.make_sink = [at](const v1::TransferHeader&) {
      return std::make_unique<FailingSink>(
          at, absl::InvalidArgumentError(absl::StrCat("refused after ", at)));
    };
    EXPECT_THAT(Upload(Source(0).get()),
                StatusIs(StatusCode::kInvalidArgument,
                         absl::StrCat("refused after ", at)));
  }
}

TEST_F(BulkTest, RefusedUploadSaysWhy) {
  header_.set_token("guess");
  EXPECT_THAT(Upload(Source(0).get()),
              StatusIs(StatusCode::kPermissionDenied, "wrong token"));
}

TEST_F(BulkTest, CancelWhileWaitingForThePermit) {
  coordinator_.hold_answers = true;
  v1::DownloadRequest request;
  DoneStatus download_done, upload_done;
  auto download =
      client_.Download(request, sink_.get(), download_done.callback());
  coordinator_.AwaitHeld();
  download.reset();
  EXPECT_THAT(download_done.Await(), StatusIs(StatusCode::kCancelled, ""));
  coordinator_.ReleaseAnswers();

  auto source = Source(0);
  auto upload = client_.Upload(header_, source.get(), upload_done.callback());
  coordinator_.AwaitHeld();
  upload.reset();
  EXPECT_THAT(upload_done.Await(), StatusIs(StatusCode::kCancelled, ""));
  coordinator_.ReleaseAnswers();
  while (log_.open > 0) std::this_thread::yield();
  EXPECT_EQ(log_.finished, 0);
}

TEST_F(BulkTest, LateAnswerAfterTheServerIsGone) {
  coordinator_.hold_answers = true;
  DoneStatus done;
  auto source = Source(0);
  auto upload = client_.Upload(header_, source.get(), done.callback());
  coordinator_.AwaitHeld();
  server_.reset();
  EXPECT_FALSE(done.Await().ok());
  coordinator_.ReleaseAnswers();
  EXPECT_EQ(log_.open, 0);
}

TEST_F(BulkTest, ServerShutdownBreaksTransfersOff) {
  DoneStatus done;
  auto from = Source(0);
  int sent = 0;
  std::thread stopper;
  HookedSource source(from.get(), [&] {
    if (++sent == 5) {
      stopper =
          std::thread([this] { server_->Shutdown(absl::ZeroDuration()); });
    }
  });
  auto upload = client_.Upload(header_, &source, done.callback());
  const absl::Status status = done.Await();
  if (status.ok()) {
    EXPECT_TRUE(Same());
  } else {
    EXPECT_EQ(log_.finished, 0);
  }
  upload.reset();  // from here on the source is called no more
  ASSERT_TRUE(stopper.joinable());
  stopper.join();
  while (log_.open > 0) std::this_thread::yield();
}

TEST_F(BulkTest, RefusesGarbageAndWrongUse) {
  const auto refused = [&](const std::vector<std::string>& messages,
                           const std::string& text) {
    ResetSink(v1::ENCODING_FLOAT32);
    const grpc::Status status = SendRaw(messages);
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
  EXPECT_EQ(SendRaw({first.SerializeAsString()}).error_code(),
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
