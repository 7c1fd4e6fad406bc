#include "tools/sim/in_process_transport.h"

#include <utility>

#include "absl/types/span.h"

namespace parley {
namespace {

using Options = InProcessTransport::Options;

bool Breaks(const Options& options) {
  return options.faults != nullptr && options.faults->BreakSession();
}

// A stream between the two ends. Shared by the client's handle, the
// coordinator's sink and the messages under way.
class Stream : public std::enable_shared_from_this<Stream> {
 public:
  Stream(const Options& options, SessionListener* listener)
      : options_(options), listener_(listener) {}

  void Open() {
    After([](Stream& s) {
      if (s.listener_ == nullptr) return;
      if (s.options_.coordinator == nullptr) {
        return s.Break(absl::UnavailableError("the coordinator is down"));
      }
      s.id_ = s.options_.coordinator->OpenSession(
          {.address = s.options_.client, .certificate_name = ""},
          std::make_shared<Sink>(s.shared_from_this()));
    });
  }

  void ToServer(v1::ClientMessage message) {
    After([message = std::move(message)](Stream& s) mutable {
      if (s.id_ == 0) return;
      if (Breaks(s.options_)) {
        return s.Break(absl::UnavailableError("the connection broke"));
      }
      s.options_.coordinator->Receive(s.id_, std::move(message));
    });
  }

  void ToClient(v1::ServerMessage message) {
    After([message = std::move(message)](Stream& s) mutable {
      if (s.listener_ == nullptr) return;
      if (Breaks(s.options_)) {
        return s.Break(absl::UnavailableError("the connection broke"));
      }
      s.listener_->OnMessage(std::move(message));
    });
  }

  // The client's handle is gone: no further call of the listener.
  void ClientGone() {
    listener_ = nullptr;
    After([](Stream& s) { s.TellServer(absl::CancelledError("closed")); });
  }

  void ServerCloses(const absl::Status& status) {
    id_ = 0;
    After([status](Stream& s) { s.TellClient(status); });
  }

 private:
  class Sink final : public SessionSink {
   public:
    explicit Sink(std::shared_ptr<Stream> stream)
        : stream_(std::move(stream)) {}
    void Send(v1::ServerMessage message) override {
      stream_->ToClient(std::move(message));
    }
    void Close(const absl::Status& status) override {
      stream_->ServerCloses(status);
    }

   private:
    const std::shared_ptr<Stream> stream_;  // shared: messages under way
  };

  template <typename F>
  void After(F f) {
    World* world = options_.world;
    world->RunAt(
        world->Now() + options_.latency,
        [self = shared_from_this(), f = std::move(f)]() mutable { f(*self); });
  }

  void TellServer(const absl::Status& status) {
    if (const SessionId id = std::exchange(id_, 0); id != 0) {
      options_.coordinator->CloseSession(id, status);
    }
  }
  void TellClient(const absl::Status& status) {
    if (SessionListener* l = std::exchange(listener_, nullptr)) {
      l->OnClosed(status);
    }
  }
  void Break(const absl::Status& status) {
    TellServer(status);
    TellClient(status);
  }

  const Options options_;
  SessionListener* listener_;  // null once the client's end is gone
  SessionId id_ = 0;           // 0 before the server knows it and once it ended
};

class InProcessSession final : public ClientSession {
 public:
  explicit InProcessSession(std::shared_ptr<Stream> stream)
      : stream_(std::move(stream)) {}
  ~InProcessSession() override { stream_->ClientGone(); }
  void Send(v1::ClientMessage message) override {
    stream_->ToServer(std::move(message));
  }

 private:
  const std::shared_ptr<Stream> stream_;  // shared: messages under way
};

// One transfer's state; `done` is empty once it was called or is not wanted.
struct Pump {
  CoordinatorTransport::Done done;

  void End(absl::Status status) {
    if (done) std::move(std::exchange(done, nullptr))(std::move(status));
  }
};

class InProcessTransfer final : public Transfer {
 public:
  explicit InProcessTransfer(std::shared_ptr<Pump> pump)
      : pump_(std::move(pump)) {}
  ~InProcessTransfer() override { pump_->done = nullptr; }

 private:
  const std::shared_ptr<Pump> pump_;  // shared: with the events under way
};

absl::Status Move(ChunkSource& source, ChunkSink& sink,
                  std::optional<int64_t> break_after) {
  int64_t chunks = 0;
  while (const auto chunk = source.Next()) {
    if (break_after.has_value() && chunks++ >= *break_after) {
      return absl::UnavailableError("the connection broke");
    }
    const absl::string_view pieces[] = {chunk->data};
    if (absl::Status s = sink.Write(chunk->header, pieces); !s.ok()) return s;
  }
  return sink.Finish().status();
}

// Opens a transfer with the coordinator and, once it is `ready` with its end,
// moves all chunks at once. `open` calls the coordinator.
template <typename End, typename Open, typename MoveFn>
std::unique_ptr<Transfer> Start(const Options& options,
                                CoordinatorTransport::Done done, Open open,
                                MoveFn move) {
  auto pump = std::make_shared<Pump>(Pump{std::move(done)});
  World* world = options.world;
  const absl::Duration latency = options.latency;
  const auto finish = [world, latency, pump](absl::Status status) {
    world->RunAt(world->Now() + latency, [pump, status] { pump->End(status); });
  };
  world->RunAt(world->Now() + latency, [=, &options]() mutable {
    if (!pump->done) return;
    if (options.coordinator == nullptr) {
      return finish(absl::UnavailableError("the coordinator is down"));
    }
    open([pump, move, finish, &options](absl::StatusOr<End> end) {
      if (!pump->done) return;  // cancelled meanwhile
      if (!end.ok()) return finish(end.status());
      finish(move(**end, options.faults == nullptr
                             ? std::nullopt
                             : options.faults->BreakTransferAfter()));
    });
  });
  return std::make_unique<InProcessTransfer>(std::move(pump));
}

}  // namespace

InProcessTransport::InProcessTransport(Options options)
    : options_(std::move(options)) {}

InProcessTransport::~InProcessTransport() = default;

std::unique_ptr<ClientSession> InProcessTransport::OpenSession(
    const std::string& /*address*/, SessionListener* listener) {
  auto stream = std::make_shared<Stream>(options_, listener);
  stream->Open();
  return std::make_unique<InProcessSession>(std::move(stream));
}

std::unique_ptr<Transfer> InProcessTransport::Download(
    const v1::DownloadRequest& request, ChunkSink* sink, Done done) {
  return Start<std::unique_ptr<ChunkSource>>(
      options_, std::move(done),
      [this, request](Coordinator::DownloadReady ready) {
        options_.coordinator->OpenDownload(request, std::move(ready), nullptr);
      },
      [sink](ChunkSource& source, std::optional<int64_t> break_after) {
        return Move(source, *sink, break_after);
      });
}

std::unique_ptr<Transfer> InProcessTransport::Upload(
    const v1::TransferHeader& header, ChunkSource* source, Done done) {
  return Start<std::unique_ptr<ChunkSink>>(
      options_, std::move(done),
      [this, header](Coordinator::UploadReady ready) {
        options_.coordinator->OpenUpload(header, std::move(ready), nullptr);
      },
      [source](ChunkSink& sink, std::optional<int64_t> break_after) {
        return Move(*source, sink, break_after);
      });
}

}  // namespace parley
