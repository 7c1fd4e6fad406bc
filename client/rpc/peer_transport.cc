#include "client/rpc/peer_transport.h"

#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/client_callback.h>

#include "client/rpc/failed_dial.h"
#include "client/rpc/peer_stream.h"
#include "common/base/mutex.h"
#include "common/rpc/status.h"

namespace parley {
namespace {

constexpr char kExchange[] = "/parley.v1.Peer/Exchange";

// The end that dialled. Lives until OnDone, and as long as its link.
class DialledStream final
    : public PeerStream,
      private grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  DialledStream(std::shared_ptr<grpc::Channel> channel,
                PeerLinkListener* listener, LiveCalls* calls,
                GrpcPeerTransport::ChannelsOver* over)
      : PeerStream(listener, kHelloTimeout),
        live_(calls),
        over_(over),
        channel_(std::move(channel)),
        stub_(channel_) {}

  void Start() {
    self_ = shared_from_this();
    stub_.PrepareBidiStreamingCall(&context_, kExchange, {}, this);
    AddHold();  // as writes do not come from reactions alone
    Open();
    StartCall();
  }

 private:
  void Read(grpc::ByteBuffer* into) override { StartRead(into); }
  void Write(const grpc::ByteBuffer* message) override { StartWrite(message); }
  void End(const absl::Status&) override {
    StartWritesDone();
    RemoveHold();
  }
  void Cancel() override { context_.TryCancel(); }
  PeerLinkListener* Introduce() override { return nullptr; }

  void OnReadDone(bool ok) override { OnRead(ok); }
  void OnWriteDone(bool ok) override { OnWritten(ok); }
  void OnDone(const grpc::Status& status) override {
    OnEnded(FromGrpc(status));
    over_->Add(channel_);
    const std::shared_ptr<PeerStream> self = std::move(self_);
  }

  const LiveCalls::Ref live_;  // first: goes last
  GrpcPeerTransport::ChannelsOver* const over_;
  const std::shared_ptr<grpc::Channel> channel_;
  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  std::shared_ptr<PeerStream> self_;  // until OnDone
};

// In place of a link that could not be dialled: tells why.
class FailedLink final : public PeerLink {
 public:
  FailedLink(absl::Status why, PeerLinkListener* listener)
      : failed_([why = std::move(why), listener] { listener->OnClosed(why); }) {
  }

  void Send(const v1::PeerMessage&) override {}
  void SendPayload(const v1::PeerMessage&,
                   std::shared_ptr<ChunkSource>) override {}
  void ReceivePayload(std::shared_ptr<PayloadSink>) override {}
  uint64_t chunks() const override { return 0; }

 private:
  FailedDial failed_;
};

}  // namespace

void GrpcPeerTransport::ChannelsOver::Add(
    std::shared_ptr<grpc::Channel> channel) {
  MutexLock lock(mu_);
  channels_.push_back(std::move(channel));
}

void GrpcPeerTransport::ChannelsOver::Clear() {
  std::vector<std::shared_ptr<grpc::Channel>> channels;  // outlives the lock
  MutexLock lock(mu_);
  channels.swap(channels_);
}

std::unique_ptr<PeerLink> GrpcPeerTransport::Dial(const std::string& address,
                                                  PeerLinkListener* listener) {
  absl::StatusOr<std::shared_ptr<grpc::Channel>> channel =
      parley::Dial(address, options_);
  if (!channel.ok()) {
    return std::make_unique<FailedLink>(channel.status(), listener);
  }
  const auto stream = std::make_shared<DialledStream>(
      *std::move(channel), listener, &calls_, &over_);
  stream->Start();
  over_.Clear();  // now that another channel keeps the threads
  return std::make_unique<StreamLink>(stream);
}

}  // namespace parley
