// Links between peers that behave.
#include <grpcpp/create_channel.h>

#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "parley/v1/peer.grpc.pb.h"
#include "tests/unit/rpc/peer_fixture.h"
#include "tests/unit/rpc/test_certificates.h"

namespace parley {
namespace {

using absl::StatusCode;

TEST_F(PeerTest, MessagesBothWaysInOrder) {
  auto [a, b] = Connect();
  EXPECT_TRUE(absl::StrContains(b.origin.address, "127.0.0.1"));
  EXPECT_EQ(b.origin.certificate_name, "");
  constexpr int kMany = 500;
  for (int i = 0; i < kMany; ++i) {
    a.link->Send(Ready(i));
    b.link->Send(Ready(-i));
  }
  const auto at_a = a.hears->AwaitMessages(1 + kMany);
  const auto at_b = b.hears->AwaitMessages(1 + kMany);
  EXPECT_EQ(at_a[0].hello().name(), "accepted");
  EXPECT_EQ(at_b[0].hello().name(), "dialled");
  for (int i = 0; i < kMany; ++i) {
    ASSERT_EQ(at_a[1 + i].ready().step().round(), -i);
    ASSERT_EQ(at_b[1 + i].ready().step().round(), i);
  }
}

TEST_F(PeerTest, APayloadIsChecked) {
  auto [a, b] = Connect();
  const uint64_t expected = CheckingSink::Expected(5'000'003);
  for (const bool stable : {true, false}) {
    auto sink = std::make_shared<CheckingSink>(5'000'003);
    b.link->ReceivePayload(sink);
    const uint64_t before = b.link->chunks();
    a.link->SendPayload(Begin(3),
                        std::make_shared<NoiseSource>(5'000'003, stable));
    EXPECT_OK(b.hears->AwaitPayload(stable ? 0 : 1));
    EXPECT_EQ(sink->checksum(), expected);
    EXPECT_EQ(b.link->chunks() - before, 5);
  }
  // Begin and End are heard, too.
  const auto messages = b.hears->AwaitMessages(5);
  EXPECT_EQ(messages[1].begin().step().round(), 3);
  EXPECT_TRUE(messages[2].has_end());
}

TEST_F(PeerTest, AnEmptyPayload) {
  auto [a, b] = Connect();
  a.link->ReceivePayload(std::make_shared<CheckingSink>(0));
  b.link->SendPayload(Begin(1), std::make_shared<NoiseSource>(0));
  EXPECT_OK(a.hears->AwaitPayload(0));
}

TEST_F(PeerTest, MessagesPassWaitingChunks) {
  auto [a, b] = Connect();
  b.link->ReceivePayload(std::make_shared<CheckingSink>(20 << 20));
  int chunk = 0;
  const auto say_in_between = [&, link = a.link.get()](ChunkView*) {
    if (++chunk == 3) link->Send(Ready(7));
  };
  a.link->SendPayload(
      Begin(1), std::make_shared<NoiseSource>(20 << 20, true, say_in_between));
  EXPECT_OK(b.hears->AwaitPayload(0));
  const auto messages = b.hears->AwaitMessages(4);
  EXPECT_TRUE(messages[1].has_begin());
  EXPECT_EQ(messages[2].ready().step().round(), 7);
  EXPECT_TRUE(messages[3].has_end());
}

TEST_F(PeerTest, ASecondPayloadWaitsForTheEndOfTheFirst) {
  auto [a, b] = Connect();
  b.link->ReceivePayload(std::make_shared<CheckingSink>(3 << 20));
  a.link->SendPayload(Begin(1), std::make_shared<NoiseSource>(3 << 20));
  a.link->SendPayload(Begin(2), std::make_shared<NoiseSource>(3 << 20));
  EXPECT_OK(b.hears->AwaitPayload(0));
  EXPECT_THAT(b.hears->AwaitPayload(1),
              StatusIs(StatusCode::kFailedPrecondition, "nobody waits"));
  const auto messages = b.hears->AwaitMessages(5);
  EXPECT_TRUE(messages[2].has_end());
  EXPECT_EQ(messages[3].begin().step().round(), 2);
}

// Neither end reads before it has written: with one pump for both, or a whole
// model in flight, this would not end.
void ExchangeAtOnce(const std::pair<Peer, Peer>& peers, uint64_t bytes) {
  const uint64_t expected = CheckingSink::Expected(bytes);
  auto at_a = std::make_shared<CheckingSink>(bytes);
  auto at_b = std::make_shared<CheckingSink>(bytes);
  peers.first.link->ReceivePayload(at_a);
  peers.second.link->ReceivePayload(at_b);
  peers.first.link->SendPayload(Begin(1), std::make_shared<NoiseSource>(bytes));
  peers.second.link->SendPayload(Begin(1),
                                 std::make_shared<NoiseSource>(bytes));
  EXPECT_OK(peers.first.hears->AwaitPayload(0));
  EXPECT_OK(peers.second.hears->AwaitPayload(0));
  EXPECT_EQ(at_a->checksum(), expected);
  EXPECT_EQ(at_b->checksum(), expected);
  // Sent and received.
  EXPECT_EQ(peers.first.link->chunks(), 2 * bytes / kChunkBytes);
}

TEST_F(PeerTest, BothEndsWriteAtOnce) { ExchangeAtOnce(Connect(), 64 << 20); }

TEST_F(PeerTest, BothEndsWriteAGibibyteAtOnce) {
  ExchangeAtOnce(Connect(), 1 << 30);
}

TEST_F(PeerTest, HangingUpDeliversWhatWasSent) {
  auto [a, b] = Connect();
  for (int i = 0; i < 100; ++i) a.link->Send(Ready(i));
  a.link.reset();
  EXPECT_EQ(b.hears->AwaitMessages(101).back().ready().step().round(), 99);
  EXPECT_THAT(b.hears->AwaitClosed(),
              StatusIs(StatusCode::kUnavailable, "hung up"));
  // The other way round.
  auto [c, d] = Connect();
  for (int i = 0; i < 100; ++i) d.link->Send(Ready(i));
  d.link.reset();
  EXPECT_EQ(c.hears->AwaitMessages(101).back().ready().step().round(), 99);
  EXPECT_THAT(c.hears->AwaitClosed(),
              StatusIs(StatusCode::kUnavailable, "hung up"));
}

// What stubs that protoc made read and write is what a link writes and reads.
TEST_F(PeerTest, SpeaksWithGeneratedStubs) {
  const auto channel =
      grpc::CreateChannel(address_, grpc::InsecureChannelCredentials());
  const auto stub = v1::Peer::NewStub(channel);
  grpc::ClientContext context;
  const auto stream = stub->Exchange(&context);
  ASSERT_TRUE(stream->Write(Hello("stub")));
  const Peer peer = acceptor_.Take();
  auto sink = std::make_shared<CheckingSink>(3'000'001);
  peer.link->ReceivePayload(sink);
  ASSERT_TRUE(stream->Write(Begin(1)));
  NoiseSource source(3'000'001);
  while (const auto view = source.Next()) {
    v1::PeerMessage message;
    message.mutable_chunk()->set_offset(view->header.offset);
    message.mutable_chunk()->set_checksum(view->header.checksum);
    message.mutable_chunk()->set_data(std::string(view->data));
    ASSERT_TRUE(stream->Write(message));
  }
  v1::PeerMessage message;
  message.mutable_end();
  ASSERT_TRUE(stream->Write(message));
  EXPECT_OK(peer.hears->AwaitPayload(0));
  EXPECT_EQ(sink->checksum(), CheckingSink::Expected(3'000'001));

  peer.link->SendPayload(Begin(2), std::make_shared<NoiseSource>(3'000'001));
  ASSERT_TRUE(stream->Read(&message));
  EXPECT_EQ(message.begin().step().round(), 2);
  CheckingSink check(3'000'001);
  while (stream->Read(&message) && message.has_chunk()) {
    const v1::Chunk& chunk = message.chunk();
    EXPECT_OK(check.Write({chunk.payload(), chunk.offset(), chunk.checksum()},
                          {chunk.data()}));
  }
  EXPECT_TRUE(message.has_end());
  EXPECT_OK(check.Finish());
  EXPECT_EQ(check.checksum(), CheckingSink::Expected(3'000'001));
}

TEST_F(PeerTest, NoProxyOnLoopback) {
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  Connect();
  unsetenv("http_proxy");
}

TEST_F(PeerTest, MutualTls) {
  TestCertificates certificates;
  GrpcServer::Options options;
  options.security.tls = certificates.Make("peer-0", true);
  options.security.tls.ca = certificates.authority();
  StartServer(options);
  TlsFiles files = certificates.Make("peer-1", false);
  files.ca = certificates.authority();
  {
    DialOptions dial_options;
    dial_options.security.tls = files;
    GrpcPeerTransport transport(dial_options);
    Peer a;
    a.link = transport.Dial(address_, a.hears.get());
    a.link->Send(Hello("peer-1"));
    const Peer b = acceptor_.Take();
    EXPECT_EQ(b.origin.certificate_name, "peer-1");
    b.link->Send(Hello("peer-0"));
    a.hears->AwaitMessages(1);
  }
  for (const TlsFiles& wrong :
       {TlsFiles{}, TlsFiles{certificates.authority(), "", ""}}) {
    DialOptions dial_options;
    dial_options.security.tls = wrong;
    GrpcPeerTransport transport(dial_options);
    Peer a;
    a.link = transport.Dial(address_, a.hears.get());
    a.link->Send(Hello("peer-1"));
    EXPECT_THAT(a.hears->AwaitClosed(), StatusIs(StatusCode::kUnavailable, ""));
    EXPECT_EQ(acceptor_.waiting(), 0);
    a.link.reset();
  }
}

}  // namespace
}  // namespace parley
