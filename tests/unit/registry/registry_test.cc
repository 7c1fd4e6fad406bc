#include "server/registry/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/wire/protocol.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

RegistryOptions Options() {
  RegistryOptions options;
  options.run = "r";
  options.term = 1;
  options.token_key = "k";
  options.lease = absl::Seconds(15);
  options.parts = 3;
  options.encodings = {v1::ENCODING_FLOAT32};
  return options;
}

v1::Register Hello(const std::string& name, uint64_t incarnation = 1) {
  v1::Register hello;
  hello.set_protocol_version(kProtocolVersion);
  hello.set_name(name);
  hello.set_incarnation(incarnation);
  hello.add_encodings(v1::ENCODING_FLOAT32);
  hello.add_kinds(v1::TRAIN);
  return hello;
}

v1::Register WithPart(const std::string& name, int part = -1) {
  v1::Register hello = Hello(name);
  hello.set_wants_part(true);
  if (part >= 0) hello.set_part(part);
  return hello;
}

constexpr absl::Time kStart = absl::UnixEpoch();

TEST(Registry, TellsNewResumedAndRestartedApart) {
  Registry registry(Options());
  ASSERT_OK_AND_ASSIGN(Admission a, registry.Admit(1, Hello("a"), "", kStart));
  EXPECT_EQ(a.kind, Admission::Kind::kNew);
  const std::string token = a.client->token;
  ASSERT_OK_AND_ASSIGN(a, registry.Admit(2, Hello("a"), "", kStart));
  EXPECT_EQ(a.kind, Admission::Kind::kResumed);
  EXPECT_EQ(a.displaced, 1u);
  EXPECT_EQ(a.client->token, token);
  ASSERT_OK_AND_ASSIGN(a, registry.Admit(3, Hello("a", 2), "", kStart));
  EXPECT_EQ(a.kind, Admission::Kind::kRestarted);
  EXPECT_EQ(a.displaced, 2u);
  EXPECT_NE(a.client->token, token);
  EXPECT_FALSE(a.client->evaluates);
  EXPECT_EQ(registry.size(), 1u);
}

TEST(Registry, TokensProveASession) {
  Registry registry(Options());
  ASSERT_OK_AND_ASSIGN(Admission a, registry.Admit(1, Hello("a"), "", kStart));
  ASSERT_OK_AND_ASSIGN(Admission b, registry.Admit(2, Hello("b"), "", kStart));
  EXPECT_EQ(registry.FindByToken("a", a.client->token), a.client);
  EXPECT_EQ(registry.FindByToken("a", b.client->token), nullptr);
  EXPECT_EQ(registry.FindByToken("a", ""), nullptr);
  EXPECT_EQ(registry.FindByToken("c", a.client->token), nullptr);

  RegistryOptions other = Options();
  other.token_key = "another";
  Registry elsewhere(other);
  ASSERT_OK_AND_ASSIGN(Admission c, elsewhere.Admit(1, Hello("a"), "", kStart));
  EXPECT_NE(c.client->token, a.client->token);
  other = Options();
  other.term = 2;
  Registry later(other);
  ASSERT_OK_AND_ASSIGN(Admission d, later.Admit(1, Hello("a"), "", kStart));
  EXPECT_NE(d.client->token, a.client->token);
}

TEST(Registry, LeasesEndUnlessRenewed) {
  Registry registry(Options());
  std::vector<Client*> clients;
  for (const std::string name : {"a", "b", "c"}) {
    ASSERT_OK_AND_ASSIGN(Admission admission,
                         registry.Admit(1, Hello(name), "", kStart));
    clients.push_back(admission.client);
  }
  EXPECT_EQ(registry.NextExpiry(), kStart + absl::Seconds(15));
  registry.Renew(*clients[1], kStart + absl::Seconds(10));
  EXPECT_EQ(registry.NextExpired(kStart + absl::Seconds(14)), nullptr);
  std::set<std::string> expired;
  while (const Client* client =
             registry.NextExpired(kStart + absl::Seconds(15))) {
    const std::string name = client->name;
    expired.insert(name);
    registry.Remove(name);
  }
  EXPECT_EQ(expired, (std::set<std::string>{"a", "c"}));
  EXPECT_EQ(registry.NextExpiry(), kStart + absl::Seconds(25));
  // One that left and came back has a lease of its own.
  registry.Remove("b");
  EXPECT_OK(registry.Admit(4, Hello("b"), "", kStart + absl::Seconds(20)));
  EXPECT_EQ(registry.NextExpired(kStart + absl::Seconds(34)), nullptr);
  EXPECT_NE(registry.NextExpired(kStart + absl::Seconds(35)), nullptr);
}

TEST(Registry, PartsStayWithTheirNames) {
  Registry registry(Options());
  const auto part = [&](const v1::Register& hello) {
    const auto admission = registry.Admit(1, hello, "", kStart);
    return admission.ok() ? *(*admission).client->part : -1;
  };
  EXPECT_EQ(part(WithPart("a", 1)), 1);
  EXPECT_EQ(part(WithPart("b")), 0);  // the lowest that is free
  EXPECT_EQ(part(WithPart("b")), 0);
  registry.Remove("a");
  EXPECT_THAT(
      registry.Admit(1, WithPart("c", 1), "", kStart),
      StatusIs(absl::StatusCode::kFailedPrecondition, "part 1 belongs to 'a'"));
  EXPECT_EQ(part(WithPart("c")), 2);
  EXPECT_EQ(part(WithPart("a")), 1);
  EXPECT_THAT(
      registry.Admit(1, WithPart("a", 2), "", kStart),
      StatusIs(absl::StatusCode::kFailedPrecondition, "has had part 1"));
  EXPECT_THAT(
      registry.Admit(1, WithPart("d"), "", kStart),
      StatusIs(absl::StatusCode::kFailedPrecondition, "data.partition.parts"));
  EXPECT_THAT(registry.Admit(1, WithPart("d", 3), "", kStart),
              StatusIs(absl::StatusCode::kInvalidArgument, "0 to 2"));
  EXPECT_EQ(registry.Find("d"), nullptr);
}

TEST(Registry, APartThatIsYieldedGoesToWhoeverComesFirst) {
  Registry registry(Options());
  const auto part = [&](const v1::Register& hello) {
    const auto admission = registry.Admit(1, hello, "", kStart);
    return admission.ok() ? *(*admission).client->part : -1;
  };
  for (const char* name : {"a", "b", "c"}) part(WithPart(name));
  for (const char* name : {"a", "b", "stranger"}) {
    registry.Remove(name);
    registry.Yield(name);
  }
  EXPECT_EQ(part(WithPart("b")), 1);  // back in time
  EXPECT_EQ(part(WithPart("d", 1)), -1);
  EXPECT_EQ(part(WithPart("d")), 0);
  EXPECT_EQ(part(WithPart("a")), -1);
  registry.Yield("d");
  EXPECT_EQ(part(WithPart("a", 0)), 0);
}

TEST(Registry, WithoutADataSetThereAreNoParts) {
  RegistryOptions options = Options();
  options.parts = 0;
  Registry registry(options);
  EXPECT_THAT(registry.Admit(1, WithPart("a"), "", kStart),
              StatusIs(absl::StatusCode::kFailedPrecondition, "--data"));
}

TEST(Registry, ChecksNames) {
  Registry registry(Options());
  for (const std::string& name :
       {std::string(), std::string(129, 'a'), std::string("a b"),
        std::string("a\0b", 3), std::string("gr\xc3\xbcn")}) {
    EXPECT_THAT(registry.Admit(1, Hello(name), "", kStart),
                StatusIs(absl::StatusCode::kInvalidArgument, "name"));
  }
  EXPECT_OK(registry.Admit(1, Hello(std::string(128, 'a')), "", kStart));
  EXPECT_OK(registry.Admit(1, Hello("A.b-c_9"), "A.b-c_9", kStart));
  EXPECT_THAT(registry.Admit(1, Hello("x"), "y", kStart),
              StatusIs(absl::StatusCode::kPermissionDenied, "'y'"));
}

TEST(Registry, BoundsTheRunsThatAClientExcepts) {
  v1::Register hello = Hello("a");
  for (int i = 0; i < kMaxExceptRuns; ++i) hello.add_except_runs("run");
  EXPECT_OK(CheckIdentity(hello, ""));
  hello.add_except_runs("run");
  EXPECT_THAT(CheckIdentity(hello, ""),
              StatusIs(absl::StatusCode::kInvalidArgument, "at most 100"));
}

}  // namespace
}  // namespace parley
