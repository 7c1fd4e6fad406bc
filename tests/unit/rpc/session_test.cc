// Session streams from end to end.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/rpc/coordinator_client.h"
#include "common/wire/protocol.h"
#include "server/rpc/server.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/rpc/fake_coordinator.h"

namespace parley {
namespace {

using absl::StatusCode;
using Session = FakeCoordinator::Session;

v1::ClientMessage Message(const std::string& run) {
  v1::ClientMessage message;
  message.set_run(run);
  message.mutable_heartbeat();
  return message;
}

class SessionTest : public testing::Test {
 protected:
  SessionTest() {
    coordinator_.echo = true;
    auto server = RpcServer::Start({}, &coordinator_, &coordinator_);
    server_ = *std::move(server);
    address_ = absl::StrCat("127.0.0.1:", server_->port());
    session_ = client_.OpenSession(address_, &listener_);
  }
  // Returns once the stream is open.
  void Open() {
    session_->Send(Message("first"));
    ASSERT_EQ(listener_.AwaitMessages(1).size(), 1u);
  }

  FakeCoordinator coordinator_;
  std::unique_ptr<RpcServer> server_;
  std::string address_;
  CoordinatorClient client_{DialOptions()};
  RecordingListener listener_;
  std::unique_ptr<ClientSession> session_;
};

TEST_F(SessionTest, EchoesInOrder) {
  for (int i = 0; i < 1000; ++i) session_->Send(Message(absl::StrCat(i)));
  const auto replies = listener_.AwaitMessages(1000);
  ASSERT_EQ(replies.size(), 1000u);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(replies[i].run(), absl::StrCat(i));
    EXPECT_EQ(replies[i].notice().text(), absl::StrCat("message ", i));
  }
  const Session session = coordinator_.Await(1, [](auto&) { return true; });
  EXPECT_NE(session.peer.address, "");
  EXPECT_EQ(session.peer.certificate_name, "");
}

TEST_F(SessionTest, CloseComesAfterAllMessages) {
  Open();
  const Session session = coordinator_.Await(1, [](auto&) { return true; });
  for (int i = 0; i < 200; ++i) {
    v1::ServerMessage message;
    message.mutable_notice()->set_text(std::string(1000, 'x'));
    session.sink->Send(message);
  }
  session.sink->Close(absl::AbortedError("enough"));
  session.sink->Send(v1::ServerMessage());  // too late: dropped
  EXPECT_THAT(listener_.AwaitClosed(),
              StatusIs(StatusCode::kAborted, "enough"));
  EXPECT_EQ(listener_.AwaitMessages(201).size(), 201u);
  session_->Send(Message("late"));  // harmless
}

TEST_F(SessionTest, WhatIsSentAheadComesFirst) {
  const Session session = coordinator_.Await(1, [](auto&) { return true; });
  v1::ServerMessage message;
  for (int i = 0; i < 300; ++i) {
    message.mutable_notice()->set_text(absl::StrCat(i));
    if (i % 3 < 2) {
      session.sink->SendAhead(message);
    } else {
      session.sink->Send(message);
    }
  }
  const auto received = listener_.AwaitMessages(300);
  ASSERT_EQ(received.size(), 300u);
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(received[i].notice().text(), absl::StrCat(i));
  }
  // Nothing but the end comes after the last one.
  session.sink->SendAhead(message);
  session.sink->Close(absl::AbortedError("enough"));
  EXPECT_THAT(listener_.AwaitClosed(),
              StatusIs(StatusCode::kAborted, "enough"));
  EXPECT_EQ(listener_.AwaitMessages(301).size(), 301u);
}

TEST_F(SessionTest, CoordinatorHearsThatAClientWentAway) {
  Open();
  session_.reset();
  EXPECT_THAT(listener_.AwaitClosed(), StatusIs(StatusCode::kCancelled, ""));
  coordinator_.Await(1, [](const Session& s) { return s.closed.has_value(); });
}

TEST_F(SessionTest, ClientHearsThatTheServerWentAway) {
  Open();
  server_->Shutdown(absl::ZeroDuration());
  EXPECT_FALSE(listener_.AwaitClosed().ok());
  coordinator_.Await(1, [](const Session& s) { return s.closed.has_value(); });
}

TEST_F(SessionTest, ClosingRacesWithSending) {
  for (SessionId id = 2; id < 200; ++id) {
    RecordingListener listener;
    auto session = client_.OpenSession(address_, &listener);
    session->Send(Message("a"));
    const Session s = coordinator_.Await(id, [](auto&) { return true; });
    session->Send(Message("b"));
    if (id % 2 == 0) s.sink->Close(absl::OkStatus());
    s.sink->Send(v1::ServerMessage());
    if (id % 3 == 0) session.reset();
    s.sink->Close(absl::OkStatus());
  }
}

TEST_F(SessionTest, RefusesAnEndlessMessage) {
  session_->Send(Message(std::string(kMaxControlBytes, 'x')));
  EXPECT_THAT(listener_.AwaitClosed(),
              StatusIs(StatusCode::kInvalidArgument, "1048576"));
  coordinator_.Await(1, [](const Session& s) { return s.closed.has_value(); });
}

// Does not return from its first message until released.
class StuckListener final : public SessionListener {
 public:
  void OnMessage(v1::ServerMessage) override {
    MutexLock lock(mu_);
    while (!released_) changed_.Wait(mu_);
  }
  void OnClosed(const absl::Status&) override {}
  void Release() {
    MutexLock lock(mu_);
    released_ = true;
    changed_.SignalAll();
  }

 private:
  Mutex mu_;
  CondVar changed_;
  bool released_ = false;
};

TEST_F(SessionTest, CutsOffAClientThatDoesNotRead) {
  Open();
  StuckListener stuck;
  auto session = client_.OpenSession(address_, &stuck);
  session->Send(Message("x"));
  const Session s = coordinator_.Await(
      2, [](const Session& x) { return !x.messages.empty(); });
  v1::ServerMessage big;
  big.mutable_notice()->set_text(std::string(500000, 'x'));
  // More than flow control and queue take together.
  for (int i = 0; i < 40; ++i) s.sink->Send(big);
  const Session closed =
      coordinator_.Await(2, [](const Session& x) { return !!x.closed; });
  EXPECT_THAT(*closed.closed,
              StatusIs(StatusCode::kResourceExhausted, "too slowly"));
  stuck.Release();
}

TEST_F(SessionTest, NobodyListens) {
  RecordingListener listener;
  server_->Shutdown(absl::ZeroDuration());
  auto session = client_.OpenSession(address_, &listener);
  EXPECT_THAT(listener.AwaitClosed(), StatusIs(StatusCode::kUnavailable, ""));
}

TEST_F(SessionTest, NoProxyOnLoopback) {
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  RecordingListener listener;
  auto session = client_.OpenSession(address_, &listener);
  session->Send(Message("x"));
  EXPECT_EQ(listener.AwaitMessages(1).size(), 1u);
  unsetenv("http_proxy");
}

TEST_F(SessionTest, InsecureBeyondLoopbackIsToldByOnClosed) {
  RecordingListener listener;
  auto session = client_.OpenSession("192.0.2.1:80", &listener);
  EXPECT_THAT(listener.AwaitClosed(),
              StatusIs(StatusCode::kFailedPrecondition, "192.0.2.1:80"));
}

}  // namespace
}  // namespace parley
