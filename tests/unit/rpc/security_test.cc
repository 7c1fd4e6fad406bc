// TLS and mutual TLS from end to end.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/rpc/coordinator_client.h"
#include "server/rpc/server.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/rpc/fake_coordinator.h"
#include "tests/unit/rpc/test_certificates.h"

namespace parley {
namespace {

using absl::StatusCode;

class SecurityTest : public testing::Test {
 protected:
  SecurityTest() : server_files_(certificates_.Make("server", true)) {
    coordinator_.echo = true;
  }
  void Start(bool mutual) {
    RpcServer::Options options;
    options.security.tls = server_files_;
    if (mutual) options.security.tls.ca = certificates_.authority();
    auto server = RpcServer::Start(options, &coordinator_, &coordinator_);
    ASSERT_OK(server);
    server_ = *std::move(server);
  }
  // Whether a client with these files gets an answer, and why not.
  absl::Status Talk(const TlsFiles& files) {
    DialOptions options;
    options.security.tls = files;
    CoordinatorClient client(options);
    RecordingListener listener;
    auto session = client.OpenSession(
        absl::StrCat("127.0.0.1:", server_->port()), &listener);
    v1::ClientMessage message;
    message.mutable_heartbeat();
    session->Send(message);
    if (!listener.AwaitMessages(1).empty()) return absl::OkStatus();
    return listener.AwaitClosed();
  }

  TestCertificates certificates_;
  const TlsFiles server_files_;
  FakeCoordinator coordinator_;
  std::unique_ptr<RpcServer> server_;
};

TEST_F(SecurityTest, Tls) {
  Start(/*mutual=*/false);
  const std::string ca = certificates_.authority();
  EXPECT_OK(Talk({ca, "", ""}));
  EXPECT_EQ(
      coordinator_.Await(1, [](auto&) { return true; }).peer.certificate_name,
      "");
  // Of another authority, and without any encryption.
  TestCertificates others;
  EXPECT_THAT(Talk({others.authority(), "", ""}),
              StatusIs(StatusCode::kUnavailable, ""));
  EXPECT_THAT(Talk({}), StatusIs(StatusCode::kUnavailable, ""));
}

TEST_F(SecurityTest, MutualTls) {
  Start(/*mutual=*/true);
  const std::string ca = certificates_.authority();
  TlsFiles files = certificates_.Make("client-7", false);
  files.ca = ca;
  EXPECT_OK(Talk(files));
  EXPECT_EQ(
      coordinator_.Await(1, [](auto&) { return true; }).peer.certificate_name,
      "client-7");
  EXPECT_THAT(Talk({ca, "", ""}), StatusIs(StatusCode::kUnavailable, ""));
  TestCertificates others;
  TlsFiles stranger = others.Make("client-7", false);
  stranger.ca = ca;
  EXPECT_THAT(Talk(stranger), StatusIs(StatusCode::kUnavailable, ""));
}

}  // namespace
}  // namespace parley
