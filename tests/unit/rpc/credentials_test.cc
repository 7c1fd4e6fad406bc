#include "common/rpc/credentials.h"

#include <gtest/gtest.h>

#include <fstream>

#include "common/rpc/address.h"
#include "common/rpc/status.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/rpc/test_certificates.h"

namespace parley {
namespace {

TEST(AddressTest, TheWayToAServerBeginsAtAnAddressOfThisMachine) {
  for (const char* address : {"localhost:1", "127.1.2.3:80", "unix:/tmp/x"}) {
    ASSERT_OK_AND_ASSIGN(const std::string host, LocalHostTowards(address));
    EXPECT_EQ(host, "127.0.0.1") << address;
  }
  EXPECT_EQ(LocalHostTowards("no.such.host.invalid:80").status().code(),
            absl::StatusCode::kUnavailable);
}

using absl::StatusCode;

TEST(AddressTest, KnowsLoopback) {
  for (const char* address : {"127.0.0.1:80", "127.9.8.7:0", "localhost:7000",
                              "[::1]:7000", "unix:/run/parley.sock"}) {
    EXPECT_TRUE(IsLoopback(address)) << address;
  }
  for (const char* address :
       {"0.0.0.0:80", "[::]:80", ":80", "", "10.0.0.1:80", "127.0.0.1",
        "127.evil.example:80", "localhost.example:80", "[::2]:80", "::1:80",
        "ipv4:127.0.0.1:80,10.0.0.1:80", "[::ffff:10.0.0.1]:80"}) {
    EXPECT_FALSE(IsLoopback(address)) << address;
  }
}

TEST(AddressTest, RefusesInsecureBeyondLoopback) {
  EXPECT_OK(CheckInsecure("127.0.0.1:1", false));
  EXPECT_OK(CheckInsecure("10.0.0.1:1", true));
  EXPECT_THAT(CheckInsecure("10.0.0.1:1", false),
              StatusIs(StatusCode::kFailedPrecondition, "--tls-ca"));
}

TEST(StatusTest, GoesThroughGrpc) {
  for (int code = 0; code <= 16; ++code) {
    const absl::Status status(static_cast<StatusCode>(code),
                              code == 0 ? "" : "text");
    EXPECT_EQ(FromGrpc(ToGrpc(status)), status);
  }
  EXPECT_EQ(ToGrpc(absl::AbortedError(std::string(100000, 'x')))
                .error_message()
                .size(),
            2000u);
  EXPECT_EQ(FromGrpc(grpc::Status(grpc::StatusCode::DO_NOT_USE, "odd")),
            absl::UnknownError("odd"));
}

class CredentialsTest : public testing::Test {
 protected:
  absl::Status Server(TlsFiles files) {
    return MakeServerCredentials("0.0.0.0:0", {files}).status();
  }
  absl::Status Client(TlsFiles files) {
    return MakeChannelCredentials("example.com:1", {files}).status();
  }
  std::string Write(const std::string& file, const std::string& text) {
    std::ofstream(certificates_.Path(file)) << text;
    return certificates_.Path(file);
  }
  TestCertificates certificates_;
};

TEST_F(CredentialsTest, AcceptsWhatBelongsTogether) {
  TlsFiles files = certificates_.Make("one", true);
  EXPECT_OK(Server(files));
  files.ca = certificates_.authority();
  EXPECT_OK(Server(files));
  EXPECT_OK(Client(files));
  EXPECT_OK(Client({files.ca, "", ""}));
}

TEST_F(CredentialsTest, SaysWhatIsWrong) {
  const TlsFiles one = certificates_.Make("one", true);
  const TlsFiles two = certificates_.Make("two", true);
  const std::string ca = certificates_.authority();
  const auto invalid = [](const char* text) {
    return StatusIs(StatusCode::kInvalidArgument, text);
  };
  EXPECT_THAT(Server({"", one.cert, two.key}), invalid("is not the key of"));
  EXPECT_THAT(Server({"", one.cert, ""}), invalid("--tls-key is missing"));
  EXPECT_THAT(Server({ca, "", ""}), invalid("--tls-cert is missing"));
  EXPECT_THAT(Server({"", one.cert, "/no/such.key"}),
              invalid("/no/such.key: cannot be read: No such file"));
  EXPECT_THAT(Server({"", one.key, one.key}), invalid("no certificate in PEM"));
  EXPECT_THAT(Server({"", one.cert, one.cert}), invalid("no private key"));
  EXPECT_THAT(Server({Write("empty.pem", ""), one.cert, one.key}),
              invalid("empty.pem: cannot be read"));
  EXPECT_THAT(Client({"", one.cert, one.key}), invalid("--tls-ca is missing"));
  EXPECT_THAT(Client({ca, one.cert, two.key}), invalid("is not the key of"));
  EXPECT_THAT(Client({Write("junk.pem", "junk"), "", ""}),
              invalid("junk.pem: holds no certificate"));
  EXPECT_THAT(Client({}), StatusIs(StatusCode::kFailedPrecondition, "--tls"));
}

}  // namespace
}  // namespace parley
