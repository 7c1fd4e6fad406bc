#include "server/host/hosted_run.h"

namespace parley {
namespace {

class HeldSource final : public ChunkSource {
 public:
  HeldSource(std::unique_ptr<ChunkSource> source, DriverRef ref)
      : ref_(std::move(ref)), source_(std::move(source)) {}
  std::optional<ChunkView> Next() override { return source_->Next(); }

 private:
  const DriverRef ref_;  // goes last
  const std::unique_ptr<ChunkSource> source_;
};

class HeldSink final : public ChunkSink {
 public:
  HeldSink(std::unique_ptr<ChunkSink> sink, DriverRef ref)
      : ref_(std::move(ref)), sink_(std::move(sink)) {}
  absl::Status Write(const ChunkHeader& header,
                     absl::Span<const absl::string_view> pieces) override {
    return sink_->Write(header, pieces);
  }
  bool whole() const override { return sink_->whole(); }
  absl::StatusOr<uint64_t> Finish() override { return sink_->Finish(); }

 private:
  const DriverRef ref_;  // goes last
  const std::unique_ptr<ChunkSink> sink_;
};

}  // namespace

void HostedSink::Send(v1::ServerMessage message) {
  if (!more_runs_ || !(message.has_registered() || message.has_goodbye())) {
    return guest_.sink->Send(std::move(message));
  }
  if (message.has_goodbye() && !registered_ && !run_->takes_clients) {
    comes_back_ = true;
    return;
  }
  if (message.has_registered()) {
    registered_ = true;
    message.mutable_registered()->set_more_runs(true);
  } else {
    message.mutable_goodbye()->set_more_runs(true);
  }
  guest_.sink->Send(std::move(message));
}

void HostedSink::SendAhead(v1::ServerMessage message) {
  // What Send may change, or keep to itself, is not to be waited for.
  if (message.has_registered() || message.has_goodbye()) {
    return Send(std::move(message));
  }
  guest_.sink->SendAhead(std::move(message));
}

void HostedSink::Close(const absl::Status& status) {
  on_close_(comes_back_ ? &guest_ : nullptr);
  if (!comes_back_) guest_.sink->Close(status);
}

std::unique_ptr<ChunkSource> Hold(std::unique_ptr<ChunkSource> source,
                                  DriverRef ref) {
  return std::make_unique<HeldSource>(std::move(source), std::move(ref));
}

std::unique_ptr<ChunkSink> Hold(std::unique_ptr<ChunkSink> sink,
                                DriverRef ref) {
  return std::make_unique<HeldSink>(std::move(sink), std::move(ref));
}

}  // namespace parley
