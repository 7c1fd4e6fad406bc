#include "client/rpc/peer_service.h"

#include <grpcpp/support/server_callback.h>

#include <optional>
#include <utility>

#include "client/rpc/peer_stream.h"
#include "common/base/status_macros.h"
#include "common/rpc/call_end.h"
#include "common/rpc/credentials.h"
#include "common/rpc/status.h"

namespace parley {
namespace {

using ExchangeReactor =
    grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

// A stream that another peer opened, and is unknown until its hello. Lives
// until OnDone, and as long as its link.
class AcceptedStream final : public PeerStream, private ExchangeReactor {
 public:
  AcceptedStream(grpc::CallbackServerContext* context, PeerAcceptor* acceptor,
                 absl::Duration hello_timeout, std::atomic<int>* strangers,
                 LiveCalls* calls)
      : PeerStream(nullptr, hello_timeout),
        call_end_(context),
        origin_{context->peer(), CertificateName(*context)},
        acceptor_(acceptor),
        strangers_(strangers),
        live_(calls) {}

  // To be returned to gRPC.
  ExchangeReactor* Start() {
    self_ = shared_from_this();
    ++*strangers_;
    Open();
    return this;
  }

 private:
  void Read(grpc::ByteBuffer* into) override {
    if (!finished_) StartRead(into);
  }
  void Write(const grpc::ByteBuffer* message) override { StartWrite(message); }
  void End(const absl::Status& status) override {
    finished_ = true;
    call_end_.Finish([this, status = ToGrpc(status)] { Finish(status); });
  }
  void Cancel() override { call_end_.Cancel(); }
  PeerLinkListener* Introduce() override {
    LeaveStrangers();
    return acceptor_->Accept(std::move(origin_),
                             std::make_unique<StreamLink>(shared_from_this()));
  }

  void OnReadDone(bool ok) override { OnRead(ok); }
  void OnWriteDone(bool ok) override { OnWritten(ok); }
  void OnDone() override {
    OnEnded(absl::OkStatus());
    LeaveStrangers();
    const std::shared_ptr<PeerStream> self = std::move(self_);
    live_.reset();
  }

  void LeaveStrangers() {
    if (std::exchange(stranger_, false)) --*strangers_;
  }

  CallEnd call_end_;
  PeerOrigin origin_;
  PeerAcceptor* const acceptor_;
  std::atomic<int>* const strangers_;
  bool stranger_ = true;
  std::atomic<bool> finished_{false};
  std::optional<LiveCalls::Ref> live_;  // until OnDone
  std::shared_ptr<PeerStream> self_;    // until OnDone
};

class RefusedStream final : public ExchangeReactor {
 public:
  explicit RefusedStream(const absl::Status& why) { Finish(ToGrpc(why)); }
  void OnDone() override { delete this; }
};

}  // namespace

ExchangeReactor* PeerService::Exchange(grpc::CallbackServerContext* context) {
  if (strangers_ >= kMaxStrangers) {
    return new RefusedStream(
        absl::ResourceExhaustedError("too many streams wait here for a hello"));
  }
  return std::make_shared<AcceptedStream>(context, acceptor_, hello_timeout_,
                                          &strangers_, &calls_)
      ->Start();
}

absl::StatusOr<std::unique_ptr<PeerServer>> PeerServer::Start(
    const GrpcServer::Options& options, PeerAcceptor* acceptor,
    absl::Duration hello_timeout) {
  std::unique_ptr<PeerServer> server(new PeerServer(acceptor, hello_timeout));
  PARLEY_ASSIGN_OR_RETURN(server->server_,
                          GrpcServer::Start(options, {&server->service_}));
  return server;
}

PeerServer::~PeerServer() {
  if (server_ != nullptr) server_->Shutdown(PeerStream::kHangUpTimeout);
}

}  // namespace parley
