#include "client/gossip/gossip_run.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/gossip/membership.h"
#include "common/config/facts.h"
#include "common/config/load.h"
#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using absl::StatusCode;

v1::RunConfig Load(const std::string& more,
                   const std::string& path = "/x/run") {
  absl::StatusOr<v1::RunConfig> config = LoadRunText(
      absl::StrCat("model { mlp { hidden: 2 } features: 4 classes: 3 } "
                   "local { sgd {} step_size { initial: 0.1 } } "
                   "stop { rounds: 5 } ",
                   more),
      path);
  EXPECT_OK(config);
  return *std::move(config);
}

Membership Three() {
  return {.epoch = 0, .peers = {{"a", "h:1"}, {"b", "h:2"}, {"c", "h:3"}}};
}

TEST(MembershipTest, ReadsAListInOrder) {
  ASSERT_OK_AND_ASSIGN(
      const Membership membership,
      MembershipFromText("peers { name: \"b\" address: \"h:2\" }\n"
                         "peers { name: \"a\" address: \"[::1]:1\" }",
                         "list"));
  EXPECT_EQ(membership.epoch, 0);
  ASSERT_EQ(membership.peers.size(), 2);
  EXPECT_EQ(membership.peers[0].name, "b");
  EXPECT_EQ(membership.peers[1].address, "[::1]:1");
}

TEST(MembershipTest, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> kCases[] = {
      {"", "no peers"},
      {"\nfoo: 1", "list:2: "},
      {"peers { address: \"h:1\" }", "peers[0] has no name"},
      {"peers { name: \"a\" }", "a has no address"},
      {"peers { name: \"a\" address: \"h:1\" } "
       "peers { name: \"a\" address: \"h:2\" }",
       "two peers are named a"}};
  for (const auto& [text, why] : kCases) {
    EXPECT_THAT(MembershipFromText(text, "list"),
                StatusIs(StatusCode::kInvalidArgument, why));
  }
}

TEST(GossipRunTest, TakesWhatTheFileSays) {
  ASSERT_OK_AND_ASSIGN(
      const GossipRun run,
      MakeGossipRun(Load("name: \"n\" gossip { topology { ring {} } "
                         "average_every: 3 edge_seconds: 2.5 }"),
                    Three()));
  EXPECT_EQ(run.node.machine.rounds, 5);
  EXPECT_EQ(run.node.machine.average_every, 3);
  EXPECT_EQ(run.node.machine.edge_timeout, absl::Seconds(2.5));
  EXPECT_EQ(run.node.machine.hello.run(), "n");
  EXPECT_EQ(run.node.machine.names[2], "c");
  EXPECT_EQ(run.node.addresses[1], "h:2");
  EXPECT_EQ(run.node.start.elements(), run.spec.elements());
  EXPECT_EQ(run.schedule->peers(), 3);
  EXPECT_TRUE(run.schedule->symmetric());
}

TEST(GossipRunTest, TheIdIsOfAllThatPeersMustHaveAlike) {
  const auto id = [](const std::string& more,
                     const Membership& membership = Three(),
                     const std::string& path = "/x/run") {
    absl::StatusOr<GossipRun> run =
        MakeGossipRun(Load(absl::StrCat("gossip {} ", more), path), membership);
    EXPECT_OK(run);
    return run->node.machine.hello.run_id();
  };
  const uint64_t plain = id("");
  EXPECT_EQ(id("# a comment\n"), plain);
  // Data lies elsewhere on each machine.
  const std::string train = "data { train { libsvm { path: \"mine.svm\" } } }";
  EXPECT_EQ(id(train), id(train, Three(), "/y/run"));
  EXPECT_NE(id("seed: 2"), plain);
  EXPECT_NE(id("start { zeros {} }"), plain);
  EXPECT_NE(id("", Three(), "/x/other"), plain);  // its name
  Membership other = Three();
  std::swap(other.peers[0], other.peers[1]);
  EXPECT_NE(id("", other), plain);
  other = Three();
  other.epoch = 1;
  EXPECT_NE(id("", other), plain);
  other = Three();
  other.peers[2].address = "h:4";
  EXPECT_NE(id("", other), plain);
}

TEST(GossipRunTest, RefusesARunWithoutGossipAndPeersThatDoNotFit) {
  EXPECT_THAT(MakeGossipRun(Load("cohort { min: 3 }"), Three()),
              StatusIs(StatusCode::kInvalidArgument, "no gossip"));
  EXPECT_THAT(
      MakeGossipRun(Load("gossip { topology { hypercube {} } }"), Three()),
      StatusIs(StatusCode::kInvalidArgument, "power of two"));
  EXPECT_THAT(
      MakeGossipRun(Load("gossip {} start { run: \"runs/x\" }"), Three()),
      StatusIs(StatusCode::kFailedPrecondition, "parley model export"));
}

}  // namespace
}  // namespace parley
