// Two peers die one after the other while the average after all rounds is
// passed and committed, whoever they are: all that live end, and with one
// model.
#include <algorithm>
#include <functional>
#include <map>
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

// Calls back at two steps of the run's messages and payloads.
class TwoSteps final : public PeerFaults {
 public:
  using Hit = std::function<void(int from, int to)>;
  TwoSteps(int64_t first, int64_t second, Hit hit)
      : first_(first), second_(second), hit_(std::move(hit)) {}
  bool BreaksAt(int from, int to, const v1::PeerMessage& message) override {
    if (message.has_received() &&
        message.received().step().use() == v1::AVERAGE && token_ == 0) {
      token_ = count_ + 1;
    }
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
  const int64_t first_, second_;
  const Hit hit_;
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
  // One end of what happens at each step dies.
  void Run(int64_t first, int64_t second, bool from1, bool from2) {
    deaths_ = 0;
    epoch_ = 0;
    log_.clear();
    faults_ = std::make_unique<TwoSteps>(
        first, second, [this, from1, from2](int from, int to) {
          Die((deaths_ == 0 ? from1 : from2) ? from : to);
        });
    GossipWorldOptions options = BenchOptions(
        &pool_, MakeSchedule(Kind("ring"), kPeers), kRounds, kElements);
    options.algorithm = GetParam().algorithm;
    options.final_average = true;
    options.edge_timeout = absl::Seconds(2);
    options.start_wait = absl::Seconds(30);
    options.epoch_wait = absl::Seconds(60);
    options.limit = absl::Minutes(30);
    options.faults = faults_.get();
    options.log = [this](int peer, LogLevel, absl::string_view text) {
      absl::StrAppend(
          &log_,
          absl::FormatDuration(world_->world().Now() - absl::UnixEpoch()), " ",
          peer, ": ", text, "\n");
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

  ThreadPool pool_{1};
  std::unique_ptr<TwoSteps> faults_;
  std::unique_ptr<GossipWorld> world_;
  std::string log_;
  int deaths_ = 0;
  int64_t epoch_ = 0;
};

TEST_P(TwoDeathsTest, AllThatLiveEndWithOneModel) {
  Run(0, 0, false, false);
  const int64_t steps = faults_->steps();
  const int64_t token = faults_->token();
  ASSERT_GT(token, 50);
  ASSERT_GT(steps, token + 10);
  int runs = 0, without = 0, bad = 0;
  absl::Duration longest;
  std::map<int, int> live_count;
  for (int64_t first = token - 8; first <= steps; ++first) {
    for (int64_t second = first + 1; second <= steps + 20; ++second) {
      for (int ends = 0; ends < 4; ++ends) {
        SCOPED_TRACE(absl::StrCat("steps ", first, " and ", second, " of ",
                                  steps, ", token ", token, ", ends ", ends));
        Run(first, second, ends & 1, ends & 2);
        ++runs;
        std::set<uint64_t> models;
        int alone = 0, live = 0;
        for (int i = 0; i < kPeers; ++i) {
          if (world_->killed(i)) continue;
          ++live;
          const GossipNode& node = world_->node(i);
          EXPECT_TRUE(world_->done(i)) << i;
          if (node.machine().committed_average() > kRounds) {
            models.insert(node.state().Model().Hash());
            EXPECT_FALSE(node.state().doubts().contains(-1)) << i;
          } else {
            ++alone;
          }
        }
        ++live_count[live];
        longest = std::max(longest, world_->world().Now() - absl::UnixEpoch());
        EXPECT_LE(models.size(), 1);
        without += alone > 0;
        if (alone > 0 && without == 1) std::cout << "ALONE " << alone << " " << models.size() << " steps " << first << " " << second << " ends " << ends << "\n" << log_;
        if (models.size() > 1 && ++bad == 1) std::cout << "TWO\n" << log_;
        if (bad > 5) return;
      }
    }
  }
  std::cout << runs << " runs, " << without << " without, longest " << longest << "\n";
  for (auto [l, c] : live_count) std::cout << l << " live: " << c << "\n";
}

INSTANTIATE_TEST_SUITE_P(
    All, TwoDeathsTest,
    testing::Values(Case{"soon"}, Case{.name = "at_once", .epoch_after = 0.0003},
                    Case{.name = "late", .epoch_after = 9},
                    Case{.name = "push_sum", .algorithm = {.kind = "push_sum"}}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace parley
