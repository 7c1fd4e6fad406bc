// Two peers die one after the other while the average after all rounds is
// committed, whoever they are: all that live end, and with one model; or, where
// who knew of it is gone or done, without the average, and say so.
#include <gmock/gmock.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/gossip/fault_bench.h"

namespace parley {
namespace {

constexpr int kPeers = 5;
constexpr int64_t kRounds = 1;
constexpr absl::Duration kEpochWait = absl::Seconds(60);

// Calls back at two steps of the run's messages and payloads.
class TwoSteps final : public PeerFaults {
 public:
  using Hit = std::function<void(int from, int to)>;
  // With `cut`: instead, peers 1 and 4 lose their links to 2 and 3 as they hear
  // of the average, and die as peer 0 hears that they are done.
  TwoSteps(int64_t first, int64_t second, bool cut, Hit hit)
      : first_(first), second_(second), cut_(cut), hit_(std::move(hit)) {}
  bool BreaksAt(int from, int to, const v1::PeerMessage& message) override {
    if (message.has_received() &&
        message.received().step().use() == v1::AVERAGE && token_ == 0) {
      token_ = count_ + 1;
    }
    if (cut_) return Cuts(from, to, message);
    return Count(from, to);
  }
  std::optional<int64_t> BreaksPayloadAfter(int from, int to,
                                            const v1::PeerBegin&) override {
    if (!Count(from, to)) return std::nullopt;
    return 0;
  }
  int64_t steps() const { return count_; }
  int64_t token() const { return token_; }  // the step that first passes it

 private:
  bool Count(int from, int to) {
    ++count_;
    if (count_ != first_ && count_ != second_) return false;
    hit_(from, to);
    return true;
  }
  bool Cuts(int from, int to, const v1::PeerMessage& message) {
    committed_ |= message.has_decision() && message.decision().committed() &&
                  message.decision().step().use() == v1::AVERAGE;
    if (message.has_leave() && to == 0) hit_(from, to);
    const auto between = [from, to](int a, int b) {
      return (from == a && to == b) || (from == b && to == a);
    };
    return committed_ && (between(1, 2) || between(3, 4));
  }

  const int64_t first_, second_;
  const bool cut_;
  const Hit hit_;
  bool committed_ = false;
  int64_t count_ = 0;
  int64_t token_ = 0;
};

struct Case {
  const char* name;
  AlgorithmOptions algorithm = {};
  double epoch_after = 1;  // seconds after each death
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class TwoDeathsTest : public testing::TestWithParam<Case> {
 protected:
  // One end of what happens at each step dies; with cut_: see there.
  void Run(int64_t first, int64_t second, bool from1, bool from2) {
    deaths_ = 0;
    epoch_ = 0;
    log_.clear();
    faults_ = std::make_unique<TwoSteps>(
        first, second, cut_, [this, from1, from2](int from, int to) {
          Die((deaths_ == 0 ? from1 : from2) ? from : to);
        });
    GossipWorldOptions options = BenchOptions(
        &pool_, MakeSchedule(Kind("ring"), kPeers), kRounds, kElements);
    options.algorithm = GetParam().algorithm;
    options.final_average = true;
    options.edge_timeout = absl::Seconds(2);
    options.start_wait = absl::Seconds(30);
    options.epoch_wait = kEpochWait;
    options.limit = absl::Minutes(30);
    options.faults = faults_.get();
    options.log = [this](int peer, LogLevel, absl::string_view text) {
      absl::StrAppend(&log_, peer, ": ", text, "\n");
    };
    auto world = GossipWorld::Create(std::move(options));
    ASSERT_TRUE(world.ok()) << world.status();
    world_ = *std::move(world);
    const absl::Status status = world_->Run();
    ASSERT_TRUE(status.ok()) << status << log_;
  }
  void Die(int victim) {
    ++deaths_;
    world_->world().control()->Post([this, victim] {
      if (!world_->done(victim)) world_->Kill(victim);
    });
    world_->world().RunAt(
        world_->world().Now() + absl::Seconds(GetParam().epoch_after),
        [this] { GoOn(); });
  }
  // As the rendezvous does: no epoch begins once a peer has told that it is
  // done.
  void GoOn() {
    std::vector<int> live;
    for (int i = 0; i < kPeers; ++i) {
      if (world_->killed(i)) continue;
      if (world_->done(i)) return;
      live.push_back(i);
    }
    if (live.empty()) return;
    ASSERT_OK(world_->ChangeMembership(
        live, ++epoch_, kRounds + 1,
        MakeSchedule(Kind("ring"), static_cast<int64_t>(live.size()))));
  }

  InlineExecutor pool_;
  std::unique_ptr<TwoSteps> faults_;
  std::unique_ptr<GossipWorld> world_;
  std::string log_;
  bool cut_ = false;
  int deaths_ = 0;
  int64_t epoch_ = 0;
};

TEST_P(TwoDeathsTest, AllThatLiveEndWithOneModel) {
  Run(0, 0, false, false);
  const int64_t steps = faults_->steps();
  const int64_t token = faults_->token();
  ASSERT_GT(token, 50);
  ASSERT_GT(steps, token + 10);
  int two = 0;
  for (int64_t first = token - 8; first <= steps; ++first) {
    for (int64_t second = first + 1; second <= steps + 20; ++second) {
      for (const bool from : {false, true}) {
        const bool from2 = from == (second % 2 == 0);
        SCOPED_TRACE(absl::StrCat("steps ", first, " and ", second, " of ",
                                  steps, " ", from, from2));
        Run(first, second, from, from2);
        int killed = 0;
        std::set<uint64_t> models;
        for (int i = 0; i < kPeers; ++i) {
          if (world_->killed(i)) {
            ++killed;
            continue;
          }
          const GossipNode& node = world_->node(i);
          EXPECT_TRUE(world_->done(i)) << i;
          EXPECT_GT(node.machine().committed_average(), kRounds) << i;
          EXPECT_FALSE(node.state().doubts().contains(-1)) << i;
          models.insert(node.state().Model().Hash());
        }
        EXPECT_EQ(models.size(), 1);
        EXPECT_LT(world_->world().Now() - absl::UnixEpoch(),
                  kEpochWait + absl::Seconds(30));
        two += killed == 2 ? 1 : 0;
        if (HasFailure()) return;
      }
    }
  }
  EXPECT_GT(two, 1000);
}

// All that know of the average are dead or done, as the two between them and
// the others could not pass it on any more: the others do not make another one.
TEST_P(TwoDeathsTest, WhoCannotKnowOfTheAverageEndsWithoutIt) {
  cut_ = true;
  Run(0, 0, true, true);
  EXPECT_TRUE(world_->killed(1));
  EXPECT_TRUE(world_->killed(4));
  EXPECT_EQ(epoch_, 0);
  EXPECT_GT(world_->node(0).machine().committed_average(), kRounds);
  for (const int i : {2, 3}) {
    EXPECT_TRUE(world_->done(i));
    EXPECT_LE(world_->node(i).machine().committed_average(), kRounds);
    EXPECT_THAT(log_, testing::HasSubstr(absl::StrCat(
                          i, ": round 2 goes without its exact average")));
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, TwoDeathsTest,
    testing::Values(Case{"soon"},
                    Case{.name = "at_once", .epoch_after = 0.0003},
                    Case{.name = "late", .epoch_after = 9},
                    Case{.name = "push_sum",
                         .algorithm = {.kind = "push_sum"}}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace parley
