#include "tools/sim/in_process_peers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

namespace parley {

// A link between two peers. Shared by both handles and the events under way.
class PeerPipe : public std::enable_shared_from_this<PeerPipe> {
 public:
  PeerPipe(PeerNetwork* network, int dialler, int acceptor,
           PeerLinkListener* listener)
      : network_(network),
        latency_(network->options_.latency
                     ? network->options_.latency(dialler, acceptor)
                     : absl::Microseconds(100)),
        ends_{{.peer = dialler, .listener = listener}, {.peer = acceptor}} {}

  void Open();

  void Send(int end, const v1::PeerMessage& message) {
    After([end, message](PeerPipe& p) {
      if (p.broken_) return;
      PeerFaults* const faults = p.network_->options_.faults;
      const int from = p.ends_[end].peer, to = p.ends_[1 - end].peer;
      if (faults != nullptr && faults->BreaksAt(from, to, message)) {
        return p.Break(absl::UnavailableError("the connection broke"));
      }
      if (p.ends_[1 - end].listener != nullptr) {
        p.ends_[1 - end].listener->OnMessage(message);
      }
    });
  }

  void SendPayload(int end, const v1::PeerMessage& begin,
                   std::shared_ptr<ChunkSource> source) {
    Send(end, begin);
    After(
        [end, begin = begin.begin(), source = std::move(source)](PeerPipe& p) {
          if (!p.broken_) p.Move(end, begin, *source);
        });
  }

  void Receive(int end, std::shared_ptr<PayloadSink> sink) {
    ends_[end].sink = std::move(sink);
  }
  uint64_t chunks() const { return chunks_; }

  // One handle is gone: no further call of its listener.
  void Gone(int end) {
    ends_[end].listener = nullptr;
    ends_[end].sink = nullptr;
    After([end](PeerPipe& p) {
      p.Close(1 - end, absl::CancelledError("the other end hung up"));
      p.broken_ = true;
    });
  }

  void Break(const absl::Status& status) {
    broken_ = true;
    Close(0, status);
    Close(1, status);
  }

 private:
  struct End {
    int peer;
    PeerLinkListener* listener = nullptr;
    std::shared_ptr<PayloadSink> sink = nullptr;
  };

  template <typename F>
  void After(F f) {
    World* const world = network_->options_.world;
    world->RunAt(world->Now() + latency_,
                 [self = shared_from_this(), f = std::move(f)] { f(*self); });
  }

  void Close(int end, const absl::Status& status) {
    ends_[end].sink = nullptr;
    if (PeerLinkListener* l = std::exchange(ends_[end].listener, nullptr)) {
      l->OnClosed(status);
    }
  }

  void Move(int end, const v1::PeerBegin& begin, ChunkSource& source) {
    End& to = ends_[1 - end];
    PeerFaults* const faults = network_->options_.faults;
    const auto break_after =
        faults == nullptr
            ? std::nullopt
            : faults->BreaksPayloadAfter(ends_[end].peer, to.peer, begin);
    const std::shared_ptr<PayloadSink> sink = std::exchange(to.sink, nullptr);
    absl::Status status =
        sink == nullptr
            ? absl::FailedPreconditionError("no payload is expected")
            : absl::OkStatus();
    if (sink != nullptr) sink->Begin(begin);
    int64_t moved = 0;
    while (const auto chunk = source.Next()) {
      if (break_after && moved >= *break_after) break;
      ++moved;
      ++chunks_;
      const absl::string_view pieces[] = {chunk->data};
      if (status.ok()) status = sink->Write(chunk->header, pieces);
    }
    if (break_after) {
      return Break(absl::UnavailableError("the connection broke"));
    }
    if (to.listener != nullptr) {
      to.listener->OnPayload(status.ok() ? sink->Finish() : status);
    }
    v1::PeerMessage message;
    message.mutable_end();
    if (to.listener != nullptr) to.listener->OnMessage(std::move(message));
  }

  PeerNetwork* const network_;
  const absl::Duration latency_;
  End ends_[2];  // who dialled, who was dialled
  bool broken_ = false;
  uint64_t chunks_ = 0;
};

namespace {

class InProcessLink final : public PeerLink {
 public:
  InProcessLink(std::shared_ptr<PeerPipe> pipe, int end)
      : pipe_(std::move(pipe)), end_(end) {}
  ~InProcessLink() override { pipe_->Gone(end_); }

  void Send(const v1::PeerMessage& message) override {
    pipe_->Send(end_, message);
  }
  void SendPayload(const v1::PeerMessage& begin,
                   std::shared_ptr<ChunkSource> source) override {
    pipe_->SendPayload(end_, begin, std::move(source));
  }
  void ReceivePayload(std::shared_ptr<PayloadSink> sink) override {
    pipe_->Receive(end_, std::move(sink));
  }
  uint64_t chunks() const override { return pipe_->chunks(); }

 private:
  const std::shared_ptr<PeerPipe> pipe_;  // shared: see PeerPipe
  const int end_;
};

}  // namespace

void PeerPipe::Open() {
  After([](PeerPipe& p) {
    if (p.broken_ || p.ends_[0].listener == nullptr) return;
    const int dialler = p.ends_[0].peer, peer = p.ends_[1].peer;
    PeerAcceptor* const acceptor = p.network_->acceptors_[peer];
    if (acceptor == nullptr || p.network_->cut_[peer] ||
        p.network_->cut_[dialler]) {
      return p.Break(absl::UnavailableError("nobody listens there"));
    }
    for (const int end : {dialler, peer}) {
      auto& pipes = p.network_->pipes_[end];
      std::erase_if(pipes, [](const auto& pipe) { return pipe.expired(); });
      pipes.push_back(p.weak_from_this());
    }
    p.ends_[1].listener = acceptor->Accept(
        {.address = absl::StrCat(dialler), .certificate_name = ""},
        std::make_unique<InProcessLink>(p.shared_from_this(), 1));
  });
}

class PeerNetwork::Transport final : public PeerTransport {
 public:
  Transport(PeerNetwork* network, int self) : network_(network), self_(self) {}
  std::unique_ptr<PeerLink> Dial(const std::string& address,
                                 PeerLinkListener* listener) override {
    int peer = 0;
    if (!absl::SimpleAtoi(address, &peer)) peer = self_;
    auto pipe = std::make_shared<PeerPipe>(network_, self_, peer, listener);
    pipe->Open();
    return std::make_unique<InProcessLink>(std::move(pipe), 0);
  }

 private:
  PeerNetwork* const network_;
  const int self_;
};

PeerNetwork::PeerNetwork(Options options)
    : options_(options),
      acceptors_(options.peers, nullptr),
      cut_(options.peers, false),
      pipes_(options.peers) {
  for (int i = 0; i < options.peers; ++i) {
    transports_.push_back(std::make_unique<Transport>(this, i));
  }
}
PeerNetwork::~PeerNetwork() = default;

PeerTransport* PeerNetwork::TransportOf(int peer) {
  return transports_[peer].get();
}
void PeerNetwork::Listen(int peer, PeerAcceptor* acceptor) {
  acceptors_[peer] = acceptor;
}

void PeerNetwork::CutOff(int peer, bool cut) {
  cut_[peer] = cut;
  if (!cut) return;
  for (const std::weak_ptr<PeerPipe>& weak : std::exchange(pipes_[peer], {})) {
    if (const std::shared_ptr<PeerPipe> pipe = weak.lock()) {
      pipe->Break(absl::UnavailableError("the connection broke"));
    }
  }
}

}  // namespace parley
