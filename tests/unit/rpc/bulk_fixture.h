// Transfers between a client and a server with a coordinator played by hand.
#ifndef PARLEY_TESTS_UNIT_RPC_BULK_FIXTURE_H_
#define PARLEY_TESTS_UNIT_RPC_BULK_FIXTURE_H_

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/rpc/coordinator_client.h"
#include "common/base/random.h"
#include "common/wire/parameter_sink.h"
#include "common/wire/payload_source.h"
#include "server/rpc/server.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/rpc/fake_coordinator.h"

namespace parley {

inline constexpr int64_t kElements =
    12'500'003;  // 50 MB, no whole number of chunks

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
  bool whole() const override { return to_->whole(); }
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

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_RPC_BULK_FIXTURE_H_
