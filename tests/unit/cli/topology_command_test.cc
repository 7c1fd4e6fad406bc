#include <cmath>
#include <vector>

#include "absl/strings/str_replace.h"
#include "common/base/flags.h"
#include "common/base/json.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/cli/temp_folder.h"
#include "tools/cli/command.h"

namespace parley {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kRunFileText[] = R"(
  model { softmax {} }
  data {
    train { mixture { rows: 100 features: 5 } }
    partition { parts: 6 }
  }
  local { sgd {} step_size { initial: 0.1 } }
  stop { rounds: 3 }
  gossip { topology { base { k: 2 } } }
)";

class TopologyCommandTest : public testing::Test {
 protected:
  int Topology(std::vector<std::string> args) {
    std::vector<const char*> argv = {"topology"};
    for (const std::string& arg : args) argv.push_back(arg.c_str());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code =
        TopologyCommand(static_cast<int>(argv.size()), argv.data());
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return code;
  }

  // What --json prints of it.
  Json JsonOf(std::vector<std::string> args) {
    args.push_back("--json");
    EXPECT_EQ(Topology(std::move(args)), kExitOk) << err_;
    const auto json = Json::Parse(out_);
    EXPECT_OK(json);
    return json.ok() ? *json : Json();
  }

  TempFolder temp_;
  std::string out_, err_;
};

double Number(const Json& json, const char* name) {
  const Json* member = json.Find(name);
  EXPECT_NE(member, nullptr) << name;
  return member == nullptr ? NAN : member->AsDouble().value_or(NAN);
}

TEST_F(TopologyCommandTest, TellsHowARingMixes) {
  ASSERT_EQ(Topology({"ring", "--peers", "8"}), kExitOk) << err_;
  EXPECT_THAT(out_, HasSubstr("ring, 8 peers\n"));
  EXPECT_THAT(out_, HasSubstr("0.804738  contraction"));
  EXPECT_THAT(out_, HasSubstr("spectral gap          0.195262\n"));
  EXPECT_THAT(out_, HasSubstr("rounds to 1e-6        64\n"));
  EXPECT_THAT(out_, HasSubstr("λ_min(W)              -0.333333\n"));
  EXPECT_THAT(out_, HasSubstr("degree                2\n"));
  EXPECT_THAT(out_, HasSubstr("100 MB at 1 Gb/s with a latency of 20 ms"));
  EXPECT_THAT(out_, HasSubstr("ring                  1.62 s\n"));
  EXPECT_THAT(out_, HasSubstr("ring all-reduce       1.68 s\n"));
  EXPECT_THAT(
      out_,
      HasSubstr("W\n"
                "  0.3333 0.3333      ·      ·      ·      ·      · 0.3333\n"));
  ASSERT_EQ(Topology({"ring", "--peers", "8", "--bandwidth", "8e6", "--latency",
                      "0", "--model-bytes", "1e6"}),
            kExitOk);
  EXPECT_THAT(out_, HasSubstr("1.0 MB at 0.008 Gb/s with a latency of 0 ms"));
  EXPECT_THAT(out_, HasSubstr("ring                  2 s\n"));
  EXPECT_THAT(out_, HasSubstr("ring all-reduce       1.75 s\n"));
}

TEST_F(TopologyCommandTest, TellsHowChangingGraphsMix) {
  ASSERT_EQ(Topology({"one_peer_exponential", "--peers", "4"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("4 peers, directed, repeats itself after 2 "));
  EXPECT_THAT(out_, HasSubstr("rounds to 1e-6        2, and exact\n"));
  EXPECT_THAT(out_, HasSubstr("W of round 2\n"));
  EXPECT_THAT(out_, Not(HasSubstr("W of round 3\n")));
  EXPECT_THAT(out_, Not(HasSubstr("λ_min")));
  ASSERT_EQ(Topology({"random_matching", "--peers", "6", "--seed", "3"}),
            kExitOk);
  EXPECT_THAT(out_, HasSubstr("drawn anew each round\n"));
  EXPECT_THAT(out_, HasSubstr("an estimate over 200 rounds\n"));
  ASSERT_EQ(Topology({"ring", "--peers", "64"}), kExitOk);
  EXPECT_THAT(out_, Not(HasSubstr("\nW")));
}

TEST_F(TopologyCommandTest, JsonHasTheWholeOfW) {
  const Json ring = JsonOf({"ring", "--peers", "64", "--lazy"});
  EXPECT_EQ(Number(ring, "peers"), 64);
  EXPECT_NEAR(Number(ring, "contraction"), (1 + .996790) / 2, 1e-6);
  EXPECT_NEAR(Number(ring, "lambda_min"), 1.0 / 3, 1e-12);
  ASSERT_NE(ring.Find("w"), nullptr);
  ASSERT_EQ(ring.Find("w")->items().size(), 1);
  const std::vector<Json>& rows = ring.Find("w")->items()[0].items();
  ASSERT_EQ(rows.size(), 64);
  double sum = 0;
  for (const Json& entry : rows[5].items()) {
    sum += *entry.items()[1].AsDouble();
  }
  EXPECT_EQ(rows[5].items().size(), 3);
  EXPECT_EQ(rows[5].items()[0].items()[0].AsInt64(), 4);
  EXPECT_NEAR(sum, 1, 1e-15);
  EXPECT_EQ(JsonOf({"base", "--peers", "5"}).Find("w")->items().size(), 5);
  EXPECT_TRUE(JsonOf({"one_peer_exponential", "--peers", "12"})
                  .Find("lambda_min")
                  ->is_null());
}

TEST_F(TopologyCommandTest, FlagsReachTheirKinds) {
  EXPECT_EQ(Number(JsonOf({"random_regular", "--peers", "12", "--degree", "5"}),
                   "max_degree"),
            5);
  EXPECT_EQ(
      Number(JsonOf({"grid", "--peers", "12", "--rows", "1"}), "max_degree"),
      2);
  EXPECT_EQ(
      Number(JsonOf({"erdos_renyi", "--peers", "6", "--probability", "1"}),
             "max_degree"),
      5);
  EXPECT_EQ(Number(JsonOf({"small_world", "--peers", "12", "--neighbours", "2",
                           "--rewire", "0"}),
                   "max_degree"),
            2);
  EXPECT_EQ(Number(JsonOf({"base", "--peers", "9", "--k", "2"}), "exact_after"),
            2);
  EXPECT_EQ(
      Number(JsonOf({"ring", "--peers", "9", "--directed"}), "max_degree"), 1);
  EXPECT_EQ(Number(JsonOf({"edges", "--peers", "4", "--edges", "0-1,0-2,3-0"}),
                   "max_degree"),
            3);
  EXPECT_NE(
      *JsonOf({"random_matching", "--peers", "6"}).Find("hash")->AsString(),
      *JsonOf({"random_matching", "--peers", "6", "--seed", "2"})
           .Find("hash")
           ->AsString());
}

TEST_F(TopologyCommandTest, ReadsARunFile) {
  const std::string file = temp_.Write("mine.textproto", kRunFileText);
  ASSERT_EQ(Topology({file}), kExitOk) << err_;
  EXPECT_THAT(out_, HasSubstr("base, 6 peers, repeats itself after 2 rounds"));
  ASSERT_EQ(
      Topology({file, "--peers", "5", "--set", "gossip.topology.base.k=4"}),
      kExitOk);
  EXPECT_THAT(out_, HasSubstr("base, 5 peers\n"));
  // D² mixes with (I + W)/2.
  const std::string d2 = temp_.Write(
      "d2.textproto",
      absl::StrReplaceAll(kRunFileText, {{"gossip {", "gossip { d2 {}"},
                                         {"base { k: 2 }", "ring {}"}}));
  ASSERT_EQ(Topology({d2}), kExitOk) << err_;
  EXPECT_THAT(out_, HasSubstr("lazy: (I + W)/2"));
}

TEST_F(TopologyCommandTest, DrawsAPicture) {
  const std::string svg = temp_.Path("ring.svg");
  ASSERT_EQ(Topology({"ring", "--peers", "8", "--svg", svg}), kExitOk) << err_;
  EXPECT_THAT(out_, HasSubstr("ring, 8 peers"));
  EXPECT_THAT(temp_.Read("ring.svg"), testing::StartsWith("<svg "));
  EXPECT_EQ(Topology({"ring", "--peers", "8", "--svg", temp_.Path("no/x.svg")}),
            kExitFailed);
  EXPECT_THAT(err_, HasSubstr("no/x.svg"));
}

TEST_F(TopologyCommandTest, WrongUse) {
  const std::string file = temp_.Write("mine.textproto", kRunFileText);
  const std::string server =
      temp_.Write("server.textproto",
                  std::string(kRunFileText)
                      .substr(0, std::string(kRunFileText).find("gossip")));
  struct {
    std::vector<std::string> args;
    const char* says;
  } const kTable[] = {
      {{"rign", "--peers", "4"}, "has no kind rign; did you mean ring?"},
      {{"ring"}, "--peers N is missing"},
      {{"ring", "--peers", "0"}, "ring has 1 to 16384 peers, not 0"},
      {{"ring", "--peers", "4000"}, "at most 2048 peers, not 4000"},
      {{"hypercube", "--peers", "12"}, "needs a power of two of peers, not 12"},
      {{"ring", "--peers", "4", "--degree", "2"},
       "--degree is for random_regular, not for ring"},
      {{"star", "--peers", "4", "--rows", "2"},
       "--rows is for grid and torus, not for star"},
      {{"ring", "--peers", "4", "--seed", "2"}, "--seed is for"},
      {{"random_matching", "--peers", "4", "--seed", "-2"}, "--seed must be"},
      {{"ring", "--peers", "4", "--set", "seed=2"}, "--set is for a run file"},
      {{"grid", "--peers", "4", "--rows", "0"}, "--rows must be 1 or more"},
      {{"edges", "--peers", "4", "--edges", "0-1,2"},
       "\"2\" must be PEER-PEER"},
      {{"edges", "--peers", "4"}, "edges must connect all of 4 peers"},
      {{"ring", "--peers", "4", "--bandwidth", "0"}, "--bandwidth must be > 0"},
      {{"ring", "--peers", "4", "--latency", "-1"}, "--latency must be 0 or"},
      {{"ring", "--peers", "4", "--model-bytes", "-1"}, "--model-bytes must"},
      {{"./nowhere"}, "there is no such file"},
      {{server}, "has no gossip, so it has no topology"},
      {{file, "--k", "2"}, "change them by --set"},
  };
  for (const auto& row : kTable) {
    EXPECT_EQ(Topology(row.args), kExitUsage) << row.says;
    EXPECT_THAT(err_, HasSubstr(row.says));
    EXPECT_EQ(out_, "");
  }
  EXPECT_EQ(
      Topology({"erdos_renyi", "--peers", "60", "--probability", "0.001"}),
      kExitFailed);
  EXPECT_THAT(err_, HasSubstr("none of 100 random graphs"));
}

}  // namespace
}  // namespace parley
