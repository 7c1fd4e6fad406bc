// Links between peers of which one does not behave, or dies.
#include <grpcpp/generic/generic_stub.h>

#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "parley/v1/peer.grpc.pb.h"
#include "tests/unit/rpc/peer_fixture.h"

namespace parley {
namespace {

using absl::StatusCode;

TEST_F(PeerTest, ACorruptChunkCostsOnePayloadOfOneLink) {
  auto [a, b] = Connect();
  auto [c, d] = Connect();
  const auto corrupt = [](ChunkView* chunk) {
    if (chunk->header.offset == 4 << 20) ++chunk->header.checksum;
  };
  for (const Peer* peer : {&b, &d}) {
    peer->link->ReceivePayload(std::make_shared<CheckingSink>(10 << 20));
  }
  a.link->SendPayload(Begin(1),
                      std::make_shared<NoiseSource>(10 << 20, true, corrupt));
  c.link->SendPayload(Begin(1), std::make_shared<NoiseSource>(10 << 20));
  EXPECT_THAT(b.hears->AwaitPayload(0),
              StatusIs(StatusCode::kDataLoss, "checksum"));
  EXPECT_OK(d.hears->AwaitPayload(0));
  // Told once, and the link goes on.
  b.hears->AwaitMessages(3);  // the End is past
  b.link->ReceivePayload(std::make_shared<CheckingSink>(10 << 20));
  a.link->SendPayload(Begin(2), std::make_shared<NoiseSource>(10 << 20));
  EXPECT_OK(b.hears->AwaitPayload(1));
  EXPECT_EQ(b.hears->payloads(), 2);
  for (const Peer* peer : {&a, &b, &c, &d}) EXPECT_TRUE(peer->hears->open());
}

TEST_F(PeerTest, APayloadThatNobodyWaitsFor) {
  auto [a, b] = Connect();
  a.link->SendPayload(Begin(1), std::make_shared<NoiseSource>(5 << 20));
  EXPECT_THAT(b.hears->AwaitPayload(0),
              StatusIs(StatusCode::kFailedPrecondition, "nobody waits"));
  b.hears->AwaitMessages(3);
  EXPECT_EQ(b.hears->payloads(), 1);
}

TEST_F(PeerTest, AReplacedSinkHearsNoMore) {
  auto [a, b] = Connect();
  auto next = std::make_shared<CheckingSink>(5 << 20);
  // Once the other end has seen some of it, as chunks follow without a pause.
  const auto replace = [&, link = b.link.get()](ChunkView* chunk) {
    if (chunk->header.offset != 40 << 20) return;
    b.hears->AwaitMessages(2);
    link->ReceivePayload(next);
  };
  b.link->ReceivePayload(std::make_shared<CheckingSink>(50 << 20));
  a.link->SendPayload(Begin(1),
                      std::make_shared<NoiseSource>(50 << 20, true, replace));
  a.link->SendPayload(Begin(2), std::make_shared<NoiseSource>(5 << 20));
  EXPECT_OK(b.hears->AwaitPayload(0));
  EXPECT_EQ(next->checksum(), CheckingSink::Expected(5 << 20));
  EXPECT_EQ(b.hears->payloads(), 1);
}

TEST_F(PeerTest, ARefusedPeerHearsWhy) {
  acceptor_.Refuse();
  const Peer a = Dial();
  a.link->Send(Hello("a"));
  EXPECT_EQ(a.hears->AwaitMessages(1)[0].goodbye().reason(), "not you");
  EXPECT_THAT(a.hears->AwaitClosed(),
              StatusIs(StatusCode::kUnavailable, "hung up"));
}

TEST_F(PeerTest, NobodyThere) {
  server_.reset();
  const Peer a = Dial();
  a.link->Send(Hello("a"));
  EXPECT_THAT(a.hears->AwaitClosed(),
              StatusIs(StatusCode::kUnavailable, "Connection refused"));
  Peer b;
  b.link = transport_.Dial("192.0.2.1:80", b.hears.get());
  EXPECT_THAT(b.hears->AwaitClosed(),
              StatusIs(StatusCode::kFailedPrecondition, "--tls-ca"));
}

TEST_F(PeerTest, TheServerDiesInTheMiddle) {
  auto [a, b] = Connect();
  a.link->ReceivePayload(std::make_shared<CheckingSink>(1 << 30));
  b.link->SendPayload(Begin(1), std::make_shared<NoiseSource>(1 << 30));
  a.hears->AwaitMessages(2);
  server_.reset();
  EXPECT_FALSE(a.hears->AwaitClosed().ok());
  EXPECT_FALSE(b.hears->AwaitClosed().ok());
  b.link->Send(Ready(1));  // in vain, without harm
}

// A client that uses gRPC as it comes.
class Stranger {
 public:
  explicit Stranger(const std::string& address)
      : stub_(*parley::Dial(address, DialOptions())) {
    stream_ = stub_.PrepareCall(&context_, "/parley.v1.Peer/Exchange", &queue_);
    stream_->StartCall(nullptr);
    Next();
  }
  ~Stranger() {
    context_.TryCancel();
    stream_->Finish(&status_, nullptr);
    Next();
    queue_.Shutdown();
    while (Next()) {
    }
  }

  bool Write(const std::string& bytes) {
    const grpc::Slice slice(bytes);
    stream_->Write(grpc::ByteBuffer(&slice, 1), nullptr);
    return Next();
  }
  bool Write(const v1::PeerMessage& message) {
    return Write(message.SerializeAsString());
  }
  // What it is told.
  std::optional<v1::PeerMessage> Read() {
    grpc::ByteBuffer buffer;
    stream_->Read(&buffer, nullptr);
    v1::PeerMessage message;
    std::optional<ReceivedChunk> chunk;
    if (!Next() || !DecodePeerMessage(&buffer, &message, &chunk).ok()) {
      return std::nullopt;
    }
    return message;
  }
  void Cancel() { context_.TryCancel(); }

 private:
  bool Next() {
    void* tag;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
  grpc::Status status_;
};

TEST_F(PeerTest, GarbageAndProtocolErrorsAreToldAndEndTheLink) {
  v1::PeerMessage chunk, end, headed;
  chunk.mutable_chunk()->set_data("12345678");
  end.mutable_end();
  *headed.mutable_chunk() = chunk.chunk();
  headed.mutable_chunk()->mutable_header()->set_token("x");
  const std::pair<std::vector<std::string>, std::string> kCases[] = {
      {{"no protobuf at all"}, "no PeerMessage"},
      {{std::string(kMaxControlBytes + 1, '\0')}, "no PeerMessage"},
      {{chunk.SerializeAsString()}, "chunk of no payload"},
      {{end.SerializeAsString()}, "end of no payload"},
      {{Begin(1).SerializeAsString(), Begin(2).SerializeAsString()},
       "within another"},
      {{Begin(1).SerializeAsString(), headed.SerializeAsString()},
       "no PeerMessage"},
  };
  for (const auto& [messages, reason] : kCases) {
    Stranger stranger(address_);
    ASSERT_TRUE(stranger.Write(Hello("stranger")));
    Peer peer = acceptor_.Take();
    for (const std::string& message : messages) stranger.Write(message);
    EXPECT_THAT(peer.hears->AwaitClosed(),
                StatusIs(StatusCode::kInvalidArgument, reason));
    const auto told = stranger.Read();
    ASSERT_TRUE(told.has_value()) << reason;
    EXPECT_NE(told->goodbye().reason().find(reason), std::string::npos);
  }
}

TEST_F(PeerTest, StrangersNeverReachTheAcceptor) {
  for (const std::string& first :
       {Ready(1).SerializeAsString(), std::string("garbage"),
        std::string(kMaxChunkBytes + (1 << 20), 'x')}) {
    Stranger stranger(address_);
    stranger.Write(first);
    while (stranger.Read()) {
    }
  }
  {
    StartServer({}, absl::Milliseconds(20));
    Stranger silent(address_);
    EXPECT_FALSE(silent.Read().has_value());
  }
  EXPECT_EQ(acceptor_.waiting(), 0);
}

TEST_F(PeerTest, StrangersAreCounted) {
  std::vector<std::unique_ptr<Stranger>> silent;
  for (int i = 0; i < PeerService::kMaxStrangers; ++i) {
    silent.push_back(std::make_unique<Stranger>(address_));
  }
  acceptor_.Refuse();  // answers who gets to it
  const auto answered = [&] {
    Stranger late(address_);
    late.Write(Hello("late"));
    return late.Read().has_value();
  };
  // Until the server knows all the silent ones.
  constexpr int kTries = 1000;
  int tries = 0;
  while (answered() && tries < kTries) ++tries;
  EXPECT_LT(tries, kTries);
  // Another place.
  silent.pop_back();
  tries = 0;
  while (!answered() && tries < kTries) ++tries;
  EXPECT_LT(tries, kTries);
}

TEST_F(PeerTest, AStalledReaderStallsItsOwnChunksOnly) {
  Stranger stranger(address_);
  ASSERT_TRUE(stranger.Write(Hello("stalled")));
  Peer peer = acceptor_.Take();
  peer.link->SendPayload(Begin(1), std::make_shared<NoiseSource>(256 << 20));
  auto [a, b] = Connect();
  // The other pump and other links go on.
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(stranger.Write(Ready(i)));
  peer.hears->AwaitMessages(101);
  a.link->ReceivePayload(std::make_shared<CheckingSink>(64 << 20));
  b.link->SendPayload(Begin(1), std::make_shared<NoiseSource>(64 << 20));
  EXPECT_OK(a.hears->AwaitPayload(0));
  // What is in flight is bounded: the windows, and what gRPC holds.
  EXPECT_LT(peer.link->chunks(), 32);
  // And so is what else may wait.
  v1::PeerMessage long_message;
  long_message.mutable_leave()->set_reason(std::string(1 << 20, 'x'));
  for (int i = 0; i < 8; ++i) peer.link->Send(long_message);
  EXPECT_THAT(peer.hears->AwaitClosed(),
              StatusIs(StatusCode::kResourceExhausted, "too slowly"));
}

TEST_F(PeerTest, HangingUpDoesNotWaitForAStalledReader) {
  Stranger stranger(address_);
  ASSERT_TRUE(stranger.Write(Hello("stalled")));
  Peer peer = acceptor_.Take();
  peer.link->SendPayload(Begin(1), std::make_shared<NoiseSource>(256 << 20));
  for (uint64_t seen = 0; seen != peer.link->chunks();) {  // until it stalls
    seen = peer.link->chunks();
    const size_t heard = peer.hears->AwaitMessages(1).size();
    for (int i = 0; i < 1000; ++i) ASSERT_TRUE(stranger.Write(Ready(i)));
    peer.hears->AwaitMessages(heard + 1000);
  }
  const absl::Time begin = absl::Now();
  peer.link.reset();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
  EXPECT_TRUE(peer.hears->open());  // it heard nothing after the return
  // TearDown waits until the source is let go of, while the stranger lives.
  TearDown();
}

TEST_F(PeerTest, APeerThatCancels) {
  auto stranger = std::make_unique<Stranger>(address_);
  ASSERT_TRUE(stranger->Write(Hello("cancels")));
  Peer peer = acceptor_.Take();
  peer.link->SendPayload(Begin(1), std::make_shared<NoiseSource>(256 << 20));
  peer.link->ReceivePayload(std::make_shared<CheckingSink>(1));
  ASSERT_TRUE(stranger->Write(Begin(1)));
  stranger->Cancel();
  EXPECT_THAT(peer.hears->AwaitClosed(),
              StatusIs(StatusCode::kUnavailable, "hung up"));
}

TEST_F(PeerTest, HangingUpAtAnyTime) {
  Rng rng(1, "hang up");
  for (int i = 0; i < 60; ++i) {
    auto [a, b] = Connect();
    for (Peer* peer : {&a, &b}) {
      peer->link->ReceivePayload(std::make_shared<CheckingSink>(16 << 20));
      peer->link->SendPayload(Begin(1),
                              std::make_shared<NoiseSource>(16 << 20));
    }
    std::thread other([&, wait = rng.Below(16)] {
      while (b.link->chunks() < wait && b.hears->open()) {
        std::this_thread::yield();
      }
      b.link.reset();
    });
    const uint64_t until = rng.Below(16);
    while (a.link->chunks() < until && a.hears->open()) {
      std::this_thread::yield();
    }
    a.link.reset();
    other.join();
  }
  // Without a hello, too, and at once.
  for (int i = 0; i < 60; ++i) {
    const Peer a = Dial();
    if (i % 2 == 0) a.link->Send(Hello("hasty"));
  }
}

// The last channel of a process goes while gRPC's threads end its stream.
TEST_F(PeerTest, HangingUpWithNothingElseAlive) {
  server_.reset();
  for (int i = 0; i < 200; ++i) {
    GrpcPeerTransport transport{DialOptions()};
    RecordingPeer hears;
    auto link = transport.Dial(address_, &hears);
    link->Send(Hello("hasty"));
    link.reset();
  }
}

}  // namespace
}  // namespace parley
