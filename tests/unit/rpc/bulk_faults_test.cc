// Downloads and uploads that stall, fail, or are wanted no more.
#include <atomic>
#include <thread>

#include "common/wire/checksum.h"
#include "common/wire/protocol.h"
#include "parley/v1/coordinator.grpc.pb.h"
#include "tests/unit/rpc/bulk_fixture.h"

namespace parley {
namespace {

using absl::StatusCode;

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

}  // namespace
}  // namespace parley
