#include "server/rpc/server.h"

#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/rpc/status.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/rpc/fake_coordinator.h"
#include "tests/unit/store/folder.h"

namespace parley {
namespace {

using absl::StatusCode;

TEST(ServerTest, SaysThatThePortIsInUse) {
  FakeCoordinator coordinator;
  ASSERT_OK_AND_ASSIGN(auto first,
                       RpcServer::Start({}, &coordinator, &coordinator));
  const std::string address = absl::StrCat("127.0.0.1:", first->port());
  EXPECT_THAT(RpcServer::Start({address}, &coordinator, &coordinator),
              StatusIs(StatusCode::kUnavailable,
                       absl::StrCat("cannot listen at ", address,
                                    ": Address already in use")));
}

// How much a bare connection reads at first; waits for it.
ssize_t FirstBytes(int fd) {
  char bytes[64];
  return recv(fd, bytes, sizeof(bytes), 0);
}

int Connect(const std::string& path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
            0);
  return fd;
}

TEST(ServerTest, AUnixSocketIsLimitedReplacedAndRemoved) {
  const std::string path = TestFolder() + "/socket";
  FakeCoordinator coordinator;
  RpcServer::Options options;
  options.address = "unix:" + path;
  options.max_connections = 0;  // what the program itself needs, and no more
  ASSERT_OK_AND_ASSIGN(auto server,
                       RpcServer::Start(options, &coordinator, &coordinator));
  EXPECT_EQ(server->port(), 0);
  EXPECT_THAT(RpcServer::Start(options, &coordinator, &coordinator),
              StatusIs(StatusCode::kUnavailable, "another server listens"));
  std::vector<int> flood;
  do {
    flood.push_back(Connect(path));
  } while (FirstBytes(flood.back()) > 0);
  EXPECT_GT(flood.size(), 10u);
  EXPECT_LT(flood.size(), 128u);
  for (const int fd : flood) close(fd);
  server->Shutdown(absl::ZeroDuration());
  EXPECT_FALSE(std::filesystem::exists(path));

  // What a server leaves that was killed.
  const int dead = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(dead, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
            0);
  close(dead);
  ASSERT_OK_AND_ASSIGN(server,
                       RpcServer::Start(options, &coordinator, &coordinator));
  const int fd = Connect(path);
  EXPECT_GT(FirstBytes(fd), 0);
  close(fd);
  server.reset();

  WriteAll(path, "mine");
  EXPECT_THAT(RpcServer::Start(options, &coordinator, &coordinator),
              StatusIs(StatusCode::kUnavailable, "no socket is there"));
  EXPECT_EQ(ReadAll(path), "mine");
  options.address = "unix:/nowhere/socket";
  EXPECT_THAT(RpcServer::Start(options, &coordinator, &coordinator),
              StatusIs(StatusCode::kUnavailable, "No such file"));
  options.address = absl::StrCat("unix:/", std::string(200, 'x'));
  EXPECT_THAT(RpcServer::Start(options, &coordinator, &coordinator),
              StatusIs(StatusCode::kUnavailable, "1 to 107 bytes"));
}

TEST(ServerTest, SaysWhatIsWrongWithAnAddress) {
  FakeCoordinator coordinator;
  RpcServer::Options options;
  options.security.allow_insecure = true;
  options.address = "192.0.2.1:0";  // of the documentation: nobody has it
  EXPECT_THAT(RpcServer::Start(options, &coordinator, &coordinator),
              StatusIs(StatusCode::kUnavailable, "Cannot assign"));
  options.address = "nonsense";
  EXPECT_THAT(RpcServer::Start(options, &coordinator, &coordinator),
              StatusIs(StatusCode::kUnavailable, "HOST:PORT"));
  options.address = "127.0.0.1:65536";
  EXPECT_THAT(RpcServer::Start(options, &coordinator, &coordinator),
              StatusIs(StatusCode::kUnavailable, "a port is 0 to 65535"));
}

TEST(ServerTest, RefusesInsecureBeyondLoopback) {
  FakeCoordinator coordinator;
  EXPECT_THAT(RpcServer::Start({"0.0.0.0:0"}, &coordinator, &coordinator),
              StatusIs(StatusCode::kFailedPrecondition, "--insecure"));
  RpcServer::Options options{"0.0.0.0:0"};
  options.security.allow_insecure = true;
  EXPECT_OK(RpcServer::Start(options, &coordinator, &coordinator));
}

int Connect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
            0);
  return fd;
}

TEST(ServerTest, TurnsAwayAFloodOfConnectionsAndLivesOn) {
  FakeCoordinator coordinator;
  RpcServer::Options options;
  options.max_connections = 0;  // what the program itself needs, and no more
  ASSERT_OK_AND_ASSIGN(auto server,
                       RpcServer::Start(options, &coordinator, &coordinator));
  std::vector<int> flood;
  do {
    flood.push_back(Connect(server->port()));
  } while (FirstBytes(flood.back()) > 0);  // settings of HTTP/2
  EXPECT_GT(flood.size(), 10u);
  EXPECT_LT(flood.size(), 128u);
  for (const int fd : flood) close(fd);
  ssize_t got = 0;
  while (got <= 0) {  // until the server has noticed
    const int fd = Connect(server->port());
    got = FirstBytes(fd);
    close(fd);
  }
}

// The health and reflection protocols' own .proto files are not installed, so
// their few bytes are written by hand.
std::string Call(int port, const std::string& method,
                 const std::string& request) {
  grpc::GenericStub stub(*Dial(absl::StrCat("127.0.0.1:", port), {}));
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  auto call = stub.PrepareCall(&context, method, &queue);
  const auto wait = [&] {
    void* tag;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  call->StartCall(nullptr);
  EXPECT_TRUE(wait());
  const grpc::Slice slice(request);
  call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
  EXPECT_TRUE(wait());
  grpc::ByteBuffer reply;
  call->Read(&reply, nullptr);
  EXPECT_TRUE(wait());
  grpc::Status status;
  call->Finish(&status, nullptr);
  EXPECT_TRUE(wait());
  EXPECT_TRUE(status.ok()) << status.error_message();
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(reply.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& s : slices) bytes.append(s.begin(), s.end());
  return bytes;
}

TEST(ServerTest, AnswersHealthChecksAndReflection) {
  FakeCoordinator coordinator;
  ASSERT_OK_AND_ASSIGN(auto server,
                       RpcServer::Start({}, &coordinator, &coordinator));
  // HealthCheckRequest{} -> HealthCheckResponse{status: SERVING}
  EXPECT_EQ(Call(server->port(), "/grpc.health.v1.Health/Check", ""),
            std::string("\x08\x01", 2));
  // ServerReflectionRequest{list_services: "*"}
  const std::string services =
      Call(server->port(),
           "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
           "\x3a\x01*");
  EXPECT_NE(services.find("parley.v1.Coordinator"), std::string::npos);
  EXPECT_NE(services.find("parley.v1.Admin"), std::string::npos);
}

}  // namespace
}  // namespace parley
