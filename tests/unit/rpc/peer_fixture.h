// Two peers with a link between them over loopback, and payloads made as they
// are asked for.
#ifndef PARLEY_TESTS_UNIT_RPC_PEER_FIXTURE_H_
#define PARLEY_TESTS_UNIT_RPC_PEER_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/gossip/peer_link.h"
#include "client/rpc/peer_service.h"
#include "client/rpc/peer_transport.h"
#include "common/base/mutex.h"
#include "common/base/random.h"
#include "common/wire/checksum.h"
#include "common/wire/protocol.h"
#include "tests/support/status_matchers.h"

namespace parley {

inline v1::PeerMessage Hello(const std::string& name) {
  v1::PeerMessage message;
  message.mutable_hello()->set_protocol_version(kProtocolVersion);
  message.mutable_hello()->set_name(name);
  return message;
}

inline v1::PeerMessage Begin(int64_t round) {
  v1::PeerMessage message;
  message.mutable_begin()->mutable_step()->set_round(round);
  return message;
}

inline v1::PeerMessage Ready(int64_t round) {
  v1::PeerMessage message;
  message.mutable_ready()->mutable_step()->set_round(round);
  return message;
}

// How many sources and sinks live.
inline std::atomic<int> payload_ends{0};

// `bytes` of noise that repeats itself, in chunks. Calls `before` ahead of
// each.
class NoiseSource final : public ChunkSource {
 public:
  NoiseSource(
      uint64_t bytes, bool stable = true,
      std::function<void(ChunkView*)> before = [](ChunkView*) {})
      : noise_(2 * kChunkBytes, 0),
        bytes_(bytes),
        stable_(stable),
        before_(std::move(before)) {
    ++payload_ends;
    Rng rng(1, "noise");
    for (size_t i = 0; i + 8 <= noise_.size(); i += 8) {
      const uint64_t bits = rng.Next();
      std::copy_n(reinterpret_cast<const char*>(&bits), 8, &noise_[i]);
    }
  }
  ~NoiseSource() override { --payload_ends; }

  std::optional<ChunkView> Next() override {
    if (at_ == bytes_) return std::nullopt;
    ChunkView chunk;
    chunk.data = absl::string_view(noise_).substr(
        at_ / kChunkBytes * 64 % kChunkBytes,
        std::min<uint64_t>(kChunkBytes, bytes_ - at_));
    chunk.header = {0, at_, Checksum(chunk.data)};
    chunk.stable = stable_;
    before_(&chunk);
    at_ += chunk.data.size();
    return chunk;
  }

 private:
  std::string noise_;
  const uint64_t bytes_;
  const bool stable_;
  const std::function<void(ChunkView*)> before_;
  uint64_t at_ = 0;
};

// Checks the chunks and keeps a checksum of them all.
class CheckingSink final : public PayloadSink {
 public:
  explicit CheckingSink(uint64_t bytes) : bytes_(bytes) { ++payload_ends; }
  ~CheckingSink() override { --payload_ends; }

  absl::Status Write(const ChunkHeader& header,
                     absl::Span<const absl::string_view> pieces) override {
    if (header.offset != at_) return absl::InvalidArgumentError("offset");
    if (header.checksum != Checksum(pieces)) {
      return absl::DataLossError("checksum");
    }
    for (absl::string_view piece : pieces) {
      at_ += piece.size();
      all_.Add(piece);
    }
    return absl::OkStatus();
  }
  absl::StatusOr<uint64_t> Finish() override {
    if (at_ != bytes_) return absl::InvalidArgumentError("bytes are missing");
    return at_;
  }
  uint64_t checksum() const { return all_.Value(); }

  static uint64_t Expected(uint64_t bytes) {
    NoiseSource source(bytes);
    ChecksumStream all;
    while (const auto chunk = source.Next()) all.Add(chunk->data);
    return all.Value();
  }

 private:
  const uint64_t bytes_;
  uint64_t at_ = 0;
  ChecksumStream all_;
};

// Keeps what a link says.
class RecordingPeer final : public PeerLinkListener {
 public:
  using Messages = std::vector<v1::PeerMessage>;

  void OnMessage(v1::PeerMessage message) override {
    const Call call(this);
    MutexLock lock(mu_);
    messages_.push_back(std::move(message));
    changed_.SignalAll();
  }
  void OnPayload(const absl::StatusOr<uint64_t>& bytes) override {
    const Call call(this);
    MutexLock lock(mu_);
    payloads_.push_back(bytes.status());
    changed_.SignalAll();
  }
  void OnClosed(const absl::Status& status) override {
    const Call call(this);
    MutexLock lock(mu_);
    EXPECT_FALSE(closed_) << "closed twice";
    closed_ = status;
    changed_.SignalAll();
  }

  // These wait up to 30 s.
  Messages AwaitMessages(size_t count) {
    MutexLock lock(mu_);
    Await([&]() REQUIRES(mu_) { return messages_.size() >= count; });
    return messages_;
  }
  // The `n`-th, from 0.
  absl::Status AwaitPayload(size_t n) {
    MutexLock lock(mu_);
    Await([&]() REQUIRES(mu_) { return payloads_.size() > n; });
    return payloads_.size() > n ? payloads_[n]
                                : absl::UnknownError("not there");
  }
  size_t payloads() {
    MutexLock lock(mu_);
    return payloads_.size();
  }
  absl::Status AwaitClosed() {
    MutexLock lock(mu_);
    Await([&]() REQUIRES(mu_) { return closed_.has_value(); });
    return closed_.value_or(absl::UnknownError("not closed"));
  }
  bool open() {
    MutexLock lock(mu_);
    return !closed_;
  }

 private:
  // Notices calls at the same time.
  class Call {
   public:
    explicit Call(RecordingPeer* peer) : peer_(peer) {
      EXPECT_EQ(peer_->calls_++, 0);
    }
    ~Call() { --peer_->calls_; }

   private:
    RecordingPeer* const peer_;
  };

  template <typename F>
  void Await(F condition) REQUIRES(mu_) {
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition()) {
      if (!changed_.WaitUntil(mu_, deadline)) {
        ADD_FAILURE() << "waited in vain";
        return;
      }
    }
  }

  std::atomic<int> calls_{0};
  Mutex mu_;
  CondVar changed_;
  Messages messages_ GUARDED_BY(mu_);
  std::vector<absl::Status> payloads_ GUARDED_BY(mu_);
  std::optional<absl::Status> closed_ GUARDED_BY(mu_);
};

// A link and who hears from it.
struct Peer {
  std::unique_ptr<RecordingPeer> hears = std::make_unique<RecordingPeer>();
  PeerOrigin origin = {};
  std::unique_ptr<PeerLink> link = nullptr;
};

// Takes links, or answers them with Goodbye.
class RecordingAcceptor final : public PeerAcceptor {
 public:
  PeerLinkListener* Accept(PeerOrigin origin,
                           std::unique_ptr<PeerLink> link) override {
    MutexLock lock(mu_);
    if (refuses_) {
      v1::PeerMessage goodbye;
      goodbye.mutable_goodbye()->set_reason("not you");
      link->Send(goodbye);
      return nullptr;
    }
    Peer peer;
    peer.origin = std::move(origin);
    peer.link = std::move(link);
    RecordingPeer* const hears = peer.hears.get();
    peers_.push_back(std::move(peer));
    changed_.SignalAll();
    return hears;
  }
  void Refuse() {
    MutexLock lock(mu_);
    refuses_ = true;
  }
  // Waits for the next link.
  Peer Take() {
    MutexLock lock(mu_);
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (peers_.empty()) {
      if (!changed_.WaitUntil(mu_, deadline)) {
        ADD_FAILURE() << "no link came";
        return Peer();
      }
    }
    Peer peer = std::move(peers_.front());
    peers_.erase(peers_.begin());
    return peer;
  }
  size_t waiting() {
    MutexLock lock(mu_);
    return peers_.size();
  }

 private:
  Mutex mu_;
  CondVar changed_;
  std::vector<Peer> peers_ GUARDED_BY(mu_);
  bool refuses_ GUARDED_BY(mu_) = false;
};

class PeerTest : public testing::Test {
 protected:
  void SetUp() override { StartServer({}); }
  // No source and no sink is left behind.
  void TearDown() override {
    server_.reset();
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (payload_ends > 0 && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    EXPECT_EQ(payload_ends, 0);
  }

  void StartServer(const GrpcServer::Options& options,
                   absl::Duration hello_timeout = PeerStream::kHelloTimeout) {
    server_.reset();
    auto server = PeerServer::Start(options, &acceptor_, hello_timeout);
    ASSERT_OK(server);
    server_ = *std::move(server);
    address_ = absl::StrCat("127.0.0.1:", server_->port());
  }
  Peer Dial() {
    Peer peer;
    peer.link = transport_.Dial(address_, peer.hears.get());
    return peer;
  }
  // Dials, and has both ends say hello.
  std::pair<Peer, Peer> Connect() {
    std::pair<Peer, Peer> peers;
    peers.first = Dial();
    peers.first.link->Send(Hello("dialled"));
    peers.second = acceptor_.Take();
    peers.second.link->Send(Hello("accepted"));
    peers.first.hears->AwaitMessages(1);
    peers.second.hears->AwaitMessages(1);
    return peers;
  }

  RecordingAcceptor acceptor_;
  std::unique_ptr<PeerServer> server_;
  std::string address_;
  GrpcPeerTransport transport_{DialOptions()};
};

}  // namespace parley

#endif  // PARLEY_TESTS_UNIT_RPC_PEER_FIXTURE_H_
